//! Whatever needs more than one room, in one binary.

#[cfg(feature = "embedded")]
mod cli;
