//! One target partition, walked record by record: what is taken, what is late or a repeat, which rows hold.

use super::oracle::{DAY, HOUR, MINUTE, Order, Raw, Sum, Unit, instant};
use super::workload::{KEEP, LATENESS, PANE, ROLLING, Setting};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use thalweg::model::HopOne;

/// What a key should be at some position.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    Row(Rc<Row>),
    /// No window of it is needed any more: a row that stayed, or a tombstone.
    Dead(Rc<Row>),
    Nothing,
}

/// `values` and `carry`.
type Row = (Value, Value);

impl Expected {
    pub(super) fn is(&self, found: &Value) -> bool {
        match self {
            Expected::Row(row) | Expected::Dead(row) => found["values"] == row.0 && found["carry"] == row.1,
            Expected::Nothing => false,
        }
    }
}

/// Why, and which aggregate's windows are late.
type Aside = (&'static str, BTreeSet<(String, String)>);

#[derive(Debug)]
struct CalendarRow {
    is_vendor: bool,
    dies_at: i64,
    sum: Sum,
    /// Made once for each change: every row is asked for at every position.
    row: RefCell<Option<Rc<Row>>>,
}

#[derive(Debug)]
struct Source {
    hw: Option<u64>,
    time: Option<i64>,
    /// Offsets that are routed here, and how many of them were taken.
    routed: Vec<u64>,
    taken: usize,
}

#[derive(Debug)]
pub(super) struct Walk<'a> {
    raw: &'a Raw,
    setting: &'a Setting,
    target: u32,
    sources: BTreeMap<u32, Source>,
    pub(super) floor: Option<i64>,
    pub(super) now: Option<i64>,
    raw_partitions: u32,
    /// Id and append time of the last units taken.
    recent: VecDeque<(String, i64)>,
    calendar: BTreeMap<String, CalendarRow>,
    /// By key up to `by`, then by start of the pane.
    rolling: BTreeMap<String, BTreeMap<i64, Sum>>,
    /// By key of the set-aside record: reason, and what is late.
    pub(super) set_aside: BTreeMap<String, Aside>,
    pub(super) history: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(raw: &'a Raw, setting: &'a Setting, target: u32) -> Self {
        Walk {
            raw,
            setting,
            target,
            sources: BTreeMap::new(),
            floor: None,
            now: None,
            raw_partitions: 0,
            recent: VecDeque::new(),
            calendar: BTreeMap::new(),
            rolling: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            history: BTreeSet::new(),
        }
    }

    /// Takes the next record of the repartition partition.
    pub(super) fn step(&mut self, append: i64, value: &[u8]) -> Result<(), String> {
        match HopOne::decode(value).map_err(|error| error.to_string())? {
            HopOne::Links(links) => {
                for link in links.links {
                    let raw = self.raw;
                    let source = self.source(link.source.partition.0);
                    let last = link.last.map(|last| last.0);
                    if last > source.hw {
                        return Err(format!("I21: a link states {last:?}, but {:?} is here", source.hw));
                    }
                    source.hw = source.hw.max(link.below.0.checked_sub(1));
                    if let Some(time) = link.at_end
                        && let Some(unsent) = raw.sent_by(link.source.partition.0, time.0, link.below.0)
                    {
                        return Err(format!(
                            "I24: at end by {}, but {unsent} was sent before",
                            instant(time.0)
                        ));
                    }
                    source.time = source.time.max(link.at_end.map(|time| time.0));
                    self.raw_partitions = self.raw_partitions.max(link.raw_partitions);
                    self.move_time();
                }
                Ok(())
            }
            HopOne::Block(block) => self.block(append, &block),
            other => Err(format!("{other:?} without a cause")),
        }
    }

    fn source(&mut self, partition: u32) -> &mut Source {
        let Walk { raw, setting, target, sources, .. } = self;
        sources.entry(partition).or_insert_with(|| {
            let routed = raw.routed(partition, *target, setting.targets);
            Source { hw: None, time: None, routed, taken: 0 }
        })
    }

    fn block(&mut self, append: i64, block: &thalweg::model::Block) -> Result<(), String> {
        let partition = block.source.partition.0;
        let Some(source) = self.sources.get(&partition) else { return Ok(()) };
        if block.prev.map(|prev| prev.0) > source.hw {
            return Ok(());
        }
        for unit in &block.units {
            let source = self.source(partition);
            if Some(unit.offset.0) <= source.hw {
                continue;
            }
            source.hw = Some(unit.offset.0);
            let expected = source.routed.get(source.taken).copied();
            source.taken += 1;
            if expected != Some(unit.offset.0) {
                return Err(format!(
                    "I21: took offset {} of source {partition}, expected {expected:?}",
                    unit.offset
                ));
            }
            let keys: Vec<&[u8]> = block.rows[unit.rows.start as usize..unit.rows.end as usize]
                .iter()
                .map(|row| &block.keys[row.key as usize].prefix[..])
                .collect();
            let histories = (unit.history.end - unit.history.start) as usize;
            self.unit(partition, unit.offset.0, append, &keys, histories)?;
        }
        Ok(())
    }

    fn unit(
        &mut self,
        partition: u32,
        offset: u64,
        append: i64,
        keys: &[&[u8]],
        histories: usize,
    ) -> Result<(), String> {
        let event = self.raw.event(partition, offset).expect("only events are routed");
        let unit = event.unit(self.target, self.setting.targets);
        let mut expected: Vec<&[u8]> = unit.rows.iter().map(|row| row.prefix.as_bytes()).collect();
        let mut found = keys.to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        if found != expected || histories != usize::from(unit.history.is_some()) {
            return Err(format!("I23: source {partition}, offset {offset}: {found:?} is not {expected:?}"));
        }
        self.observe(partition, event.at.min(append + MINUTE));
        let (id, at) = (event.id.clone(), event.at);
        let is_repeat =
            self.recent.iter().any(|(known, time)| *known == id && append - time <= self.setting.horizon);
        self.recent.push_back((id, append));
        if self.recent.len() as u64 > self.setting.last {
            self.recent.pop_front();
        }
        if is_repeat {
            self.put_aside(partition, offset, "duplicate", BTreeSet::new());
        } else if at > append + DAY {
            self.put_aside(partition, offset, "future", BTreeSet::new());
        } else {
            self.count(partition, offset, &unit);
        }
        Ok(())
    }

    fn count(&mut self, partition: u32, offset: u64, unit: &Unit) {
        let event = self.raw.event(partition, offset).expect("counted events are here");
        let mut late = BTreeSet::new();
        for row in &unit.rows {
            let order: Order = (event.at, partition, offset, row.element);
            let (aggregate, windows): (_, &[&str]) =
                if row.is_vendor { ("vendor", &["hour", "day", "month"]) } else { ("item", &["day"]) };
            for window in windows {
                let (start, end) = bounds(window, event.at);
                if self.floor.is_some_and(|floor| end + LATENESS <= floor) {
                    late.insert((aggregate.to_owned(), (*window).to_owned()));
                    continue;
                }
                let key =
                    format!("{},\"window\":\"{window}\",\"start\":\"{}\"}}", row.prefix, instant(start));
                let (is_vendor, dies_at) = (row.is_vendor, end + KEEP);
                let known = self.calendar.entry(key);
                let known = known.or_insert_with(|| CalendarRow {
                    is_vendor,
                    dies_at,
                    sum: Sum::default(),
                    row: RefCell::default(),
                });
                known.sum.add(event, row, order);
                known.row.take();
            }
            if row.is_vendor {
                let panes = self.rolling.entry(row.prefix.clone()).or_default();
                let start = event.at.div_euclid(PANE) * PANE;
                panes.entry(start).or_default().add(event, row, order);
            }
        }
        self.history.extend(unit.history.clone());
        if !late.is_empty() {
            self.put_aside(partition, offset, "late", late);
        }
    }

    fn put_aside(
        &mut self,
        partition: u32,
        offset: u64,
        reason: &'static str,
        late: BTreeSet<(String, String)>,
    ) {
        self.set_aside.insert(format!("{partition}:{offset}"), (reason, late));
    }

    fn observe(&mut self, partition: u32, time: i64) {
        let source = self.source(partition);
        source.time = source.time.max(Some(time));
        self.now = self.now.max(Some(time));
        self.move_time();
    }

    fn move_time(&mut self) {
        self.now = self.now.max(self.sources.values().filter_map(|source| source.time).max());
        let time = |partition| self.sources.get(&partition).and_then(|source| source.time).or(self.floor);
        let times: Option<Vec<i64>> = (0..self.raw_partitions).map(time).collect();
        self.floor = self.floor.max(times.and_then(|times| times.into_iter().min()));
    }

    /// What a reader should find under this key now.
    pub(super) fn expected(&self, key: &str) -> Expected {
        if let Some(prefix) = key.strip_suffix(",\"window\":\"rolling 5m\"}") {
            let Some(now) = self.now else { return Expected::Nothing };
            let end = (now + PANE - 1).div_euclid(PANE) * PANE;
            let panes = self.rolling.get(prefix).map(|panes| panes.range(end - ROLLING..end));
            let sum = Sum::of(panes.into_iter().flatten().map(|(_, sum)| sum));
            return sum.map_or(Expected::Nothing, |sum| Expected::Row(Rc::new(sum.row(true))));
        }
        let Some(row) = self.calendar.get(key) else { return Expected::Nothing };
        let made = row.row.borrow_mut().get_or_insert_with(|| Rc::new(row.sum.row(row.is_vendor))).clone();
        match self.floor.is_some_and(|floor| row.dies_at <= floor) {
            true => Expected::Dead(made),
            false => Expected::Row(made),
        }
    }

    /// All keys that ever had a row.
    pub(super) fn keys(&self) -> Vec<String> {
        let rolling = self.rolling.keys().map(|prefix| format!("{prefix},\"window\":\"rolling 5m\"}}"));
        self.calendar.keys().cloned().chain(rolling).collect()
    }

    /// The next offset of a source that is not known to be here.
    pub(super) fn next_of(&self, partition: u32) -> u64 {
        self.sources.get(&partition).and_then(|source| source.hw).map_or(0, |hw| hw + 1)
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = u32> {
        self.sources.keys().copied()
    }

    /// Is all of every source here?
    pub(super) fn is_complete(&self) -> Result<(), String> {
        for partition in 0..self.setting.raw_partitions {
            let (next, end) = (self.next_of(partition), self.raw.end(partition));
            let left = self.sources.get(&partition).map(|source| source.routed.len() - source.taken);
            if next < end || left.is_some_and(|left| left > 0) {
                return Err(format!(
                    "I21: source {partition} stands at {next} of {end}, {left:?} units left"
                ));
            }
        }
        Ok(())
    }
}

/// [start, end) of a calendar window in UTC.
fn bounds(window: &str, at: i64) -> (i64, i64) {
    let length = match window {
        "hour" => HOUR,
        "day" => DAY,
        _ => return month(at.div_euclid(DAY)),
    };
    let start = at.div_euclid(length) * length;
    (start, start + length)
}

/// Walks from the first of January 2020 on: plain, and shared with nobody.
fn month(day: i64) -> (i64, i64) {
    let (mut year, mut month, mut first) = (2020, 1, 18_262);
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if day < first + days {
            return (first * DAY, (first + days) * DAY);
        }
        first += days;
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
}
