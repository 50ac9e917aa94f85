//! What can go wrong with a directory, and what the worker does about it.

use super::layout;
use crate::model::{NextOffset, Partition, Role, Topic, TopicPartition};
use crate::port::{Failure, Reaction};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` is in use by {holder}", dir.display())]
    Locked { dir: PathBuf, holder: String },

    #[error("`{0}` holds no log yet; `thalweg run TOPOLOGY --embedded {0}` makes one", dir.display())]
    NoLog { dir: PathBuf },

    #[error("`{}` belongs to deployment `{found}`, not to `{asked}`", dir.display())]
    OtherDeployment { dir: PathBuf, found: String, asked: String },

    #[error(
        "topic {} in `{}` has {found} partitions, the topology asks for {asked}; \
         the count is frozen when the directory is made",
        layout::name(*topic), dir.display()
    )]
    OtherPartitions { dir: PathBuf, topic: Topic, found: u32, asked: u32 },

    #[error("`{}` was written by a newer thalweg (format {found}, this one reads {known})", path.display())]
    Newer { path: PathBuf, found: u64, known: u64 },

    #[error("`{}` is damaged: {what}; restore it from a copy, or start again in another directory", path.display())]
    Damaged { path: PathBuf, what: String },

    #[error("no space left for `{}`; free some and start again, nothing that was acknowledged is lost", path.display())]
    Full { path: PathBuf, source: io::Error },

    #[error("`{}` cannot be written: {source}", path.display())]
    NotWritable { path: PathBuf, source: io::Error },

    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },

    #[error("the log has stopped: {0}")]
    Stopped(Arc<Error>),

    #[error("the log was closed")]
    Closed,

    #[error("topic {} has no partition {}", layout::name(at.topic), at.partition)]
    NoSuchPartition { at: TopicPartition },

    #[error(
        "offset {asked} of {} partition {} is out of range: the log holds {first} to {next}",
        layout::name(at.topic), at.partition
    )]
    OutOfRange { at: TopicPartition, asked: NextOffset, first: NextOffset, next: NextOffset },

    #[error("the {role:?} member of generation {generation} was replaced by a newer one")]
    Lost { role: Role, generation: i32 },

    #[error("not a member of the {role:?} group")]
    NotAMember { role: Role },

    #[error("{role:?} partition {partition} is not assigned to this member")]
    NotAssigned { role: Role, partition: Partition },

    #[error("producer epoch {epoch} is fenced by a newer one")]
    Fenced { epoch: u64 },

    #[error("{0}")]
    Misuse(&'static str),

    #[error(
        "line {line} of `{input}` was appended without its end and has grown since; \
         `--again` appends the whole file anew"
    )]
    LineGrew { input: String, line: u64 },

    #[error("cannot read `{input}`: {source}")]
    Input { input: String, source: io::Error },
}

impl Error {
    /// Sorts an I/O error by what a person has to do about it.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Error::Full { path, source }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Error::NotWritable { path, source }
            }
            _ => Error::Io { doing, path, source },
        }
    }

    pub fn reaction(&self) -> Reaction {
        match self {
            Error::Locked { .. }
            | Error::NoLog { .. }
            | Error::OtherDeployment { .. }
            | Error::OtherPartitions { .. }
            | Error::Newer { .. }
            | Error::Damaged { .. }
            | Error::Full { .. }
            | Error::NotWritable { .. }
            | Error::Io { .. }
            | Error::Stopped(_)
            | Error::Closed
            | Error::NoSuchPartition { .. }
            | Error::OutOfRange { .. }
            | Error::LineGrew { .. }
            | Error::Input { .. } => Reaction::Halt,
            Error::Lost { .. }
            | Error::NotAMember { .. }
            | Error::NotAssigned { .. }
            | Error::Fenced { .. } => Reaction::Rejoin,
            Error::Misuse(_) => Reaction::Replay,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(error.reaction(), error)
    }
}
