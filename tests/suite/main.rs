//! What holds whatever breaks: one binary, so that it links once.
#![cfg_attr(
    feature = "embedded",
    expect(
        clippy::unwrap_used,
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "all of it is tests; children talk to their parents over stdout"
    )
)]

#[cfg(feature = "embedded")]
mod cli;
#[cfg(feature = "embedded")]
mod cli_run;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "embedded")]
mod objects;
#[cfg(feature = "embedded")]
mod port_contract;
mod simulation;
