//! The lake: records of one raw partition become a chunk, a plan decides the chunk, create-only files hold it.
//!
//! In: [`EventBatch`]es of one source from a proved position. Out: plans, bytes of files, and what to ask of the
//! store next. Promises: the records [s, e) give the same files whatever the batches were, so a plan can be
//! finished by anybody who can read them; a plan that stands is followed to the letter, or the partition halts
//! by name. Never: I/O, a clock, an overwrite; a position that nothing proves.
//!
//! [`EventBatch`]: crate::model::EventBatch

mod chunk;
mod control;
mod format;
mod json;
mod layout;
#[cfg(feature = "parquet")]
mod parquet;
mod path;
mod plan;
pub mod position;
pub mod seal;
mod select;

#[cfg(test)]
mod fixture;

pub use chunk::*;
pub use control::*;
pub use format::*;
pub use layout::{FiledBy, Layout};
#[cfg(feature = "parquet")]
pub use parquet::{Parquet, read_footer};
pub use path::*;
pub use plan::*;
