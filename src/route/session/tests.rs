//! The session kept to its word, sentence by sentence.

use super::*;
use crate::model::{LogTime, Refused, Rejection, Span};
use crate::route::testing::*;

const SOURCE: Partition = Partition(1);

fn view(offset: u64) -> Shopping {
    Shopping { offset, kind: "view", vendor: Some("v1"), ..Shopping::default() }
}

fn acknowledge(session: &mut Session, records: &[Outgoing]) {
    records.iter().for_each(|record| session.acknowledged(record.sequence, LogTime(5)));
}

/// What may be committed: the position, and the last unit for each target.
fn committable(session: &Session, targets: u32) -> Option<(u64, Vec<Option<u64>>)> {
    let commits = session.committable();
    let (partition, commit) = commits.first()?;
    assert_eq!((commits.len(), *partition), (1, SOURCE));
    let position = RoutePosition::parse(commit, targets).unwrap();
    Some((position.at.0, position.last.iter().map(|last| last.map(|last| last.0)).collect()))
}

fn links(records: &[Outgoing]) -> Vec<Link> {
    let link = |record: &Outgoing| match decoded(record) {
        HopOne::Links(links) => links.links,
        _ => vec![],
    };
    records.iter().flat_map(link).collect()
}

fn opening(at: u64, last: Option<u64>, gap_to: Option<u64>) -> Opening {
    let position = position(at, vec![last.map(Offset)]);
    Opening { partition: SOURCE, position, gap_to: gap_to.map(NextOffset) }
}

#[test]
fn a_source_is_ready_only_when_every_target_has_its_link() {
    let mut session = session(3, 1);
    let last = vec![None, Some(Offset(4)), Some(Offset(9))];
    let opening = Opening { partition: SOURCE, position: position(10, last.clone()), gap_to: None };

    let records = session.open(vec![opening], 2);

    let targets: Vec<u32> = records.iter().map(|record| record.to.partition.0).collect();
    assert_eq!(targets, [0, 1, 2]);
    assert!(links(&records).iter().zip(&last).all(|(link, last)| link.last == *last));
    assert!(links(&records).iter().all(|link| (link.below.0, link.raw_partitions) == (10, 2)));
    acknowledge(&mut session, &records[..2]);
    assert!(!session.is_ready(SOURCE));
    acknowledge(&mut session, &records[2..]);
    assert!(session.is_ready(SOURCE));
    assert_eq!(committable(&session, 3), None, "where it began is committed already");
}

#[test]
fn nothing_is_committed_before_all_below_it_is_acknowledged() {
    let mut session = ready(1, 1);
    let mut records = session.take(&batch(&[view(0), view(1)], 2));
    records.extend(session.barrier());
    records.extend(session.take(&batch(&[view(7)], 9)));
    records.extend(session.barrier());
    assert_eq!(records.len(), 3);

    acknowledge(&mut session, &records[2..]);
    acknowledge(&mut session, &records[..1]);
    assert_eq!(committable(&session, 1), None);
    acknowledge(&mut session, &records[1..2]);
    assert_eq!(committable(&session, 1), Some((9, vec![Some(7)])));

    session.committed(SOURCE, NextOffset(9));
    assert_eq!(committable(&session, 1), None);
}

#[test]
fn behind_a_failed_record_nothing_becomes_a_fact() {
    let mut session = ready(1, 1);
    let first = session.take(&batch(&[view(0)], 1));
    let _ = session.barrier();
    let _failed = session.take(&batch(&[view(1)], 2));
    let _ = session.barrier();
    let third = session.take(&batch(&[view(2)], 3));
    let _ = session.barrier();

    acknowledge(&mut session, &third);
    acknowledge(&mut session, &first);

    assert_eq!(committable(&session, 1), Some((1, vec![Some(0)])));
    let told = links(&session.links(&BTreeMap::new(), 2));
    assert_eq!((told[0].below, told[0].last), (NextOffset(1), Some(Offset(0))));
    assert!(!session.is_settled());
}

#[test]
fn records_that_route_nowhere_still_move_the_position() {
    let mut session = ready(1, 1);

    assert_eq!(session.take(&batch(&[], 40)), vec![]);
    assert_eq!(session.barrier(), vec![]);

    assert_eq!(committable(&session, 1), Some((40, vec![None])));
}

#[test]
fn an_open_block_holds_the_position_back() {
    let mut session = ready(1, usize::MAX);
    assert_eq!(session.take(&batch(&[view(0)], 1)), vec![]);
    assert_eq!(committable(&session, 1), None);

    let records = session.barrier();
    assert_eq!(committable(&session, 1), None);
    acknowledge(&mut session, &records);

    assert_eq!(committable(&session, 1), Some((1, vec![Some(0)])));
}

#[test]
fn a_link_states_what_is_acknowledged_and_never_what_is_only_sent() {
    let mut session = ready(1, 1);
    let records = session.take(&batch(&[view(0)], 1));
    let _ = session.barrier();

    let before = links(&session.links(&BTreeMap::new(), 2));
    acknowledge(&mut session, &records);
    let after = links(&session.links(&BTreeMap::new(), 2));

    assert_eq!((before[0].below, before[0].last), (NextOffset(0), None));
    assert_eq!((after[0].below, after[0].last), (NextOffset(1), Some(Offset(0))));
}

#[test]
fn a_link_at_the_end_names_the_time_of_the_link_before() {
    let mut session = ready(1, 1);
    let ends = |end| BTreeMap::from([(SOURCE, NextOffset(end))]);
    let at_end = |session: &mut Session, end| links(&session.links(&ends(end), 2))[0].at_end;
    assert_eq!(at_end(&mut session, 0), Some(LogTime(1)));
    assert_eq!(at_end(&mut session, 1), None, "a record waits");

    let records = session.take(&batch(&[view(0)], 1));
    assert_eq!(at_end(&mut session, 1), None, "it is not acknowledged");
    let barrier = session.barrier();
    assert_eq!(barrier, vec![]);
    acknowledge(&mut session, &records);
    // The links that were sent meanwhile hold the fact back until they stand as well.
    let sent: Vec<u64> = session.unacknowledged.iter().copied().collect();
    sent.iter().for_each(|&number| session.acknowledged(Sequence(number), LogTime(number as i64)));
    assert_eq!(at_end(&mut session, 1), sent.last().map(|&number| LogTime(number as i64)));
}

#[test]
fn where_only_events_move_time_no_link_is_at_the_end() {
    let pace = Pace { block_bytes: 1, says_at_end: false };
    let mut session = Session::new(topology(1), pace);
    let records = session.open(vec![opening(0, None, None)], 2);
    acknowledge(&mut session, &records);

    let told = links(&session.links(&BTreeMap::from([(SOURCE, NextOffset(0))]), 2));

    assert_eq!(told[0].at_end, None);
}

#[test]
fn a_gap_is_told_first_and_nothing_is_committed_before_it_stands() {
    let mut session = session(1, 1);
    let records = session.open(vec![opening(5, Some(3), Some(20))], 2);
    let HopOne::Gap(gap) = decoded(&records[0]) else { panic!("a gap comes first") };
    assert_eq!((gap.from, gap.to, gap.last), (NextOffset(5), NextOffset(20), Some(Offset(3))));
    assert_eq!(records.len(), 1);
    assert!(!session.is_ready(SOURCE));
    assert_eq!(committable(&session, 1), None);
    assert_eq!(session.position(SOURCE), Some(NextOffset(20)));

    acknowledge(&mut session, &records);

    assert_eq!(committable(&session, 1), Some((20, vec![Some(19)])));
    let block = &blocks(&session.take(&batch(&[view(25)], 26)))[0].1;
    assert_eq!(block.prev, Some(Offset(19)));
}

#[test]
fn the_first_block_of_a_session_names_the_unit_before_the_commit() {
    let mut session = session(1, 1);
    let records = session.open(vec![opening(5, Some(3), None)], 2);
    acknowledge(&mut session, &records);

    let block = &blocks(&session.take(&batch(&[view(6)], 7)))[0].1;

    assert_eq!((block.prev, block.source), (Some(Offset(3)), source()));
}

#[test]
fn a_refused_record_becomes_a_dead_letter_that_holds_the_position_back() {
    let mut session = ready(1, 1);
    let mut batch = batch(&[], 1);
    let nothing = Span::ABSENT;
    batch.refused.push(Refused {
        offset: Offset(0),
        record_time: LogTime(0),
        reason: Rejection::Empty,
        detail: String::new(),
        key: nothing,
        value: nothing,
        headers: vec![],
        value_hash: 0,
    });

    let records = session.take(&batch);
    let _ = session.barrier();

    assert_eq!(records[0].to, TopicPartition { topic: Topic::DeadLetters, partition: Partition(0) });
    assert_eq!(committable(&session, 1), None);
    acknowledge(&mut session, &records);
    assert_eq!(committable(&session, 1), Some((1, vec![None])));
    assert_eq!(session.take_tally().refused, 1);
}

#[test]
fn a_lost_source_commits_nothing() {
    let mut session = ready(1, 1);
    let records = session.take(&batch(&[view(0)], 1));
    let _ = session.barrier();

    session.close(SOURCE);
    acknowledge(&mut session, &records);

    assert_eq!(session.committable(), vec![]);
    assert_eq!(session.links(&BTreeMap::new(), 2), vec![]);
}
