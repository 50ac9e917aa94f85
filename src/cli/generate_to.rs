//! `generate --config FILE`: the made-up events into the raw topic of a deployment, at most so many a second.

use super::demo;
use super::exit::Exit;
use super::files;
use super::progress::grouped;
use super::remote::Remote;
use super::river::block_on;
use super::{say, topic};
use crate::generate::Generator;
use crate::model::{OutRecord, Partition, Topic, TopicPartition};
use crate::port::{Log, Producer};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Sent and not yet acknowledged.
const QUEUED_BYTES: usize = 16 << 20;
const TICK: Duration = Duration::from_millis(20);
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Line *k* goes to partition *k* mod the topic's partitions. Ends once brokers have acknowledged every line.
pub(super) fn send(
    config: &Path,
    of: Option<&Path>,
    mut lines: Generator,
    rate: Option<u64>,
) -> Result<(), Exit> {
    let topology = match of {
        Some(path) => files::load(path)?,
        None => demo::marketplace()?,
    };
    let remote = Remote::open(topology, config)?;
    remote.greet()?;
    let name = remote.log().settings().raw_topic.clone();
    let facts = block_on(remote.log().reader().facts(Topic::Raw)).map_err(topic::failed)?;
    let mut sending = Sending { producer: remote.log().producer(), sent: 0, acknowledged: 0 };
    let (began, mut said) = (Instant::now(), Instant::now());
    let mut line = Vec::new();
    while lines.next_line(&mut line) {
        while rate.is_some_and(|rate| sending.sent >= due(began, rate)) {
            sending.collect(TICK)?;
        }
        while sending.producer.queued_bytes() > QUEUED_BYTES {
            sending.collect(TICK)?;
        }
        let partition = Partition((sending.sent % u64::from(facts.partitions)) as u32);
        sending.send(partition, std::mem::take(&mut line));
        if said.elapsed() >= SAY_EVERY {
            sending.collect(Duration::ZERO)?;
            say(format_args!("{} events sent to {name}", grouped(sending.acknowledged)));
            said = Instant::now();
        }
    }
    while sending.acknowledged < sending.sent {
        sending.collect(TICK)?;
    }
    let took = began.elapsed().as_secs_f64();
    say(format_args!(
        "{} events sent to {name}, {} partitions, in {took:.1} s",
        grouped(sending.sent),
        facts.partitions
    ));
    Ok(())
}

/// How many lines may have gone out by now.
fn due(began: Instant, rate: u64) -> u64 {
    let due = began.elapsed().as_micros() * u128::from(rate) / 1_000_000;
    u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1)
}

struct Sending {
    producer: Box<dyn Producer>,
    sent: u64,
    acknowledged: u64,
}

impl Sending {
    fn send(&mut self, partition: Partition, mut line: Vec<u8>) {
        line.truncate(line.trim_ascii_end().len());
        let record = OutRecord { value: Some(line), ..OutRecord::default() };
        self.producer.send(TopicPartition { topic: Topic::Raw, partition }, record);
        self.sent += 1;
    }

    /// Notes what was acknowledged. The first line that was not ends it: who starts again sends all of it again.
    fn collect(&mut self, wait: Duration) -> Result<(), Exit> {
        if self.acknowledged == self.sent {
            // Nothing can arrive: only time has to pass.
            thread::sleep(wait);
            return Ok(());
        }
        let deliveries = block_on(self.producer.deliveries(wait)).map_err(topic::failed)?;
        for delivery in deliveries {
            delivery.outcome.map_err(|failure| {
                Exit::away(format_args!(
                    "{} of {} events were acknowledged, and then: {failure}",
                    grouped(self.acknowledged),
                    grouped(self.sent)
                ))
            })?;
            self.acknowledged += 1;
        }
        Ok(())
    }
}
