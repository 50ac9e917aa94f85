//! The guarantees of the log's ports, on a real broker.

pub(crate) use crate::fresh::{fresh, now};
use crate::port_contract::{Contract, contract_tests};
use crate::servers::Kafka;
use std::rc::Rc;
use std::time::Duration;
use thalweg::kafka::KafkaLog;
use thalweg::port::Log;

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
