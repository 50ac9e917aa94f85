//! What a proof has done so far, in a file: so that one that was killed goes on, and the next one is shorter.
//!
//! A proof goes in steps, each of them the tenants of one part; a step that is done stays done for a day, as long as
//! deployment and configuration are the same. Chunks of the lake that were once compared with the raw log stay compared
//! for ever: their checksums are those of their plans, which never change.

use crate::cli::exit::Exit;
use crate::cli::{files, say};
use crate::topology::Topology;
use crate::verify::{Part, Proved, Report};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FORMAT: u32 = 1;
/// More steps lose less to a kill, and read metrics and state more often.
const STEPS: u32 = 8;
const STALE_SECONDS: i64 = 86_400;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: u32,
    deployment: String,
    configuration: String,
    by_hour: bool,
    /// When the first of these steps was done: Unix time.
    began: i64,
    of: u32,
    steps: BTreeMap<u32, Report>,
    pub(super) proved: Proved,
}

impl State {
    /// From the file, or anew if there is none, or it is of something else.
    pub(super) fn load(
        file: &Path,
        deployment: &str,
        topology: &Topology,
        by_hour: bool,
    ) -> Result<State, Exit> {
        let mut new = State {
            format: FORMAT,
            deployment: deployment.to_owned(),
            configuration: format!("{:016x}", topology.configuration_hash),
            by_hour,
            began: Timestamp::now().as_second(),
            of: STEPS,
            steps: BTreeMap::new(),
            proved: Proved::default(),
        };
        if !file.exists() {
            return Ok(new);
        }
        let known: State = serde_json::from_str(&files::read_text(file)?).map_err(|error| {
            Exit::invalid(format_args!("{} is no state of a verify: {error}; delete it", file.display()))
        })?;
        if (known.format, &known.deployment) != (FORMAT, &new.deployment) {
            return Err(Exit::invalid(format_args!(
                "{} is of deployment {}, in format {}: give another file, or delete it",
                file.display(),
                known.deployment,
                known.format
            )));
        }
        new.proved = known.proved;
        let is_same = (&known.configuration, known.by_hour, known.of) == (&new.configuration, by_hour, STEPS);
        let is_fresh = (0..STALE_SECONDS).contains(&(new.began - known.began));
        if is_same && is_fresh {
            (new.steps, new.began) = (known.steps, known.began);
        }
        if !new.steps.is_empty() || !new.proved.is_empty() {
            say(format_args!(
                "verify: {} of {STEPS} steps and {} chunks were proved before",
                new.steps.len(),
                new.proved.len()
            ));
        }
        Ok(new)
    }

    /// What is to be done next, if anything is.
    pub(super) fn next(&self) -> Option<Part> {
        let number = (0..self.of).find(|number| !self.steps.contains_key(number))?;
        Some(Part { number, of: self.of })
    }

    pub(super) fn done(&mut self, part: Part, report: Report) {
        self.steps.insert(part.number, report);
    }

    /// The verdict over all steps; the next proof begins anew.
    pub(super) fn whole(&mut self) -> Report {
        let mut whole = Report::default();
        std::mem::take(&mut self.steps).into_values().for_each(|report| whole.add(report));
        self.began = Timestamp::now().as_second();
        whole
    }

    /// Whole, or as it was before.
    pub(super) fn save(&self, file: &Path) -> Result<(), Exit> {
        write_whole(file, &serde_json::to_string(self).expect("a state is JSON"))
    }
}

/// A reader of the file sees the old text or the new one.
pub(super) fn write_whole(file: &Path, text: &str) -> Result<(), Exit> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| Exit::failed(format_args!("cannot write {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        let text = include_str!("../../../topologies/flights/topology.yaml");
        crate::topology::check(text).unwrap()
    }

    #[test]
    fn steps_that_are_done_are_not_done_again_unless_something_changed() {
        let (dir, topology) = (tempfile::tempdir().unwrap(), topology());
        let file = dir.path().join("state.json");
        let load = |by_hour| State::load(&file, "d", &topology, by_hour).unwrap();
        let mut state = load(false);
        assert_eq!(state.next(), Some(Part { number: 0, of: STEPS }));
        state.done(Part { number: 0, of: STEPS }, Report { events: 5, ..Report::default() });
        state.save(&file).unwrap();

        assert_eq!(load(false), state);
        assert_eq!(load(false).next(), Some(Part { number: 1, of: STEPS }));
        assert_eq!(load(true).next().map(|part| part.number), Some(0));
        let changed = Topology { configuration_hash: 1, ..topology.clone() };
        let other = State::load(&file, "d", &changed, false).unwrap();
        assert_eq!(other.next().map(|part| part.number), Some(0));
        assert_eq!(State::load(&file, "e", &topology, false).unwrap_err().code, 78);
        State { began: state.began - STALE_SECONDS, ..state }.save(&file).unwrap();
        assert_eq!(load(false).next().map(|part| part.number), Some(0));
        fs::write(&file, "{}").unwrap();
        assert_eq!(State::load(&file, "d", &topology, false).unwrap_err().code, 78);
    }

    #[test]
    fn the_whole_is_the_sum_of_its_steps() {
        let mut state = State::load(Path::new("/nowhere/at/all"), "d", &topology(), false).unwrap();
        for number in 0..STEPS {
            let events = u64::from(number);
            state.done(
                Part { number, of: STEPS },
                Report { events, difference_count: 1, ..Report::default() },
            );
        }
        assert_eq!(state.next(), None);

        let whole = state.whole();

        assert_eq!((whole.events, whole.difference_count, whole.part), (28, 8, None));
        assert_eq!(state.next().map(|part| part.number), Some(0));
    }
}
