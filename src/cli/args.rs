//! What can be typed: every verb with its flags, and nothing about what they do.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Exact rolling metrics and an exact Parquet lake from a Kafka-compatible log, with proof.
#[derive(Debug, Parser)]
#[command(
    name = "thalweg",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "TOPOLOGY is a file, or a folder that holds topology.yaml.\n\n\
                  Exit codes: 0 fine, 1 failed, 2 usage, 3 a failed case, 4 drift, 75 a dependency is away or a \
                  directory is locked, 78 an invalid file, 130 and 143 stopped by a signal."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the whole river on this machine over made-up events, then prove that it is right
    Demo(Demo),
    /// Write the demo's seeded events, one JSON object a line: same seed, same bytes
    Generate(Generate),
    /// Run the roles of a topology
    Run(Run),
    /// Name every problem of a topology at once; needs no server
    Check(Check),
    /// Say what a topology makes: topics, keys, panes, files
    Describe(Describe),
    /// Say what the event on standard input would do, or why it is refused
    Explain(Explain),
    /// Run the cases.yaml beside a topology, in memory
    Test(Test),
    /// Print metrics rows, one JSON object a line, sorted by key
    Metrics(Metrics),
    /// Compare metrics, lake, dead letters and books, and exit 4 on any difference
    Verify(Verify),
    /// Compare the topics of a deployment with what it needs, and make or set them
    #[cfg(all(feature = "kafka", feature = "s3"))]
    Topics(Topics),
    /// Say whether brokers and store can be reached from here, with which rights, and how to grant what is missing
    #[cfg(all(feature = "kafka", feature = "s3"))]
    Doctor(Doctor),
    /// Restart raw partitions whose way to the targets is broken, and end the halts that this caused
    Reroute(Reroute),
    /// Let a changed topology take over, between two events
    Cutover(Cutover),
    /// Print the SQL that reads the lake
    Ddl(Ddl),
    /// Look at refused records, and send them again
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleName {
    Route,
    Aggregate,
    Lake,
}

/// Verbs that are given rights of their own.
#[cfg(all(feature = "kafka", feature = "s3"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum VerbName {
    Redrive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    Duckdb,
    Athena,
    Terraform,
}

/// Where log and lake are.
#[derive(Debug, Args)]
#[cfg_attr(all(feature = "kafka", feature = "s3"), group(required = true, multiple = false))]
pub(super) struct Place {
    /// Directory of the embedded log; the lake lies in DIR/lake
    #[arg(long, value_name = "DIR", required = cfg!(not(all(feature = "kafka", feature = "s3"))))]
    pub(super) embedded: Option<PathBuf>,
    /// Brokers and store: see docs/configuration.md. Environment variables THALWEG__… win over the file
    #[cfg(all(feature = "kafka", feature = "s3"))]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// How many events to make
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub(super) events: u64,
    /// Seed of the made-up events
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Where log and lake are made [default: a new temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// A topology of your own; unless it is a marketplace, its events come from --input
    #[arg(long, value_name = "FILE")]
    pub(super) topology: Option<PathBuf>,
    /// Events to read instead of making some: NDJSON
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// What the end is printed as
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// How many events to make
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub(super) events: u64,
    /// Same seed and --from, same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Time of the first event: an instant such as 2026-11-01T00:00Z, or `now`
    #[arg(long, value_name = "TIME", default_value = "2026-11-01T00:00Z")]
    pub(super) from: String,
    /// Events a second at most [default: as fast as they are read]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rate: Option<u64>,
    /// How long the shoppers shop
    #[arg(long, value_name = "DURATION", default_value = "2h")]
    pub(super) span: String,
    /// How many tenants they shop at
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) tenants: u32,
    /// Share of events that come a second time
    #[arg(long, value_name = "SHARE", default_value_t = 0.03, value_parser = share)]
    pub(super) repeats: f64,
    /// Share of events that come too late
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    pub(super) late: f64,
    /// Lines in all that are no event [default: a few]
    #[arg(long, value_name = "N")]
    pub(super) refused: Option<u64>,
    /// Send them to the raw topic of this deployment instead of printing them
    #[cfg(all(feature = "kafka", feature = "s3"))]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The deployment's topology, which names the raw topic [default: marketplace, as in the demo]
    #[cfg(all(feature = "kafka", feature = "s3"))]
    #[arg(long, value_name = "TOPOLOGY", requires = "config")]
    pub(super) topology: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// Roles to run
    #[arg(long, value_name = "ROLES", value_delimiter = ',', default_value = "route,aggregate,lake")]
    pub(super) roles: Vec<RoleName>,
    /// NDJSON to append to the raw topic; `-` reads standard input. A file given twice is appended once
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Append the input again, even if it was appended before
    #[arg(long, requires = "input")]
    pub(super) again: bool,
    /// Where a first start begins: earliest, latest or an instant. Ignored once a position exists
    #[arg(long, value_name = "WHERE", default_value = "earliest")]
    pub(super) start: String,
    /// End once everything is done that stood in the log when the input ended
    #[arg(long)]
    pub(super) until_idle: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Describe {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    /// Say what changed since OLD: what is safe, what needs a cut-over, what needs a new name
    #[arg(long, value_name = "OLD")]
    pub(super) against: Option<PathBuf>,
    /// What a list of changes is printed as
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    /// When the log took the event: an instant, or `now`
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub(super) at: String,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Metrics {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// Print rows as they change, until stopped; a row that is gone has "values":null
    #[arg(long)]
    pub(super) follow: bool,
    /// Print the rows of this history instead
    #[arg(long, value_name = "H", conflicts_with = "set_aside")]
    pub(super) history: Option<String>,
    /// Print what was set aside instead: late and duplicate parts, by coordinate
    #[arg(long)]
    pub(super) set_aside: bool,
    /// Only rows of this aggregate
    #[arg(long, value_name = "NAME")]
    pub(super) aggregate: Option<String>,
    /// Only rows of this tenant
    #[arg(long, value_name = "ID")]
    pub(super) tenant: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// Wait for a lake that is behind, at most this long [default: not at all; without a value 5m]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5m")]
    pub(super) wait: Option<String>,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[cfg(all(feature = "kafka", feature = "s3"))]
#[derive(Debug, Args)]
pub(super) struct Topics {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    /// Brokers: see docs/configuration.md
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Make the missing ones, and set what differs, but for what only a person may change
    #[arg(long)]
    pub(super) apply: bool,
    /// Copies of each partition [default: `kafka.replication` of the configuration, 3]. Fewer than 3 have to be asked
    /// for: a broker that is lost may take acknowledged records with it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(super) replication: Option<u32>,
    /// What the list is printed as
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[cfg(all(feature = "kafka", feature = "s3"))]
#[derive(Debug, Args)]
#[command(
    after_help = "Run it where the roles will run, as whom they will run. It changes nothing that a running deployment \
                  notices: it leaves one small object in the store, as every start does, and begins as a producer under \
                  a transactional id that no worker has.\n\n\
                  Each check is ok, weak (it works, and something is given up), missing or unknown. Exit codes: 0 nothing \
                  is missing; 4 something is; 75 brokers or the store are away, and nothing worse; 78 an invalid file."
)]
pub(super) struct Doctor {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    /// Brokers and store: see docs/configuration.md
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Roles that are to run with these rights; the store is looked at for lake only
    #[arg(long, value_name = "ROLES", value_delimiter = ',', default_value = "route,aggregate,lake")]
    pub(super) roles: Vec<RoleName>,
    /// Look at what this verb needs instead
    #[arg(long, value_name = "VERB", conflicts_with = "roles")]
    pub(super) verb: Option<VerbName>,
    /// What the list is printed as
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Prints what it finds and would do; --apply does it, and needs every route worker stopped. What was \
                  counted stays, and what is sent again is counted once.\n\n\
                  Exit codes: 0 nothing to do, or done; 4 something to do, without --apply; 75 the group has another \
                  member."
)]
pub(super) struct Reroute {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// This raw partition, whether it needs it or not; may be given more than once [default: all that need it]
    #[arg(long = "partition", value_name = "P")]
    pub(super) partitions: Vec<u32>,
    /// Take a raw topic that was deleted and made again, from its beginning. The old one's records stay counted
    #[arg(long)]
    pub(super) new_incarnation: bool,
    /// Do it
    #[arg(long)]
    pub(super) apply: bool,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Prints what it would do; --apply does it, and needs every route worker stopped. Stop the lake workers \
                  too if fields change. Then start all workers with NEW: what is left of OLD is counted by OLD. A new \
                  value is null in windows that began before it counted, never a part of a number.\n\n\
                  Exit codes: 0 nothing to do, or done; 4 something to do, without --apply; 75 the group has another \
                  member."
)]
pub(super) struct Cutover {
    /// The topology in force: a file, or a folder that holds topology.yaml
    pub(super) old: PathBuf,
    /// The topology that takes over
    pub(super) new: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// Do it. A run that broke off is made good by the next one
    #[arg(long)]
    pub(super) apply: bool,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Ddl {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[arg(long)]
    pub(super) engine: Engine,
    #[command(flatten)]
    pub(super) place: LakePlace,
    /// Database of the tables, for athena and terraform [default: the topology's name]
    #[arg(long, value_name = "NAME")]
    pub(super) database: Option<String>,
    /// First year that the tables show, for athena and terraform [default: 2020, or what lake.accept takes]
    #[arg(long, value_name = "YEAR")]
    pub(super) from: Option<i32>,
    /// Last year that the tables show [default: 2039]
    #[arg(long, value_name = "YEAR")]
    pub(super) to: Option<i32>,
}

/// Where the lake is.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct LakePlace {
    /// Directory of the embedded log: the SQL names DIR/lake, and only tables that have files [default: ./lake]
    #[arg(long, value_name = "DIR")]
    pub(super) embedded: Option<PathBuf>,
    /// Where the lake is: s3://bucket/prefix
    #[arg(long, value_name = "URL")]
    pub(super) location: Option<String>,
    /// The configuration that names it: see docs/configuration.md
    #[cfg(all(feature = "kafka", feature = "s3"))]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
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
pub(super) struct Redrive {
    /// A file, or a folder that holds topology.yaml
    pub(super) topology: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// Only what was refused for this reason; may be given more than once [default: whatever the reason]
    #[arg(long = "reason", value_name = "R")]
    pub(super) reasons: Vec<String>,
    /// Only what names this tenant; may be given more than once
    #[arg(long = "tenant", value_name = "ID")]
    pub(super) tenants: Vec<String>,
    /// Only this letter, as `ls` prints it; may be given more than once
    #[arg(long = "coordinate", value_name = "COORDINATE")]
    pub(super) coordinates: Vec<String>,
    /// Only records that the log took at this time or later: an instant, a UTC date, or `now`
    #[arg(long, value_name = "TIME")]
    pub(super) from: Option<String>,
    /// Only records that the log took before this time
    #[arg(long, value_name = "TIME")]
    pub(super) to: Option<String>,
    /// Also what would be set aside and not counted, because its windows are closed or it lies in the future
    #[arg(long)]
    pub(super) late: bool,
    /// Also what TOPOLOGY would refuse again: it becomes a new letter that names this one
    #[arg(long)]
    pub(super) refused: bool,
    /// Letters a second at most [default: as fast as they are taken]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rate: Option<u32>,
    /// Do it
    #[arg(long)]
    pub(super) apply: bool,
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    pub(super) shell: Shell,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a share from 0 to 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
