//! Names that nobody else has, for deployments of tests.
#![allow(dead_code, reason = "two test binaries include this, and none of them uses all of it")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use thalweg::kafka::topics::{self, Shape, Wanted};
use thalweg::kafka::{KafkaLog, Settings};
use thalweg::model::Topic;

/// Deployments that this process has named: each test has topics of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Of a deployment that has no topics yet, with short time-outs.
pub(crate) fn settings(brokers: &str) -> Settings {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("contract-{}-{number}", std::process::id());
    let mut settings = Settings::new(brokers, &name, &format!("{name}.raw"));
    settings.timeouts.heartbeat = Duration::from_millis(300);
    settings.timeouts.session = Duration::from_secs(6);
    settings.timeouts.transaction = Duration::from_secs(5);
    settings.timeouts.request = Duration::from_secs(10);
    settings
}

/// A log with two empty partitions of every topic.
pub(crate) fn fresh(brokers: &str) -> KafkaLog {
    let settings = settings(brokers);
    let shape = Shape {
        partitions: 2,
        histories: 1,
        keep: Duration::from_secs(86_400),
        replication: 1,
        repartition_retention: Duration::from_secs(86_400),
    };
    let mut wanted = topics::wanted(&settings, &shape);
    wanted.push(Wanted {
        topic: Topic::Raw,
        name: settings.raw_topic.clone(),
        partitions: 2,
        settings: [("message.timestamp.type", "LogAppendTime".to_owned())].into(),
    });
    let made = topics::create(&settings, &wanted, 1).unwrap();
    assert_eq!(made.len(), wanted.len());
    KafkaLog::new(settings)
}

/// Polls a future that never waits for anybody else.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a call of the adapter blocks, and is done when it returns"),
    }
}
