//! What the benches share: events to measure with, CPU time, and the world around the engine's stages.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod cpu;
pub(crate) mod events;
pub(crate) mod world;
