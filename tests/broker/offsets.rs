//! F39: positions that somebody deleted, moved or let expire, and records that retention took before they were read.
//!
//! Brokers forget a group's offsets after a time, and tools delete and move them: a deleted offset is what an expired one
//! is. What each role makes of that differs. `route` has no other word for its position, so it halts and `reroute` finds
//! it again; the commit record is `aggregate`'s, the chain the lake's, and their groups are only hints.

use crate::contract::now;
use crate::deployment::Deployment;
use crate::port_contract::at;
use crate::river::produce;
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::{NextOffset, Partition, Role, Topic};
use thalweg::port::{Isolation, Log};

const PATIENCE: Duration = Duration::from_secs(60);
const ROLES: [Role; 3] = [Role::Route, Role::Aggregate, Role::Lake];
const NO_OFFSET: &str = "is not ours: it was routed before, but has no committed offset; \
                         stop every route worker and run `thalweg reroute`";

impl Deployment {
    /// Kafka's own tool for groups.
    #[track_caller]
    fn groups(&self, kafka: &Kafka, role: Role, more: &[&str]) {
        let group = self.log.settings().group(role);
        let arguments = [&["--group", group.as_str()], more].concat();
        self.tool(kafka, "consumer.group.ConsumerGroupCommand", &arguments);
    }

    #[track_caller]
    fn delete_group(&self, kafka: &Kafka, role: Role) {
        self.groups(kafka, role, &["--delete"]);
        assert_eq!(self.position(role, 0), None, "the group is still there");
    }

    /// Of the topic that the role reads; all of its partitions, or one.
    #[track_caller]
    fn delete_offsets(&self, kafka: &Kafka, role: Role, of: &str) {
        self.groups(kafka, role, &["--delete-offsets", "--topic", of]);
    }

    #[track_caller]
    fn move_offset(&self, kafka: &Kafka, role: Role, of: &str, to: u64) {
        let to = to.to_string();
        self.groups(kafka, role, &["--reset-offsets", "--topic", of, "--to-offset", &to, "--execute"]);
    }

    fn position(&self, role: Role, partition: u32) -> Option<u64> {
        let committed = now(self.log.reader().committed(role, Partition(partition))).unwrap();
        committed.map(|committed| committed.next.0)
    }

    #[track_caller]
    fn until_at(&self, role: Role, partition: u32, to: u64) {
        let end = Instant::now() + PATIENCE;
        while self.position(role, partition) != Some(to) {
            let at = self.position(role, partition);
            assert!(Instant::now() < end, "{role:?} of partition {partition} is at {at:?} and not at {to}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// As retention does: what stands before these offsets is gone.
    #[track_caller]
    fn delete_records(&self, kafka: &Kafka, topic: Topic, before: &[(u32, u64)]) {
        let name = self.log.settings().topic(topic);
        let mut partitions = String::new();
        for (partition, offset) in before {
            let comma = if partitions.is_empty() { "" } else { "," };
            write!(partitions, r#"{comma}{{"topic":"{name}","partition":{partition},"offset":{offset}}}"#)
                .unwrap();
        }
        let file = self.folder.path().join("delete.json");
        fs::write(&file, format!(r#"{{"version":1,"partitions":[{partitions}]}}"#)).unwrap();
        self.tool(kafka, "DeleteRecordsCommand", &["--offset-json-file", file.to_str().unwrap()]);
        for &(partition, offset) in before {
            let ends = now(self.log.reader().ends(at(topic, partition), Isolation::ReadCommitted)).unwrap();
            assert_eq!(ends.first, NextOffset(offset), "{name}-{partition}");
        }
    }

    /// Events and refused records that `verify` found in lake and log; nothing differs.
    #[track_caller]
    fn balanced(&self) -> (u64, Value) {
        let report = self.verified();
        assert_eq!(report["difference_count"], 0, "{report}");
        let records = report["events"].as_u64().unwrap() + report["refused"].as_u64().unwrap();
        (records, report["gaps"].clone())
    }
}

/// A deployment that has done 1,000 records of each of two raw partitions, and has 500 more of each to do.
fn half_done(kafka: &Kafka, store: &S3, seed: u64) -> Deployment {
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, seed, 2_000);
    deployment.fine("run", &["--until-idle"]);
    assert_eq!(deployment.position(Role::Route, 0), Some(1_000));
    produce(&deployment.log, seed + 1, 1_000);
    deployment
}

#[test]
fn deleted_groups_lose_and_double_nothing_and_route_halts_until_it_is_rerouted() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = half_done(kafka, store, 41);
    ROLES.iter().for_each(|&role| deployment.delete_group(kafka, role));

    // Wherever a first start would begin: this is none.
    for start in ["earliest", "latest"] {
        let halted = deployment.refused(1, "run", &["--until-idle", "--start", start]);
        for partition in 0..2 {
            let sentence = format!("the position of raw partition {partition} {NO_OFFSET}");
            assert!(halted.contains(&sentence), "{halted}");
        }
        assert_eq!(deployment.position(Role::Route, 0), None, "nothing was committed");
    }
    let shown = deployment.refused(4, "reroute", &[]);
    deployment.fine("reroute", &["--apply"]);
    deployment.fine("run", &["--until-idle"]);

    for partition in 0..2 {
        let restart = format!("raw partition {partition}: from 1000 on, had no position: the group has no");
        assert!(shown.contains(&restart), "{shown}");
    }
    deployment.proved(3_000);
    assert_eq!(deployment.balanced(), (3_000, json!([])));
}

#[test]
fn aggregate_and_lake_go_on_by_themselves_when_their_groups_are_deleted() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = half_done(kafka, store, 43);
    deployment.delete_group(kafka, Role::Aggregate);
    deployment.delete_group(kafka, Role::Lake);

    deployment.fine("run", &["--until-idle", "--start", "latest"]);

    deployment.proved(3_000);
    assert_eq!(deployment.balanced(), (3_000, json!([])));
    assert_eq!(deployment.position(Role::Lake, 1), Some(1_500), "the hint is there again");
}

#[test]
fn expired_offsets_are_found_again_and_what_retention_took_unread_stands_as_a_gap() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = half_done(kafka, store, 45);
    let raw = deployment.log.settings().raw_topic.clone();
    // Of partition 0 two hundred were never read; of partition 1 all that is gone was.
    deployment.delete_records(kafka, Topic::Raw, &[(0, 1_200), (1, 800)]);
    deployment.delete_offsets(kafka, Role::Route, &raw);
    deployment.delete_offsets(kafka, Role::Lake, &raw);
    deployment.delete_offsets(kafka, Role::Aggregate, &deployment.log.settings().topic(Topic::Repartition));
    for role in ROLES {
        assert_eq!(deployment.position(role, 0), None, "{role:?}");
    }

    let halted = deployment.refused(1, "run", &["--until-idle"]);
    let done = deployment.fine("reroute", &["--apply"]);
    deployment.fine("run", &["--until-idle"]);

    assert!(halted.contains(&format!("the position of raw partition 0 {NO_OFFSET}")), "{halted}");
    assert!(done.contains("raw partition 0: from 1000 on, had no position"), "{done}");
    assert!(done.contains("raw partition 1: from 1000 on, had no position"), "{done}");
    let gaps = json!(["lake: raw partition 0, [1000, 1200)", "metrics: raw partition 0, [1000, 1200)"]);
    assert_eq!(deployment.balanced(), (2_800, gaps.clone()));
    // For ever, and only once.
    deployment.fine("run", &["--until-idle"]);
    assert_eq!(deployment.balanced(), (2_800, gaps));
}

#[test]
fn what_retention_took_before_it_was_read_is_a_gap_without_a_halt() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = half_done(kafka, store, 47);
    // One of them has nothing left.
    deployment.delete_records(kafka, Topic::Raw, &[(0, 1_200), (1, 1_500)]);

    deployment.fine("run", &["--until-idle"]);

    let of = |output: &str| {
        [
            format!("{output}: raw partition 0, [1000, 1200)"),
            format!("{output}: raw partition 1, [1000, 1500)"),
        ]
    };
    assert_eq!(deployment.balanced(), (2_300, json!([of("lake"), of("metrics")].concat())));
}

/// It is paused, so that none of what goes was fetched before.
#[test]
fn retention_that_overtakes_a_running_worker_is_a_gap_and_the_worker_goes_on() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 55, 2_000);
    let mut worker = deployment.worker(0);
    (0..2).for_each(|partition| deployment.until_at(Role::Route, partition, 1_000));
    // The lake has read them, and has not sealed them yet.
    thread::sleep(Duration::from_secs(2));
    let signal = |signal| kill_process(Pid::from_child(&worker), signal).unwrap();
    signal(Signal::STOP);
    produce(&deployment.log, 56, 1_000);
    deployment.delete_records(kafka, Topic::Raw, &[(0, 1_200)]);

    signal(Signal::CONT);
    (0..2).for_each(|partition| deployment.until_at(Role::Route, partition, 1_500));
    // What it had read is sealed, and the gap behind it.
    deployment.until_at(Role::Lake, 0, 1_200);
    signal(Signal::TERM);
    let ended = worker.wait().unwrap();
    deployment.fine("run", &["--until-idle"]);

    assert_eq!(ended.code(), Some(0), "a clean end");
    let gaps = json!(["lake: raw partition 0, [1000, 1200)", "metrics: raw partition 0, [1000, 1200)"]);
    assert_eq!(deployment.balanced(), (2_800, gaps));
}

#[test]
fn positions_that_a_tool_moved_are_refused_or_are_only_hints() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = half_done(kafka, store, 49);
    let raw = deployment.log.settings().raw_topic.clone();
    // Forward over what was not routed, and back into what was; the lake's into the middle of a chunk, both ways.
    for role in [Role::Route, Role::Lake] {
        deployment.move_offset(kafka, role, &format!("{raw}:0"), 1_200);
        deployment.move_offset(kafka, role, &format!("{raw}:1"), 300);
    }

    let halted = deployment.refused(1, "run", &["--until-idle"]);
    let done = deployment.fine("reroute", &["--apply"]);
    deployment.fine("run", &["--until-idle"]);

    for partition in 0..2 {
        assert!(
            halted.contains(&format!("the position of raw partition {partition} is not ours: ")),
            "{halted}"
        );
    }
    assert!(done.contains("raw partition 0: from 1000 on, had position 1200"), "{done}");
    assert!(done.contains("raw partition 1: from 1000 on, had position 300"), "{done}");
    deployment.proved(3_000);
    assert_eq!(deployment.balanced(), (3_000, json!([])));
}

#[test]
fn an_offset_of_aggregate_beyond_its_commit_record_halts_by_name_and_a_lower_one_does_no_harm() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = half_done(kafka, store, 51);
    deployment.fine("run", &["--roles", "route", "--until-idle"]);
    let repartition = deployment.log.settings().topic(Topic::Repartition);
    let recorded = deployment.position(Role::Aggregate, 2).unwrap();
    let place = at(Topic::Repartition, 2);
    let end = now(deployment.log.reader().ends(place, Isolation::ReadCommitted)).unwrap().next.0;
    assert!(end > recorded, "there is nothing to pass over");
    deployment.move_offset(kafka, Role::Aggregate, &format!("{repartition}:2"), end);
    deployment.move_offset(kafka, Role::Aggregate, &format!("{repartition}:1"), 0);

    let halted = deployment.refused(1, "run", &["--until-idle"]);
    // As the runbook says.
    deployment.move_offset(kafka, Role::Aggregate, &format!("{repartition}:2"), recorded);
    deployment.fine("run", &["--until-idle"]);

    let sentence = format!(
        "aggregate partition 2 is halted: the group's offset {end} is beyond the commit record's {recorded}"
    );
    assert!(halted.contains(&sentence), "{halted}");
    deployment.proved(3_000);
    assert_eq!(deployment.balanced(), (3_000, json!([])));
}

/// As after an outage for longer than all of it is kept: no position, and no link that would tell of one.
fn forgotten(kafka: &Kafka, store: &S3, seed: u64) -> Deployment {
    let deployment = half_done(kafka, store, seed);
    deployment.delete_group(kafka, Role::Route);
    let end = |target| {
        let place = at(Topic::Repartition, target);
        (target, now(deployment.log.reader().ends(place, Isolation::ReadCommitted)).unwrap().next.0)
    };
    deployment.delete_records(kafka, Topic::Repartition, &[end(0), end(1), end(2), end(3)]);
    deployment
}

/// As the runbook says: then what is missing has a name.
#[test]
fn where_the_links_expired_as_well_route_halts_and_reroute_finds_the_position_in_what_was_counted() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = forgotten(kafka, store, 57);
    deployment.delete_records(kafka, Topic::Raw, &[(0, 1_200)]);

    for start in ["earliest", "latest"] {
        let halted = deployment.refused(1, "run", &["--until-idle", "--start", start]);
        for partition in 0..2 {
            let sentence =
                format!("the position of raw partition {partition} is not ours: the repartition topic had");
            assert!(halted.contains(&sentence), "{halted}");
        }
        assert_eq!(deployment.position(Role::Route, 0), None, "nothing was committed");
    }
    let done = deployment.fine("reroute", &["--apply"]);
    deployment.fine("run", &["--until-idle"]);

    assert!(done.contains("raw partition 0: from 1000 on, had no position"), "{done}");
    let gaps = json!(["lake: raw partition 0, [1000, 1200)", "metrics: raw partition 0, [1000, 1200)"]);
    assert_eq!(deployment.balanced(), (2_800, gaps));
}
