//! Taking a cut-over: from here on the worker's own topology counts.

use super::calendar::EVER;
use super::era::{Era, SinceTable};
use super::series::SeriesKind;
use super::sources::Halt;
use super::target::Target;
use crate::model::{Cutover, LogTime, NextOffset, Offset};
use crate::topology::{Micros, WindowKind, check, takes_alike};
use std::sync::Arc;

impl Target {
    /// The state was read as this topology's before ([`super::Restoring::crossing`]); what is left is the version, and
    /// since when its new values count. That is decided by what the log had brought up to here and by nothing else: a
    /// pane that time has left behind changes nothing, whether or not its memory was freed.
    pub(crate) fn cross(&mut self, offset: Offset, append: LogTime, cutover: &Cutover) -> Result<(), Halt> {
        if !self.sources.cutover(cutover, self.topology.configuration_hash)? {
            return Ok(());
        }
        let old = check(&cutover.before).map_err(|problems| Halt::UnknownTopology {
            problem: problems.first().map(ToString::to_string).unwrap_or_default(),
        })?;
        let latest = self.latest_panes();
        let now = self.sources.now;
        // An event that nothing took before has left no pane, and lies no further ahead than events may.
        let unseen = append.0.saturating_add(old.accept_future);
        let era = Era::of(&old, NextOffset(offset.0)).adds(&old, &self.topology, |aggregate, kind| {
            let series = self.series[aggregate].iter().position(|series| series.holds(kind));
            let is_seen = takes_alike(&old, &self.topology, &self.topology.aggregates[aggregate].name);
            let unseen = Some(unseen).filter(|_| !is_seen);
            now.max(unseen).max(series.and_then(|series| latest[aggregate][series]))
        });
        self.sources.eras.push(Arc::new(era));
        self.since = SinceTable::of(&self.topology, &self.sources.eras);
        Ok(())
    }

    /// For each series of each aggregate where its last pane ends; `ever` has no end.
    fn latest_panes(&self) -> Vec<Vec<Option<Micros>>> {
        let mut calendar = self.calendar.clone();
        let mut latest: Vec<Vec<Option<Micros>>> =
            self.series.iter().map(|series| vec![None; series.len()]).collect();
        for id in self.entities.ids() {
            let entity = self.entities.get(id);
            let aggregate = usize::from(entity.aggregate);
            for (pane, _) in &entity.panes {
                let end = match &self.series[aggregate][usize::from(pane.series)].kind {
                    SeriesKind::Calendar { kind, .. } => calendar.window(*kind, pane.start).end,
                    SeriesKind::Rolling { pane: length, .. } => pane.start + length,
                };
                if end != EVER.end {
                    let known = &mut latest[aggregate][usize::from(pane.series)];
                    *known = (*known).max(Some(end));
                }
            }
        }
        latest
    }
}

impl super::series::Series {
    /// Is the window made of these panes?
    fn holds(&self, wanted: WindowKind) -> bool {
        match (&self.kind, wanted) {
            (SeriesKind::Calendar { kind, .. }, _) => *kind == wanted,
            (SeriesKind::Rolling { pane, .. }, WindowKind::Rolling { pane: of, .. }) => *pane == of,
            (SeriesKind::Rolling { .. }, _) => false,
        }
    }
}
