//! What holds whatever breaks: one binary, so that it links once.

#[cfg(feature = "embedded")]
mod cli;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "embedded")]
mod objects;
#[cfg(feature = "embedded")]
mod port_contract;
mod simulation;
