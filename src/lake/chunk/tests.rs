//! The same records give the same files, however they were cut, and within the limits.

use super::super::fixture::{DAY, HOUR, NOVEMBER, Record, batch, event, layout, source};
use super::super::{FileKey, PartitionValue};
use super::*;
use proptest::prelude::*;

fn chunk() -> Chunk {
    Chunk::new(source(), NextOffset(0), layout())
}

fn filed(chunk: &Chunk) -> Vec<Vec<(u64, &'static str)>> {
    let row = |file, at: &RowAt| {
        let batch = chunk.batch(*at);
        let row = at.row as usize;
        let offset = if chunk.is_refused(file) { batch.refused[row].offset } else { batch.offset[row] };
        (offset.0, at.filed_by.as_str())
    };
    (0..chunk.files.len()).map(|file| chunk.rows(file).iter().map(|at| row(file, at)).collect()).collect()
}

#[test]
fn events_lie_by_their_hour_and_refused_records_by_record_time() {
    let mut chunk = chunk();
    let records = [
        (1, event("t1", NOVEMBER)),
        (2, Record::Refused { record_time: NOVEMBER + 2 * HOUR }),
        (4, event("t2", NOVEMBER - 1)),
        (7, event("t1", NOVEMBER + HOUR - 1)),
    ];

    assert_eq!(chunk.push(&batch(&records, 9)), Taken::All);

    let plan = chunk.plan(0);
    let keys: Vec<_> = plan.files.iter().map(|file| file.key.as_str()).collect();
    let name = "00000000000000000000000000000abc-p1-o0";
    assert_eq!(
        keys,
        [
            format!(
                "lake/events/category=View/tenant_id=t1/year=2026/month=11/day=01/hour=00/{name}-0.parquet"
            ),
            format!("lake/events_refused/year=2026/month=11/day=01/hour=02/{name}-1.parquet"),
            format!(
                "lake/events/category=View/tenant_id=t2/year=2026/month=10/day=31/hour=23/{name}-2.parquet"
            ),
        ]
    );
    let by_event = "event_time";
    assert_eq!(
        filed(&chunk),
        [vec![(1, by_event), (7, by_event)], vec![(2, "record_time")], vec![(4, by_event)]]
    );
    assert_eq!((plan.s, plan.e, plan.count), (NextOffset(0), NextOffset(9), 4));
    assert_eq!(Plan::decode(&plan.encode()), Ok(plan));
}

#[test]
fn an_event_outside_what_is_accepted_lies_by_record_time_and_says_so() {
    let mut chunk = chunk();
    let edges = [400 * DAY, 400 * DAY + 1, -DAY, -DAY - 1];
    let records: Vec<_> = edges.iter().zip(0..).map(|(past, at)| (at, event("t", NOVEMBER - past))).collect();

    chunk.push(&batch(&records, 4));

    let by: Vec<_> = filed(&chunk).into_iter().flatten().collect();
    assert_eq!(by, [(0, "event_time"), (1, "record_time"), (3, "record_time"), (2, "event_time")]);
    let key = FileKey::parse("lake/", &chunk.plan(0).files[1].key).unwrap();
    assert_eq!(
        key.partition[2..4].iter().map(|(_, v)| v.clone()).collect::<Vec<_>>(),
        [PartitionValue::Number(2026), PartitionValue::Number(11)]
    );
}

/// One tenant per event opens one file per event.
fn tenants(count: u64) -> Vec<(u64, Record)> {
    (0..count).map(|at| (at, event(&format!("t{at}"), NOVEMBER))).collect()
}

#[test]
fn the_file_beyond_the_limit_ends_a_chunk_that_has_rows_enough() {
    let mut records = tenants(FILES_MAX as u64);
    records.extend((FILES_MAX as u64..ROWS_MIN).map(|at| (at, event("t0", NOVEMBER))));
    records.push((ROWS_MIN, event("t1", NOVEMBER)));
    records.push((ROWS_MIN + 5, event("one more", NOVEMBER)));
    let mut chunk = chunk();

    assert_eq!(chunk.push(&batch(&records, ROWS_MIN + 9)), Taken::Full);

    assert_eq!(chunk.next(), NextOffset(ROWS_MIN + 5));
    assert_eq!((chunk.files.len(), chunk.count()), (FILES_MAX, ROWS_MIN + 1));
    let mut next = Chunk::new(source(), chunk.next(), layout());
    assert_eq!(next.push(&batch(&records, ROWS_MIN + 9)), Taken::All);
    assert_eq!((next.count(), next.next()), (1, NextOffset(ROWS_MIN + 9)));
}

#[test]
fn below_the_least_rows_further_files_go_by_record_time() {
    let mut records = tenants(FILES_MAX as u64);
    let at = FILES_MAX as u64;
    records.push((at, event("t0", NOVEMBER + 2 * HOUR)));
    records.push((at + 1, event("t0", NOVEMBER + 3 * HOUR)));
    records.push((at + 2, event("new", NOVEMBER + 3 * HOUR)));
    let mut chunk = chunk();

    assert_eq!(chunk.push(&batch(&records, at + 3)), Taken::All);

    // The hour of record time is there for t0; the new tenant has to have a file.
    assert_eq!(chunk.files.len(), FILES_MAX + 1);
    assert_eq!(filed(&chunk)[0], [(0, "event_time"), (at, "overflow"), (at + 1, "overflow")]);
    assert_eq!(filed(&chunk)[FILES_MAX], [(at + 2, "overflow")]);
}

#[test]
fn a_chunk_never_has_more_files_than_its_least_rows() {
    let mut chunk = chunk();
    let taken = chunk.push(&batch(&tenants(ROWS_MIN + 1), ROWS_MIN + 1));

    assert_eq!(taken, Taken::Full);
    assert_eq!((chunk.files.len() as u64, chunk.next()), (ROWS_MIN, NextOffset(ROWS_MIN)));
}

fn some_records() -> impl Strategy<Value = Vec<(u64, Record)>> {
    let record = prop_oneof![
        4 => (0..4u8, -3..3i64).prop_map(|(t, hour)| event(&format!("t{t}"), NOVEMBER + hour * HOUR)),
        1 => (0..3i64).prop_map(|hour| Record::Refused { record_time: NOVEMBER + hour * HOUR }),
    ];
    prop::collection::vec((1..4u64, record), 1..40).prop_map(|records| {
        let mut offset = 0;
        let mut place = |(step, record)| {
            offset += step;
            (offset, record)
        };
        records.into_iter().map(&mut place).collect()
    })
}

proptest! {
    #[test]
    fn cutting_batches_anywhere_changes_nothing(records in some_records(), cuts: Vec<prop::sample::Index>) {
        let end = records.last().map_or(0, |(offset, _)| offset + 2);
        let mut whole = chunk();
        whole.push(&batch(&records, end));
        let mut edges: Vec<_> = cuts.iter().map(|cut| cut.index(records.len())).collect();
        edges.extend([0, records.len()]);
        edges.sort_unstable();
        let mut cut = chunk();
        for edge in edges.windows(2) {
            let next = records.get(edge[1]).map_or(end, |(offset, _)| *offset);
            cut.push(&batch(&records[edge[0]..edge[1]], next));
        }

        prop_assert_eq!(cut.plan(3), whole.plan(3));
        prop_assert_eq!(filed(&cut), filed(&whole));
    }

    #[test]
    fn a_plan_is_made_again_from_the_log_in_any_number_of_passes(records in some_records(), end: prop::sample::Index) {
        let cut = end.index(records.len()) + 1;
        let next = records.get(cut).map_or(1000, |(offset, _)| *offset);
        let mut first = chunk();
        first.push(&batch(&records[..cut], next));
        let plan = first.plan(0);

        for file in 0..plan.files.len() {
            let keep = Keep::Files(BTreeSet::from([file]));
            let mut again = Chunk::again(source(), &plan, layout(), keep);
            again.push(&batch(&records, 1000));
            prop_assert_eq!(again.contradiction(&plan), None);
            prop_assert_eq!(filed(&again)[file].clone(), filed(&first)[file].clone());
            prop_assert_eq!(filed(&again).concat().len(), first.rows(file).len());
        }
        let mut survey = Chunk::again(source(), &plan, layout(), Keep::All);
        survey.forget();
        survey.push(&batch(&records, 1000));
        prop_assert_eq!(survey.contradiction(&plan), None);
        prop_assert_eq!(survey.bytes(), 0);
    }

    #[test]
    fn a_record_that_is_missing_or_changed_contradicts_the_plan(records in some_records(), at: prop::sample::Index) {
        let mut first = chunk();
        first.push(&batch(&records, 1000));
        let plan = first.plan(0);
        let mut other = records;
        other.remove(at.index(other.len()));
        let mut again = Chunk::again(source(), &plan, layout(), Keep::All);
        again.push(&batch(&other, 1000));

        prop_assert!(again.contradiction(&plan).is_some_and(|what| what.contains("truncated")));
    }
}
