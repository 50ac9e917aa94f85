//! Which panes an aggregate keeps: one series for each calendar window, one for each pane length of rolling windows.

use super::calendar::{Bounds, Calendar};
use crate::topology::{Aggregate, Micros, Topology, WindowKind, format_duration};

#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// As state records spell it: `day`, or `10s` for the panes of rolling windows.
    pub name: String,
    pub kind: SeriesKind,
}

#[derive(Debug, Clone)]
pub(crate) enum SeriesKind {
    Calendar {
        kind: WindowKind,
        /// The window's place in the aggregate's list.
        window: usize,
        keep: Micros,
    },
    Rolling {
        pane: Micros,
        /// Windows made of these panes: (place in the aggregate's list, length).
        windows: Vec<(usize, Micros)>,
        longest: Micros,
    },
}

/// Where a contribution at one event time goes in one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Into the pane that starts here; no window needs the pane once time has come to `dies_at`.
    Pane { start: Micros, dies_at: Micros },
    /// Its calendar window is closed: set aside.
    Late,
    /// Older than every rolling window: in no row.
    Past,
}

impl Series {
    pub(crate) fn of(aggregate: &Aggregate) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for (place, window) in aggregate.windows.iter().enumerate() {
            match window.kind {
                WindowKind::Rolling { length, pane } => add_rolling(&mut all, place, length, pane),
                kind => {
                    let keep = window.keep;
                    all.push(Series {
                        name: kind.name(),
                        kind: SeriesKind::Calendar { kind, window: place, keep },
                    });
                }
            }
        }
        all
    }

    /// `floor` decides what is late, `now` what a rolling window still reaches.
    pub(crate) fn place(
        &self,
        topology: &Topology,
        calendar: &mut Calendar,
        time: Micros,
        floor: Option<Micros>,
        now: Option<Micros>,
    ) -> Place {
        match &self.kind {
            SeriesKind::Calendar { kind, keep, .. } => {
                let Bounds { start, end } = calendar.window(*kind, time);
                if floor.is_some_and(|floor| end.saturating_add(topology.lateness) <= floor) {
                    return Place::Late;
                }
                Place::Pane { start, dies_at: end.saturating_add(*keep) }
            }
            SeriesKind::Rolling { pane, longest, .. } => {
                let start = time.div_euclid(*pane) * pane;
                let dies_at = start + pane + longest;
                match now {
                    Some(now) if dies_at <= rolling_end(now, *pane) => Place::Past,
                    _ => Place::Pane { start, dies_at },
                }
            }
        }
    }
}

/// Windows that an event at `time` comes too late for, by name: calendar windows that are closed at `floor`, and all of
/// them where nothing is left that it could be counted in.
pub fn late_windows(
    topology: &Topology,
    aggregate: &Aggregate,
    time: Micros,
    floor: Option<Micros>,
) -> Vec<String> {
    let mut calendar = Calendar::new(topology.zone.zone.clone());
    let all = Series::of(aggregate);
    let mut place = |series: &Series| series.place(topology, &mut calendar, time, floor, floor);
    let places: Vec<Place> = all.iter().map(&mut place).collect();
    if places.iter().all(|place| matches!(place, Place::Late | Place::Past)) {
        return aggregate.windows.iter().map(|window| window.kind.name()).collect();
    }
    let late = all.iter().zip(places).filter(|(_, place)| *place == Place::Late);
    late.map(|(series, _)| series.name.clone()).collect()
}

/// Where rolling windows with this pane end: `now`, rounded up to the pane.
pub(crate) fn rolling_end(now: Micros, pane: Micros) -> Micros {
    (now + pane - 1).div_euclid(pane) * pane
}

fn add_rolling(all: &mut Vec<Series>, place: usize, length: Micros, pane: Micros) {
    let same = all.iter_mut().find_map(|series| match &mut series.kind {
        SeriesKind::Rolling { pane: other, windows, longest } if *other == pane => Some((windows, longest)),
        _ => None,
    });
    match same {
        Some((windows, longest)) => {
            windows.push((place, length));
            *longest = (*longest).max(length);
        }
        None => {
            let kind = SeriesKind::Rolling { pane, windows: vec![(place, length)], longest: length };
            all.push(Series { name: format_duration(pane), kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rolling_window_ends_at_the_next_edge_of_its_pane() {
        assert_eq!(rolling_end(10, 10), 10);
        assert_eq!(rolling_end(11, 10), 20);
        assert_eq!(rolling_end(-5, 10), 0);
    }
}
