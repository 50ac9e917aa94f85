//! F29c: brokers refuse the first records of a session, and take those behind them.

use crate::contract::fresh;
use crate::river::{ends_with, produce, proved, topology};
use crate::servers::Kafka;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, Gate, INIT_PRODUCER_ID, NOT_ENOUGH_REPLICAS, PRODUCE, Request, proxy};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;
use thalweg::kafka::KafkaLog;
use thalweg::model::Role;
use thalweg::worker::Halt;

/// How long the line is slow: what a hasty session sends meanwhile is on its way before the first answer comes.
const SLOW: Duration = Duration::from_secs(1);
const EVENTS: u64 = 2_000;

/// The partitions of the repartition topic that were produced to.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<i32>>);

impl Seen {
    /// The first of each partition is refused, and those behind it pass.
    fn judge(&self, request: &Request<'_>) -> Act {
        match request.api() {
            INIT_PRODUCER_ID => Act::Hold(Gate::open_after(SLOW)),
            PRODUCE => {
                let (topic, partition) = request.place();
                if !topic.ends_with(".repartition") || !self.0.lock().unwrap().insert(partition) {
                    return Act::Pass;
                }
                Act::Refuse(Gate::open_after(SLOW), NOT_ENOUGH_REPLICAS)
            }
            _ => Act::Pass,
        }
    }
}

/// A run until idle on a broker that refuses the first records of the route session, late.
fn run(first: fn(Role)) -> Option<Vec<Halt>> {
    let (setup, port) = (Kafka::setup(1)?, Port::reserve());
    let broker = setup.ports()[0];
    let kafka = setup.advertise(&[port.number()]).start();
    let seen = Seen::default();
    proxy(&port, broker, move |request| seen.judge(request));
    let mut settings = fresh(&kafka.bootstrap()).settings().clone();
    // A link and a block are one request.
    settings.client.insert("batch.num.messages".into(), "2".into());
    // Consumers warn that this is not theirs.
    settings.client.insert("log_level".into(), "3".into());
    let (log, topology, lake) = (KafkaLog::new(settings), topology(), tempfile::tempdir().unwrap());
    produce(&log, 11, EVENTS);

    let halts = ends_with(&log, &topology, lake.path(), first);

    if halts.is_empty() {
        proved(&log, &topology, lake.path(), EVENTS);
    }
    Some(halts)
}

#[test]
fn first_records_of_a_session_that_are_refused_leave_no_hole() {
    let Some(halts) = run(|_| ()) else { return };

    assert_eq!(halts, []);
}

/// The fault bites: without the wait for links the client calls records delivered that are not there.
#[cfg(feature = "mutations")]
#[test]
fn blocks_that_are_sent_before_the_links_stand_are_lost_and_the_loss_is_noticed() {
    use thalweg::model::mutation::{Mutation, mutate};

    let Some(halts) = run(|role| mutate((role == Role::Route).then_some(Mutation::LinksNotAwaited))) else {
        return;
    };

    assert!(halts.iter().any(|halt| halt.role == Role::Aggregate), "{halts:?}");
}
