//! The command line: one file per verb. The only room that joins adapters and worker, that reads files
//! which a person names, and that prints.
//!
//! In: arguments. Out: results on standard output, everything else on standard error, and an exit code
//! (0 fine, 1 failed, 2 usage, 3 a failed case, 4 drift, 75 away or locked, 78 an invalid file,
//! 130 and 143 signals). Promises: a closed pipe ends a verb and is no failure; whatever is wrong with a
//! file is said before anything is started or written. Never: a decision about an event.

mod args;
mod cases;
mod check;
mod completions;
mod cutover;
mod ddl;
mod dead_letters;
mod demo;
mod describe;
mod exit;
mod explain;
mod files;
mod generate;
mod heap;
mod lake_files;
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

use args::{Arguments, Verb};
use clap::Parser;
use exit::Exit;
use std::io::{self, Write};
use std::process::ExitCode;

/// Arguments → verb → exit code.
pub fn main() -> ExitCode {
    heap::keep_small();
    let arguments = Arguments::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let ended = perform(arguments.verb, &mut out).and_then(|()| Ok(out.flush()?));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            // What was printed before things went wrong is still true.
            let _ = out.flush();
            if !exit.message.is_empty() {
                say(format_args!("thalweg: {}", exit.message));
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
        Verb::Reroute(arguments) => reroute::reroute(&arguments, out),
        Verb::Cutover(arguments) => cutover::cutover(&arguments, out),
        Verb::Ddl(arguments) => ddl::ddl(&arguments, out),
        Verb::DeadLetters(arguments) => dead_letters::dead_letters(&arguments, out),
        Verb::Completions(arguments) => completions::completions(&arguments, out),
    }
}

/// A line on standard error. If that is closed, nobody wants to know.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
