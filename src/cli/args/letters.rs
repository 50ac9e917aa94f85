//! Of `dead-letters`.

use super::{Output, Place};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeadLetters {
    /// List refused records by reason: place, time, detail, and whether they were sent again
    Ls {
        /// A file, or a folder that holds topology.yaml
        topology: PathBuf,
        #[command(flatten)]
        place: Place,
        /// Only how many of each reason there are, and since when
        #[arg(long)]
        counts: bool,
        /// All of each reason, and not its last ten. In JSON it is always all, one a line
        #[arg(long, conflicts_with = "counts")]
        all: bool,
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Show one refused record whole
    Show {
        /// A file, or a folder that holds topology.yaml
        topology: PathBuf,
        /// As `ls` prints it
        coordinate: String,
        #[command(flatten)]
        place: Place,
    },
    /// Send refused records to the raw topic again, each once
    Redrive(Redrive),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Says which letters it would send and what TOPOLOGY would make of them now; --apply sends them. Each goes \
                  to its old partition as it was, with a header `thalweg.redriven` that names its letter, and is marked in \
                  the same transaction. A marked letter is never sent again, so it may be killed and run again at any \
                  time. Workers may go on; an embedded log has to be free.\n\n\
                  Exit codes: 0 nothing to send, or done; 4 something to send, without --apply; 75 brokers are away, or \
                  the directory is locked."
)]
pub(in crate::cli) struct Redrive {
    /// A file, or a folder that holds topology.yaml
    pub(in crate::cli) topology: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) place: Place,
    /// Only what was refused for this reason; may be given more than once [default: whatever the reason]
    #[arg(long = "reason", value_name = "R")]
    pub(in crate::cli) reasons: Vec<String>,
    /// Only what names this tenant; may be given more than once
    #[arg(long = "tenant", value_name = "ID")]
    pub(in crate::cli) tenants: Vec<String>,
    /// Only this letter, as `ls` prints it; may be given more than once
    #[arg(long = "coordinate", value_name = "COORDINATE")]
    pub(in crate::cli) coordinates: Vec<String>,
    /// Only records that the log took at this time or later: an instant, a UTC date, or `now`
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) from: Option<String>,
    /// Only records that the log took before this time
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) to: Option<String>,
    /// Also what would be set aside and not counted, because its windows are closed or it lies in the future
    #[arg(long)]
    pub(in crate::cli) late: bool,
    /// Also what TOPOLOGY would refuse again: it becomes a new letter that names this one
    #[arg(long)]
    pub(in crate::cli) refused: bool,
    /// Letters a second at most [default: as fast as they are taken]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) rate: Option<u32>,
    /// Do it
    #[arg(long)]
    pub(in crate::cli) apply: bool,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(in crate::cli) output: Output,
}
