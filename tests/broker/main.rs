//! What only real brokers and stores can show; and the servers that these tests lean on (`tests/servers`): they start,
//! answer, die, come back with their data, and leave nothing behind.
#![expect(clippy::unwrap_used, reason = "all of it is tests")]

// Tests are begun in the order of their names: the longest of all comes first.
mod agreement;
mod athena;
mod away;
mod bad_input;
#[path = "../suite/block_on.rs"]
mod block_on;
mod clocks;
mod containers;
mod contract;
mod coordinator;
mod cutover;
mod deployment;
mod doctor;
mod exhausted;
mod failpoints;
mod foreign;
mod fresh;
mod group;
mod iam;
mod kafka;
mod late;
mod leaves_nothing;
mod lines;
mod load;
mod moved;
mod oauth;
mod offsets;
mod operations;
#[path = "../suite/port_contract.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the whole list of each port is for other adapters"
)]
mod port_contract;
mod program;
#[path = "../real/python.rs"]
mod python;
mod redrive;
mod refused;
mod reroute;
mod rights;
mod river;
mod s3;
mod secured;
#[path = "../servers/mod.rs"]
mod servers;
mod store;
mod store_trouble;
mod support;
mod tls;
mod topics;
