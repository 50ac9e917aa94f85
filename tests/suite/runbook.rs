//! Halts that no other test drives through the runbook (I25): the sentence, what a person does then, and the books.

use super::reroute::Shop;
use crate::objects::now;
use std::fs;
use thalweg::model::{NextOffset, Partition, RoutingVersion, Topic};
use thalweg::port::Log;
use thalweg::route::RoutePosition;

impl Shop {
    /// The same topology, but for one place, in a folder of its own.
    fn changed(&self, from: &str, to: &str) -> String {
        let text = fs::read_to_string(format!("{}/topology.yaml", self.topology())).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        fs::write(self.path("changed.yaml"), text.replace(from, to)).unwrap();
        self.path("changed.yaml")
    }
}

#[test]
fn a_position_beyond_the_end_halts_by_name_and_reroute_finds_what_was_counted() {
    let shop = Shop::half_done();
    let beyond = shop.with_log(|log, topology| {
        let end = log.raw_ends()[&Partition(1)];
        let incarnation = now(log.reader().facts(Topic::Raw)).unwrap().incarnation;
        let version = RoutingVersion(topology.routing_version);
        RoutePosition::first(incarnation, version, NextOffset(end.0 + 7), topology.partitions)
    });
    shop.commit(Partition(1), beyond.to_commit());

    let halted = shop.refused(1, "run", &["--until-idle"]);
    shop.fine("reroute", &["--apply"]);

    assert!(halted.contains("position 307 of raw partition 1 is beyond its end 300"), "{halted}");
    shop.balances();
}

/// A change that nobody meant: it is taken back, and nothing has happened.
#[test]
fn another_way_to_route_halts_by_name_until_the_topology_in_force_is_back() {
    let shop = Shop::half_done();
    let other = shop.changed("    by: [vendor_id]\n", "    by: [vendor_id, type]\n");

    let halted = shop.refused_under(&other, "run", &["--until-idle"]);

    for partition in 0..2 {
        let sentence = format!("raw partition {partition} stands at 150 under routing version ");
        assert!(halted.contains(&sentence), "{halted}");
    }
    shop.balances();
}

#[test]
fn another_configuration_of_the_same_values_halts_by_name_until_the_topology_in_force_is_back() {
    let shop = Shop::half_done();
    let other = shop.changed(
        "      completed_orders: { count: events, when: { type: OrderCompleted } }\n      revenue",
        "      completed_orders: { count: events, when: { type: OrderCreated } }\n      revenue",
    );

    let halted = shop.refused_under(&other, "run", &["--roles", "aggregate", "--until-idle"]);

    assert!(halted.contains("the state was made under configuration "), "{halted}");
    shop.balances();
}
