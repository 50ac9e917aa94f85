//! The servers that other tests lean on (`tests/servers`): they start, answer, die, come back with their data, and
//! leave nothing behind.

mod kafka;
mod leaves_nothing;
mod s3;
#[path = "../servers/mod.rs"]
mod servers;
mod support;
