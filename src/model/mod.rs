//! Nouns of the field and their wire forms. Knows no other room.
//!
//! What passes from room to room is one of these. They hold no I/O, no clock and no policy: a
//! [`Block`] knows how its bytes lie, not when one is sent.

mod aws_keys;
mod batch;
mod block;
mod block_writer;
mod event;
pub mod failpoint;
mod key;
mod limits;
pub mod mutation;
mod number;
mod path_text;
pub(crate) mod plain;
mod position;
mod record;
mod rejection;
mod secret;
mod wire;

pub use aws_keys::AwsKeys;
pub use batch::*;
pub use block::*;
pub use block_writer::BlockWriter;
pub use event::*;
pub use key::*;
pub use limits::*;
pub use number::*;
pub use path_text::*;
pub use position::*;
pub use record::*;
pub use rejection::*;
pub use secret::Secret;
pub use wire::*;
