//! What a run does, as a plain line now and then, on standard error.

use super::exit::Exit;
use super::river::{self, River};
use super::say;
use super::topic;
use crate::model::{NextOffset, Partition, Role, Topic, TopicPartition};
use crate::port::{Isolation, Reader};
use crate::worker::{Control, Counts};
use std::sync::Arc;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(2);

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// Records of the raw topic, ever.
    pub(super) raw: u64,
    /// Of these, below no offset commit of route yet. Counted by offsets, so an estimate.
    pub(super) lag: u64,
    pub(super) refused: u64,
    pub(super) units: u64,
    pub(super) duplicates: u64,
    pub(super) late: u64,
    pub(super) rows_written: u64,
    pub(super) commits: u64,
    pub(super) lake_rows: u64,
    pub(super) lake_files: u64,
    pub(super) lake_bytes: u64,
}

impl Moment {
    pub(super) fn now(control: &Control, reader: &mut dyn Reader) -> Result<Self, Exit> {
        let counts = &control.counts;
        let (raw, lag) = lag(reader)?;
        Ok(Moment {
            raw,
            lag,
            refused: Counts::get(&counts.refused),
            units: Counts::get(&counts.units),
            duplicates: Counts::get(&counts.duplicates),
            late: Counts::get(&counts.late),
            rows_written: Counts::get(&counts.rows_written),
            commits: Counts::get(&counts.commits),
            lake_rows: Counts::get(&counts.lake_rows),
            lake_files: Counts::get(&counts.lake_files),
            lake_bytes: Counts::get(&counts.lake_bytes),
        })
    }
}

/// How far the raw topic goes, and how far route's commits are behind.
fn lag(reader: &mut dyn Reader) -> Result<(u64, u64), Exit> {
    let topic = Topic::Raw;
    let partitions = river::block_on(reader.facts(topic)).map_err(topic::failed)?.partitions;
    let (mut raw, mut lag) = (0, 0);
    for partition in (0..partitions).map(Partition) {
        let at = TopicPartition { topic, partition };
        let NextOffset(end) =
            river::block_on(reader.ends(at, Isolation::ReadUncommitted)).map_err(topic::failed)?.next;
        let done = river::block_on(reader.committed(Role::Route, partition)).map_err(topic::failed)?;
        raw += end;
        lag += end.saturating_sub(done.map_or(0, |done| done.next.0));
    }
    Ok((raw, lag))
}

pub(super) struct Progress {
    control: Arc<Control>,
    reader: Box<dyn Reader>,
    began: Instant,
    said_at: Instant,
    said: String,
}

impl Progress {
    pub(super) fn new(river: &River) -> Self {
        Progress::over(Arc::clone(&river.control), river.reader())
    }

    pub(super) fn over(control: Arc<Control>, reader: Box<dyn Reader>) -> Self {
        let began = Instant::now();
        Progress { control, reader, began, said_at: began, said: String::new() }
    }

    pub(super) fn line_if_due(&mut self) -> Result<(), Exit> {
        if self.said_at.elapsed() >= EVERY { self.line() } else { Ok(()) }
    }

    /// A quiet river says nothing twice.
    pub(super) fn line(&mut self) -> Result<(), Exit> {
        let text = Moment::now(&self.control, &mut *self.reader)?.line();
        self.said_at = Instant::now();
        if text != self.said {
            say(format_args!("{:6.1} s  {text}", self.began.elapsed().as_secs_f64()));
            self.said = text;
        }
        Ok(())
    }
}

impl Moment {
    fn line(&self) -> String {
        format!(
            "{} records, lag {}, {} refused, {} units counted, {} duplicates, {} late, {} rows in {} lake files",
            grouped(self.raw),
            grouped(self.lag),
            grouped(self.refused),
            grouped(self.units.saturating_sub(self.duplicates)),
            grouped(self.duplicates),
            grouped(self.late),
            grouped(self.lake_rows),
            grouped(self.lake_files),
        )
    }
}

/// `1,234,567`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
