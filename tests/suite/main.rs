//! What holds whatever breaks: one binary, so that it links once.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "all of it is tests; failing seeds are told to people"
)]
#![cfg_attr(
    feature = "embedded",
    expect(clippy::print_stderr, reason = "children talk to their parents over both streams")
)]

#[cfg(feature = "s3")]
mod block_on;
#[cfg(feature = "embedded")]
mod cli;
#[cfg(feature = "embedded")]
mod cli_many_keys;
#[cfg(feature = "embedded")]
mod cli_run;
#[cfg(feature = "embedded")]
mod cutover;
mod deploy;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "embedded")]
mod idle;
#[cfg(feature = "embedded")]
#[path = "../servers/left_out.rs"]
#[allow(dead_code, reason = "what is left out on purpose is so elsewhere")]
mod left_out;
#[cfg(feature = "embedded")]
mod objects;
mod port_contract;
#[cfg(feature = "embedded")]
mod redrive;
#[cfg(feature = "s3")]
mod remote;
#[cfg(feature = "embedded")]
mod reroute;
#[cfg(feature = "embedded")]
mod runbook;
mod simulation;
#[cfg(feature = "embedded")]
mod verify;
#[cfg(feature = "embedded")]
mod watched;
