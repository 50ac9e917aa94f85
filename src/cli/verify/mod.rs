//! `verify TOPOLOGY`: the verdict, and exit 4 on any difference.

mod print;
mod progress;
mod state;
mod told;

pub(super) use print::print;

use super::args::{Output, Verify};
use super::exit::Exit;
use super::files;
use super::place::Reading;
use super::progress::grouped;
use super::river::block_on;
use super::when;
use crate::port::{Objects, Reaction, Reader};
use crate::topology::Topology;
use crate::verify::{self, NotVerified, Part, Proved, Report, Scope};
use progress::Progress;
use state::State;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const ASK_AGAIN: Duration = Duration::from_millis(500);

pub(super) fn verify(arguments: &Verify, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let patience = arguments.wait.as_deref().map_or(Ok(Duration::ZERO), when::duration)?;
    let sample = arguments.sample.as_deref().map(sample).transpose()?;
    let began = Instant::now();
    let run = Run { arguments, topology: &topology, until: began + patience };
    let proof = match (&arguments.state, sample) {
        (Some(file), _) => run.steps(file),
        (None, part) => {
            let scope = Scope { part, has_log: part.is_none(), by_hour: arguments.hours };
            run.part(scope, &mut Proved::default(), None)
        }
    };
    if let Some(file) = &arguments.metrics_file {
        told::write(file, &proof, sample, began.elapsed())?;
    }
    let report = proof.map_err(Broken::exit)?;
    match arguments.output {
        Output::Text => print(&report, out)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report).expect("a report is JSON"))?,
    }
    verdict(&report)
}

/// Why there is no verdict.
enum Broken {
    NotVerified(NotVerified),
    Exit(Exit),
}

impl Broken {
    fn exit(self) -> Exit {
        match self {
            Broken::NotVerified(reason) => not_verified(reason),
            Broken::Exit(exit) => exit,
        }
    }
}

struct Run<'a> {
    arguments: &'a Verify,
    topology: &'a Topology,
    until: Instant,
}

impl Run<'_> {
    /// All of it, one part of the tenants after another; what a run that was killed had done is not done again.
    fn steps(&self, file: &std::path::Path) -> Result<Report, Broken> {
        let deployment = self.arguments.place.deployment(self.topology).map_err(Broken::Exit)?;
        let by_hour = self.arguments.hours;
        let mut state = State::load(file, &deployment, self.topology, by_hour).map_err(Broken::Exit)?;
        while let Some(part) = state.next() {
            // The first step also looks at what is nobody's tenant.
            let scope = Scope { part: Some(part), has_log: part.number == 0, by_hour };
            let report = self.part(scope, &mut state.proved, Some(part))?;
            state.done(part, report);
            state.save(file).map_err(Broken::Exit)?;
        }
        let whole = state.whole();
        state.save(file).map_err(Broken::Exit)?;
        Ok(whole)
    }

    fn part(&self, scope: Scope, proved: &mut Proved, step: Option<Part>) -> Result<Report, Broken> {
        loop {
            let reading = self.arguments.place.open_to_read(self.topology).map_err(Broken::Exit)?;
            let Reading { mut reader, objects } = reading;
            let mut progress = Progress::new(step);
            let told = |done, of| progress.tell(done, of);
            let proof = verify::verify_part(self.topology, &mut *reader, &*objects, "", scope, proved, told);
            match block_on(proof) {
                Ok(report) => return Ok(report),
                Err(
                    NotVerified::NotCovered { .. }
                    | NotVerified::Overtaken(_)
                    | NotVerified::OtherConfiguration { .. },
                ) if Instant::now() < self.until => {
                    drop((reader, objects));
                    thread::sleep(ASK_AGAIN);
                }
                Err(reason) => return Err(Broken::NotVerified(reason)),
            }
        }
    }
}

/// `5%` or `1/20`: one of so many parts, another one each hour, so that all of them come up in their time.
fn sample(text: &str) -> Result<Part, Exit> {
    let wrong = || Exit::usage(format_args!("`{text}` is no sample such as 5% or 1/20"));
    let of = match (text.strip_suffix('%'), text.strip_prefix("1/")) {
        (Some(percent), _) => {
            let percent: f64 = percent.parse().map_err(|_| wrong())?;
            let is_share = percent > 0.0 && percent <= 100.0;
            is_share.then(|| (100.0 / percent).round() as u32).ok_or_else(wrong)?
        }
        (None, Some(of)) => of.parse().map_err(|_| wrong())?,
        (None, None) => return Err(wrong()),
    };
    if !(1..=10_000).contains(&of) {
        return Err(wrong());
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let number = u32::try_from(since.as_secs() / 3_600 % u64::from(of)).expect("below a small number");
    Ok(Part { number, of })
}

/// Compares everything. On a terminal it says how far it is.
pub(super) fn prove(
    topology: &Topology,
    reader: &mut dyn Reader,
    objects: &dyn Objects,
) -> Result<Report, NotVerified> {
    let mut progress = Progress::new(None);
    block_on(verify::verify(topology, reader, objects, "", |done, of| progress.tell(done, of)))
}

pub(super) fn not_verified(reason: NotVerified) -> Exit {
    match &reason {
        NotVerified::NotCovered { .. }
        | NotVerified::Overtaken(_)
        | NotVerified::OtherConfiguration { .. } => Exit::away(reason),
        NotVerified::World(failure) if failure.reaction == Reaction::Retry => Exit::away(reason),
        NotVerified::World(_) | NotVerified::Unreadable(_) | NotVerified::BadFile(_) => Exit::failed(reason),
    }
}

/// Exit 4 on any difference.
pub(super) fn verdict(report: &Report) -> Result<(), Exit> {
    match report.difference_count {
        0 => Ok(()),
        count => Err(Exit::drift(format_args!("{} differences", grouped(count)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_share_in_either_form() {
        let of = |text: &str| sample(text).map(|part| part.of);

        assert_eq!((of("5%"), of("1/20"), of("100%"), of("0.5%")), (Ok(20), Ok(20), Ok(1), Ok(200)));
        for wrong in ["", "5", "0%", "-1%", "101%", "1/0", "2/3", "x%", "0.001%"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert!(sample("1/7").unwrap().number < 7);
    }
}
