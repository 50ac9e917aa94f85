//! Cut-overs that nothing disturbs, and those that zombies do.

use super::{Shop, feed, new, old, undisturbed};
use crate::objects::now;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use thalweg::model::{
    Cutover, HopOne, NextOffset, OutRecord, Partition, Role, RoutingVersion, Source, Topic, TopicPartition,
};
use thalweg::port::Log;
use thalweg::topology::{Topology, check};
use thalweg::worker::cutover;

#[test]
fn a_value_that_comes_while_events_go_on_is_never_a_part_of_a_number() {
    let shop = Shop::new(3_000);
    shop.feed(900);
    shop.runs(&old());
    shop.feed(300);

    let plan = thread::scope(|scope| {
        let (log, rest) = (shop.log.clone(), shop.lines[1_200..1_500].to_vec());
        let producer = scope.spawn(move || {
            for lines in rest.chunks(10) {
                feed(&log, &lines.concat());
                thread::sleep(Duration::from_millis(2));
            }
        });
        let plan = shop.cuts_over();
        producer.join().unwrap();
        plan
    });
    shop.fed.set(1_500);

    let cuts: u64 = plan.cuts.iter().map(|cut| cut.at.0).sum();
    assert!((1_200..=1_500).contains(&cuts), "{plan:?}");
    for more in [100, 700, 700] {
        shop.feed(more);
        shop.runs(&new());
    }
    assert!(shop.nothing_is_partial() > 300);
    assert_eq!(shop.old_values(), undisturbed(3_000));
    shop.balances(&new());
    assert!(shop.cuts_over().is_done(), "nothing is left to be done");
}

/// The old workers need not run again: what they left is counted by their rules all the same.
#[test]
fn what_was_never_counted_is_counted_by_the_topology_that_routed_it() {
    let shop = Shop::new(2_000);
    shop.feed(1_000);
    assert_eq!(shop.run(&old(), &[Role::Route]), []);
    shop.cuts_over();

    shop.feed(1_000);
    shop.runs(&new());

    assert!(shop.nothing_is_partial() > 100);
    assert_eq!(shop.old_values(), undisturbed(2_000));
}

#[test]
fn an_old_worker_stops_at_the_cut_over_by_name_and_commits_what_lies_before() {
    let shop = Shop::new(1_000);
    shop.feed(500);
    shop.runs(&old());
    shop.feed(100);
    shop.cuts_over();

    let halts = shop.run(&old(), &[Role::Aggregate]);
    let routed = shop.run(&old(), &[Role::Route]);
    shop.feed(400);
    shop.runs(&new());

    assert_eq!(halts.len(), 4, "{halts:?}");
    assert!(halts[0].reason.contains("another configuration than this worker's"), "{halts:?}");
    assert!(routed[0].reason.contains("`thalweg cutover OLD NEW` changes it"), "{routed:?}");
    shop.nothing_is_partial();
    assert_eq!(shop.old_values(), undisturbed(1_000));
}

/// A zombie's last commit may come behind the cut-over's.
#[test]
fn a_late_commit_of_the_old_version_is_harmless() {
    let shop = Shop::new(1_000);
    shop.feed(500);
    shop.runs(&old());
    let late = now(shop.log.reader().committed(Role::Route, Partition(0))).unwrap().unwrap();
    shop.feed(100);
    shop.cuts_over();
    shop.feed(100);
    shop.commit(Partition(0), late);

    shop.feed(300);
    shop.runs(&new());

    shop.nothing_is_partial();
    assert_eq!(shop.old_values(), undisturbed(1_000));
}

#[test]
fn there_and_back_and_there_again_begins_a_value_anew() {
    let shop = Shop::new(3_000);
    let (old, new) = (old(), new());
    let over = |from: &Arc<Topology>, to: &Arc<Topology>| {
        let context = shop.context(from, Rc::new(shop.log.clone()), Arc::default());
        now(Box::pin(cutover::apply(&context, to))).unwrap()
    };
    shop.feed(500);
    shop.runs(&old);
    over(&old, &new);
    shop.feed(800);
    shop.runs(&new);
    over(&new, &old);
    shop.feed(300);
    shop.runs(&old);
    over(&old, &new);
    shop.feed(1_400);
    shop.runs(&new);
    shop.balances(&new);

    assert!(shop.nothing_is_partial() > 100);
    assert_eq!(shop.old_values(), undisturbed(3_000));
}

#[test]
fn what_no_cut_over_can_bring_is_refused_before_anything_is_touched() {
    let shop = Shop::new(100);
    shop.feed(100);
    let refused = |from: &str, to: &str| {
        let text = old().text.replacen(from, to, 1);
        let new = Arc::new(check(&text).unwrap_or_else(|problems| panic!("{problems:?}")));
        let context = shop.context(&old(), Rc::new(shop.log.clone()), Arc::default());
        now(Box::pin(cutover::apply(&context, &new))).unwrap_err().to_string()
    };

    let meaning = refused("all: { count: events }", "all: { count: elements }");
    let gone = refused("windows: [hour, day,", "windows: [day,");

    assert!(meaning.contains("needs a new name: aggregates.vendor.values.all"), "{meaning}");
    assert!(gone.contains("aggregates.vendor.windows: hour is gone"), "{gone}");
    assert!(now(shop.log.reader().committed(Role::Route, Partition(0))).unwrap().is_none());
}

/// Nobody can tell whether something that nothing took before the cut would have been counted.
#[test]
fn an_aggregate_that_is_new_shows_no_number_before_it_can_be_whole() {
    let shop = Shop::new(1_200);
    shop.feed(500);
    shop.runs(&old());
    let more = "aggregates:\n  buyer:\n    by: [customer_id]\n    windows: [hour, ever]\n    keep: 31d\n    \
                values: { seen: { count: events } }\n";
    let text = old().text.replacen("aggregates:\n", more, 1);
    let new = Arc::new(check(&text).unwrap_or_else(|problems| panic!("{problems:?}")));
    let context = shop.context(&old(), Rc::new(shop.log.clone()), Arc::default());
    now(Box::pin(cutover::apply(&context, &new))).unwrap();

    shop.feed(700);
    shop.runs(&new);

    let rows = shop.history();
    let of = |window: &str| {
        let is_it = |key: &String| key.contains("\"buyer\"") && key.contains(window);
        rows.iter().filter(|(key, _)| is_it(key)).map(|(_, row)| row).collect::<Vec<_>>()
    };
    // The made-up events are older than the machine's clock, by which the log stamps the cut-over.
    assert!(of("hour").len() > 20 && of("hour").iter().all(|row| row["values"]["seen"].is_null()));
    assert!(of("ever").iter().all(|row| row["values"]["seen"].is_u64() && row["since"]["seen"].is_string()));
    shop.balances(&new);
}

/// A zombie's blocks may come between the last look and the record.
#[test]
fn a_record_that_came_too_late_halts_by_name_and_the_next_cut_over_makes_it_good() {
    let shop = Shop::new(1_000);
    shop.feed(400);
    shop.runs(&old());
    let new = new();
    let incarnation = now(shop.log.reader().facts(Topic::Raw)).unwrap().incarnation;
    let cuts =
        [0, 1].map(|partition| (Source { incarnation, partition: Partition(partition) }, NextOffset(150)));
    let record = HopOne::Cutover(Cutover {
        version: RoutingVersion(new.routing_version),
        configuration: new.configuration_hash,
        cuts: cuts.into(),
        before: old().text.clone(),
    });
    let mut producer = shop.log.producer();
    for partition in (0..4).map(Partition) {
        let record = OutRecord { value: Some(record.encode()), ..OutRecord::default() };
        producer.send(TopicPartition { topic: Topic::Repartition, partition }, record);
    }
    while producer.queued_bytes() > 0 {
        now(producer.deliveries(Duration::from_secs(1))).unwrap();
    }

    shop.feed(10);

    let halts = shop.run(&new, &[Role::Aggregate]);
    let again = shop.cuts_over();
    shop.feed(590);
    shop.runs(&new);

    assert!(halts[0].reason.contains("of which all below 200 was already taken"), "{halts:?}");
    assert_eq!(again.targets, [cutover::Told::Later; 4], "{again:?}");
    shop.nothing_is_partial();
    shop.balances(&new);
    assert_eq!(shop.old_values(), undisturbed(1_000));
}
