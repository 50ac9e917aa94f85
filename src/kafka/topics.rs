//! The topics of a deployment: what each must be, and making those that are not there.

use super::error::Error;
use super::native::topic_id;
use super::settings::Settings;
use crate::model::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// What one topic must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub topic: Topic,
    pub name: String,
    pub partitions: u32,
    pub settings: BTreeMap<&'static str, String>,
}

/// What the topology and the operator decide.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Of all topics that we make.
    pub partitions: u32,
    pub histories: u16,
    /// The longest `keep`: rows set aside and histories stay at least as long.
    pub keep: Duration,
    pub replication: u32,
    /// How long blocks stay: at least three times the longest outage to survive.
    pub repartition_retention: Duration,
}

/// How often brokers are asked whether they know a topic.
const LOOK: Duration = Duration::from_millis(50);
const HOUR: Duration = Duration::from_secs(3_600);
/// What one record may weigh: a block, with room for its wrapping.
const RECORD_BYTES: usize = 8 << 20;

/// Every topic that we make, with the settings that the protocols lean on.
pub fn wanted(settings: &Settings, shape: &Shape) -> Vec<Wanted> {
    let fixed = [Topic::Repartition, Topic::State, Topic::Metrics, Topic::SetAside, Topic::DeadLetters];
    let histories = (0..shape.histories).map(Topic::History);
    let all = fixed.into_iter().chain(histories);
    all.map(|topic| Wanted {
        topic,
        name: settings.topic(topic),
        partitions: shape.partitions,
        settings: of(topic, shape),
    })
    .collect()
}

fn of(topic: Topic, shape: &Shape) -> BTreeMap<&'static str, String> {
    let ms = |time: Duration| time.as_millis().to_string();
    let mut all = BTreeMap::from([
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("max.message.bytes", RECORD_BYTES.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("min.insync.replicas", shape.replication.saturating_sub(1).max(1).to_string()),
    ]);
    let (policy, more) = match topic {
        Topic::Raw => unreachable!("the raw topic is its producers'"),
        Topic::Repartition => ("delete", vec![("retention.ms", ms(shape.repartition_retention))]),
        Topic::State | Topic::Metrics => ("compact", compaction()),
        Topic::DeadLetters => ("compact", Vec::new()),
        Topic::SetAside => ("delete", vec![("retention.ms", ms(shape.keep.max(24 * HOUR)))]),
        Topic::History(_) => ("compact,delete", vec![("retention.ms", ms(shape.keep.max(24 * HOUR)))]),
    };
    all.insert("cleanup.policy", policy.to_owned());
    all.extend(more);
    all
}

fn compaction() -> Vec<(&'static str, String)> {
    let ms = |time: Duration| time.as_millis().to_string();
    vec![
        ("delete.retention.ms", ms(24 * HOUR)),
        ("min.compaction.lag.ms", ms(Duration::from_secs(60))),
        ("max.compaction.lag.ms", ms(6 * HOUR)),
        ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        ("segment.bytes", (64 << 20).to_string()),
        ("segment.ms", ms(Duration::from_secs(600))),
    ]
}

/// Makes the topics that are not there, and waits until the brokers know them: the controller answers before they do.
/// Changes none that is there.
pub fn create(settings: &Settings, wanted: &[Wanted], replication: u32) -> Result<Vec<String>, Error> {
    let admin: AdminClient<DefaultClientContext> =
        settings.client().create().map_err(|error| Error::call("make a client", &error))?;
    let new = wanted.iter().map(|one| {
        let new = NewTopic::new(
            &one.name,
            i32::try_from(one.partitions).expect("a topic has at most 256 partitions"),
            TopicReplication::Fixed(i32::try_from(replication).expect("few brokers hold a partition")),
        );
        one.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let wait = Some(settings.timeouts.request);
    let options = AdminOptions::new().request_timeout(wait).operation_timeout(wait);
    let results = block_on(admin.create_topics(&new, &options));
    let mut made = Vec::new();
    for result in results.map_err(|error| Error::call("create topics", &error))? {
        match result {
            Ok(name) => made.push(name),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(Error::Call {
                    doing: format!("create topic {name}"),
                    text: code.to_string(),
                    code: Some(code),
                    is_fatal: false,
                });
            }
        }
    }
    for name in &made {
        wait_for(settings, &admin, name)?;
    }
    Ok(made)
}

/// Until the topic is found and every partition of it has a leader.
fn wait_for(settings: &Settings, admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<(), Error> {
    let (client, wait) = (admin.inner(), settings.timeouts.request);
    let end = Instant::now() + wait;
    loop {
        let found = topic_id(client.native_ptr(), name, wait).is_ok();
        let metadata = client.fetch_metadata(Some(name), wait);
        let is_led = metadata.is_ok_and(|metadata| {
            let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
            let mut partitions = topics.flat_map(|topic| topic.partitions()).peekable();
            partitions.peek().is_some()
                && partitions.all(|partition| partition.error().is_none() && partition.leader() >= 0)
        });
        if found && is_led {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Error::Silent(format!("topic {name} was made, and no broker knows it")));
        }
        thread::sleep(LOOK);
    }
}

/// The admin client works on a thread of its own: there is nothing to do here but wait.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_compacted_and_blocks_expire() {
        let shape = Shape {
            partitions: 4,
            histories: 1,
            keep: 48 * HOUR,
            replication: 3,
            repartition_retention: 72 * HOUR,
        };
        let all = wanted(&Settings::new("a:1", "shop", "raw"), &shape);

        let of = |topic: Topic| all.iter().find(|one| one.topic == topic).unwrap();
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|one| one.partitions == 4 && one.settings["min.insync.replicas"] == "2"));
        assert_eq!(of(Topic::State).settings["cleanup.policy"], "compact");
        assert_eq!(of(Topic::Repartition).settings["retention.ms"], (72 * 3_600_000).to_string());
        assert_eq!(of(Topic::History(0)).settings["cleanup.policy"], "compact,delete");
    }
}
