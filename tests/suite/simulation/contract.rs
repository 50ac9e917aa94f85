//! The simulated world keeps the guarantees of the ports, as every adapter does.
//!
//! Two contracts are left out. In one a newer member takes all from the older one, while this world deals partitions
//! out among both; `sim` itself tests that a zombie's commits are refused. In the other a position is asked for while
//! a transaction that moves it is open: here, as with brokers, that waits for the decision.

use crate::port_contract::{Contract, contract_tests, objects_contract};
use std::rc::Rc;
use std::time::Duration;
use thalweg::model::{Incarnation, LogTime};
use thalweg::port::{Log, Objects};
use thalweg::sim::{Faults, Handles, Shape, World};

fn live(life: impl Fn(Handles) -> thalweg::sim::Task + 'static) {
    let (raw_partitions, targets, incarnation) = (2, 2, Incarnation(7));
    let shape = Shape { raw_partitions, targets, incarnation, start: LogTime(0) };
    let mut world = World::new(5, shape, Faults::calm());
    let task = world.spawn(0, life);
    assert!(world.run_until(Duration::from_secs(3600), |world| !world.is_running(task)));
}

fn run(contract: Contract<dyn Log>) {
    live(move |handles| {
        Box::pin(async move {
            contract(handles.log).await;
            Ok(())
        })
    });
}

fn run_objects(contract: Contract<dyn Objects>) {
    live(move |handles| {
        Box::pin(async move {
            contract(handles.objects as Rc<dyn Objects>).await;
            Ok(())
        })
    });
}

contract_tests! { run;
    records_come_in_order_and_as_they_were_sent
    a_delivery_says_where_and_when
    a_read_is_bounded_and_moves_on
    nothing_is_read_before_its_transaction_commits
    nothing_is_ever_read_of_an_aborted_transaction
    a_new_transactional_producer_fences_the_one_before
    a_member_reads_what_it_started_and_did_not_pause
    a_position_comes_back_with_its_metadata
    whoever_left_commits_nothing
    an_idle_poll_ends
    a_topic_keeps_its_incarnation
}

objects_contract!(run_objects);
