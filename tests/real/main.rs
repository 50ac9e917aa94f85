//! Real parts: the program as people run it, DuckDB and pyarrow as readers that share nothing with us.
//!
//! The oracles are Python in `tests/oracle`. What they need is installed once, into a virtual environment in a
//! cache folder. A machine that cannot do that fails these tests with a sentence that says what to get;
//! `THALWEG_SKIP_REAL=1` leaves them out, and the last line of `cargo test` counts them.

mod bad_input;
mod flights;
mod kill;
mod program;
mod python;
#[allow(dead_code, reason = "tests with brokers use more of it")]
mod seed;
#[path = "../servers/mod.rs"]
mod servers;
mod totals;
