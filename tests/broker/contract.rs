//! The guarantees of the log's ports, on a real broker.

use crate::port_contract::{Contract, contract_tests};
use crate::servers::Kafka;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use thalweg::kafka::topics::{self, Shape, Wanted};
use thalweg::kafka::{KafkaLog, Settings};
use thalweg::model::Topic;
use thalweg::port::Log;

/// Deployments that this process has named: each test has topics of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A log with two empty partitions of every topic.
pub(crate) fn fresh(brokers: &str) -> KafkaLog {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("contract-{}-{number}", std::process::id());
    let mut settings = Settings::new(brokers, &name, &format!("{name}.raw"));
    settings.timeouts.heartbeat = Duration::from_millis(300);
    settings.timeouts.session = Duration::from_secs(6);
    settings.timeouts.transaction = Duration::from_secs(5);
    settings.timeouts.request = Duration::from_secs(10);
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

fn run(contract: Contract<dyn Log>) {
    let Some(kafka) = Kafka::shared() else { return };
    // Nobody waits here for the broker to end a transaction by itself; a busy machine may well stand still for so long.
    let mut settings = fresh(&kafka.bootstrap()).settings().clone();
    settings.timeouts.transaction = Duration::from_secs(30);
    now(contract(Rc::new(KafkaLog::new(settings))));
}

// Where a position is asked for while a transaction that moves it is open, brokers wait for the decision; and a newer
// member shares with the older one. Both are tested in `group`.
contract_tests! { run;
    records_come_in_order_and_as_they_were_sent
    a_delivery_says_where_and_when
    a_read_is_bounded_and_moves_on
    nothing_is_read_before_its_transaction_commits
    nothing_is_ever_read_of_an_aborted_transaction
    a_new_transactional_producer_fences_the_one_before
    a_member_reads_what_it_started_and_did_not_pause
    a_poll_ends_while_records_of_a_paused_partition_wait
    a_position_comes_back_with_its_metadata
    whoever_left_commits_nothing
    an_idle_poll_ends
    a_topic_keeps_its_incarnation
}
