//! The command line: one file per verb. The only room that joins adapters and worker, that reads files
//! which a person names, and that prints.
//!
//! In: arguments. Out: results on standard output, everything else on standard error, and an exit code
//! (0 fine, 1 failed, 2 usage, 3 a failed case, 4 drift, 75 away or locked, 78 an invalid file,
//! 130 and 143 signals). Promises: a closed pipe ends a verb and is no failure; whatever is wrong with a
//! file is said before anything is started or written. Never: a decision about an event.

#[cfg(all(feature = "kafka", feature = "s3"))]
mod admin;
mod args;
mod cases;
mod check;
mod completions;
mod cutover;
mod ddl;
mod dead_letters;
mod demo;
mod describe;
#[cfg(all(feature = "kafka", feature = "s3"))]
mod doctor;
mod exit;
mod explain;
#[cfg(debug_assertions)]
mod failpoint;
mod files;
mod generate;
#[cfg(all(feature = "kafka", feature = "s3"))]
mod generate_to;
mod heap;
#[cfg(all(feature = "kafka", feature = "s3"))]
mod iam;
mod lake_files;
#[cfg(all(feature = "kafka", feature = "s3"))]
mod log;
mod memory;
mod metrics;
mod place;
mod progress;
#[cfg(all(feature = "kafka", feature = "s3"))]
mod remote;
mod reroute;
mod river;
mod row;
mod run;
mod test;
mod topic;
#[cfg(all(feature = "kafka", feature = "s3"))]
mod topics;
mod verify;
mod when;
#[cfg(debug_assertions)]
mod wrong_clock;

use args::Verb;
use clap::Parser;
use exit::Exit;
use std::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;

/// Arguments → verb → exit code.
pub fn main() -> ExitCode {
    heap::keep_small();
    let arguments = args::Arguments::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let ended = perform(arguments.verb, &mut out).and_then(|()| Ok(out.flush()?));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            // What was printed before things went wrong is still true.
            let _ = out.flush();
            if !exit.message.is_empty() {
                match is_logged() {
                    true => say_as(Weight::Error, format_args!("{}", exit.message)),
                    false => say(format_args!("thalweg: {}", exit.message)),
                }
            }
            ExitCode::from(exit.code)
        }
    }
}

fn perform(verb: Verb, out: &mut dyn Write) -> Result<(), Exit> {
    match verb {
        Verb::Demo(arguments) => demo::demo(&arguments, out),
        Verb::Generate(arguments) => generate::generate(&arguments, out),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Check(arguments) => check::check(&arguments, out),
        Verb::Describe(arguments) => describe::describe(&arguments, out),
        Verb::Explain(arguments) => explain::explain(&arguments, out),
        Verb::Test(arguments) => test::test(&arguments, out),
        Verb::Metrics(arguments) => metrics::metrics(&arguments, out),
        Verb::Verify(arguments) => verify::verify(&arguments, out),
        #[cfg(all(feature = "kafka", feature = "s3"))]
        Verb::Topics(arguments) => topics::topics(&arguments, out),
        #[cfg(all(feature = "kafka", feature = "s3"))]
        Verb::Doctor(arguments) => doctor::doctor(&arguments, out),
        Verb::Reroute(arguments) => reroute::reroute(&arguments, out),
        Verb::Cutover(arguments) => cutover::cutover(&arguments, out),
        Verb::Ddl(arguments) => ddl::ddl(&arguments, out),
        Verb::DeadLetters(arguments) => dead_letters::dead_letters(&arguments, out),
        Verb::Completions(arguments) => completions::completions(&arguments, out),
    }
}

/// How much a line matters, where a log is kept.
#[derive(Debug, Clone, Copy)]
enum Weight {
    /// Somebody must act.
    Error,
    Warn,
    Info,
}

/// A line on standard error. If that is closed, nobody wants to know.
fn say(line: Arguments<'_>) {
    say_as(Weight::Info, line);
}

fn say_as(weight: Weight, line: Arguments<'_>) {
    if !is_logged() {
        let _ = writeln!(io::stderr().lock(), "{line}");
        return;
    }
    match weight {
        Weight::Error => tracing::error!("{line}"),
        Weight::Warn => tracing::warn!("{line}"),
        Weight::Info => tracing::info!("{line}"),
    }
}

/// Does this process keep a log? Else it speaks to a person.
fn is_logged() -> bool {
    tracing::dispatcher::has_been_set()
}
