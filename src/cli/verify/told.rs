//! How a proof ended, as metrics in a file.

use super::Broken;
use super::state::write_whole;
use crate::cli::exit::Exit;
use crate::telemetry::{self, Exposition};
use crate::verify::{Kind, NotVerified, Part, Report};
use std::path::Path;
use std::time::{Duration, SystemTime};

const KINDS: [(Kind, &str); 7] = [
    (Kind::Row, "row"),
    (Kind::History, "history"),
    (Kind::Repeat, "repeat"),
    (Kind::File, "file"),
    (Kind::Chunk, "chunk"),
    (Kind::Chain, "chain"),
    (Kind::DeadLetter, "dead_letter"),
];
const VERDICTS: [&str; 4] = ["green", "different", "not_covered", "failed"];

pub(super) fn write(
    file: &Path,
    proof: &Result<Report, Broken>,
    sample: Option<Part>,
    took: Duration,
) -> Result<(), Exit> {
    let ended = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    write_whole(file, &text(proof, sample, took, ended))
}

fn text(proof: &Result<Report, Broken>, sample: Option<Part>, took: Duration, ended: Duration) -> String {
    let mut told = Exposition::default();
    let verdict = match proof {
        Ok(report) if report.is_green() => "green",
        Ok(_) => "different",
        Err(Broken::NotVerified(NotVerified::NotCovered { .. } | NotVerified::Overtaken(_))) => "not_covered",
        Err(Broken::NotVerified(_) | Broken::Exit(_)) => "failed",
    };
    for one in VERDICTS {
        told.set(&telemetry::VERIFY_VERDICT, &[one], one == verdict);
    }
    told.set(&telemetry::VERIFY_SAMPLE, &[], sample.map_or(1.0, |part| 1.0 / f64::from(part.of)));
    told.set(&telemetry::VERIFY_DURATION, &[], took.as_secs_f64());
    told.set(&telemetry::VERIFY_TIME, &[], ended.as_secs_f64());
    // What was not found out is left out, and not called nothing.
    if let Ok(report) = proof {
        for (kind, name) in KINDS {
            told.set(&telemetry::VERIFY_DIFFERENCES, &[name], of_kind(report, kind));
        }
        told.set(&telemetry::VERIFY_NOT_PROVABLE, &[], report.not_provable.len());
        told.set(&telemetry::VERIFY_GAPS, &[], report.gaps.len());
        told.set(&telemetry::VERIFY_EVENTS, &[], report.events);
        told.set(&telemetry::VERIFY_ROWS, &[], report.rows);
    }
    told.text()
}

/// Those beyond the ones that are kept are taken to be of the same kinds.
fn of_kind(report: &Report, kind: Kind) -> u64 {
    let kept = report.differences.len() as u64;
    let these = report.differences.iter().filter(|one| one.kind == kind).count() as u64;
    if kept == 0 { 0 } else { (these * report.difference_count).div_ceil(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_told_of_a_verdict_and_none_is_invented_without_one() {
        let text_of = |proof| text(&proof, None, Duration::from_secs(2), Duration::from_secs(5));

        let green = text_of(Ok(Report { rows: 7, ..Report::default() }));
        let broken = text_of(Err(Broken::Exit(Exit::failed("x"))));

        let names = telemetry::VERIFY.iter().map(|metric| metric.name);
        assert!(names.clone().all(|name| green.contains(&format!("# TYPE {name} gauge"))), "{green}");
        assert!(green.contains("\nthalweg_verify_rows 7\n"), "{green}");
        assert!(green.contains("\nthalweg_verify_verdict{verdict=\"green\"} 1\n"), "{green}");
        assert!(broken.contains("\nthalweg_verify_verdict{verdict=\"failed\"} 1\n"), "{broken}");
        assert!(!broken.contains("thalweg_verify_differences"), "{broken}");
    }
}
