//! One source on its way to all targets: events become units, units become blocks.

use super::builder::Builder;
use super::contribution::{Event, for_each};
use super::history::HistoryRecord;
use super::key_text::{KeyText, text};
use super::plan::Plan;
use super::session::Tally;
use crate::model::{EventBatch, NextOffset, Offset, Partition, Source};
use xxhash_rust::xxh3::xxh3_64;

pub(super) struct Lane {
    pub(super) source: Source,
    /// All below it was taken.
    pub(super) position: NextOffset,
    /// For each target the offset of the last unit, also of one that stands in an open block.
    pub(super) last: Vec<Option<Offset>>,
    builders: Vec<Builder>,
    key: KeyText,
    /// Targets that the event at hand has rows for.
    touched: Vec<u32>,
    tenant: Vec<u8>,
    history: HistoryRecord,
}

impl Lane {
    pub(super) fn new(source: Source, at: NextOffset, last: Vec<Option<Offset>>) -> Self {
        Lane {
            source,
            position: at,
            builders: last.iter().map(|_| Builder::default()).collect(),
            last,
            key: KeyText::default(),
            touched: Vec::new(),
            tenant: Vec::new(),
            history: HistoryRecord::default(),
        }
    }

    /// Takes a batch that begins at or behind the position; records of blocks that have grown to `block_bytes` go to `full`.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        batch: &EventBatch,
        block_bytes: usize,
        tally: &mut Tally,
        full: &mut impl FnMut(Partition, Vec<u8>),
    ) {
        let mut values = Vec::new();
        for row in 0..batch.len() {
            let event = Event { batch, row };
            let mut tenant = std::mem::take(&mut self.tenant);
            tenant.clear();
            event.field(plan.topology.tenant).write_text(&mut tenant, plan.tenant);
            self.take_event(plan, event, text(&tenant), &mut values, tally);
            self.tenant = tenant;
            self.finish_units(plan, event, block_bytes, tally, full);
        }
        self.position = batch.next.max(self.position);
    }

    fn take_event<'a>(
        &mut self,
        plan: &Plan,
        event: Event<'a>,
        tenant: &str,
        values: &mut Vec<super::contribution::Datum<'a>>,
        tally: &mut Tally,
    ) {
        let offset = event.batch.offset[event.row];
        let event = (event, plan.tests.answers(event));
        self.key.set_tenant(tenant.as_bytes());
        for (place, aggregate) in (0u16..).zip(&plan.aggregates) {
            tally.overflowed += for_each(aggregate, event, values, |element, holds, values| {
                let Some(prefix) = self.key.write(aggregate, values) else {
                    tally.no_key += 1;
                    return;
                };
                let hash = xxh3_64(prefix);
                let target = plan.target(hash) as usize;
                let builder = &mut self.builders[target];
                touch(builder, target, &mut self.touched, self.last[target]);
                let key = builder.key(hash, place, tenant.as_bytes(), prefix);
                builder.push_row(&aggregate.slots, key, (offset, element), holds, values);
            });
        }
        for place in 0..plan.topology.histories.len() {
            match self.history.write(plan, place, event, tenant) {
                None => {}
                Some(None) => tally.no_key += 1,
                Some(Some(target)) => {
                    let target = target as usize;
                    let builder = &mut self.builders[target];
                    touch(builder, target, &mut self.touched, self.last[target]);
                    let place = u16::try_from(place).expect("a topology has few histories");
                    builder.push_history(place, &self.history.key, &self.history.value);
                }
            }
        }
    }

    /// All rows of the event are there: one unit for each target that it touched.
    fn finish_units(
        &mut self,
        plan: &Plan,
        event: Event<'_>,
        block_bytes: usize,
        tally: &mut Tally,
        full: &mut impl FnMut(Partition, Vec<u8>),
    ) {
        let (batch, row) = (event.batch, event.row);
        let offset = batch.offset[row];
        for target in self.touched.drain(..) {
            let builder = &mut self.builders[target as usize];
            builder.finish_unit(offset, batch.event_time[row], batch.id_hash[row]);
            self.last[target as usize] = Some(offset);
            tally.units += 1;
            if builder.bytes() >= block_bytes {
                full(Partition(target), builder.close(self.source, plan.version));
            }
        }
    }

    /// Closes every open block.
    pub(super) fn flush(&mut self, plan: &Plan, full: &mut impl FnMut(Partition, Vec<u8>)) {
        for (target, builder) in (0u32..).zip(&mut self.builders) {
            if !builder.is_empty() {
                full(Partition(target), builder.close(self.source, plan.version));
            }
        }
    }
}

/// Notes that the event at hand has something for this target; begins a block if none is open.
fn touch(builder: &mut Builder, target: usize, touched: &mut Vec<u32>, last: Option<Offset>) {
    if builder.is_empty() {
        builder.begin(last);
    }
    let target = target as u32;
    // One event has few targets, and mostly the one that it touched just now.
    if touched.last() != Some(&target) && !touched.contains(&target) {
        touched.push(target);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::Offset;
    use crate::route::Tally;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn order() -> Shopping {
        Shopping {
            offset: 3,
            kind: "order",
            vendor: Some("v1"),
            total: Some(1999),
            items: Some(vec![("p1", 2, 500), ("p2", 1, 999), ("p1", 3, -7)]),
            order: Some("o\n1"),
            metric: None,
        }
    }

    /// All units of some events on one target, and what was counted beside them.
    fn told(events: &[Shopping]) -> (String, Tally) {
        let mut session = ready(1, usize::MAX);
        let mut records = session.take(&batch(events, 100));
        records.extend(session.barrier());
        let told =
            blocks(&records).iter().flat_map(|(_, block)| units(&topology(1), block)).collect::<Vec<_>>();
        (told.join("\n"), session.take_tally())
    }

    #[test]
    fn an_order_becomes_one_unit_with_all_of_its_rows() {
        let (told, tally) = told(&[order()]);

        assert_eq!(
            told,
            r##"unit 3 at 3000000
{"aggregate":"vendor","tenant_id":"t\"1","by":{"vendor":"v1"} #0 of t"1 0:+1 1:1999 2:HASH_ORDER 3:HASH_TOTAL
{"aggregate":"product","tenant_id":"t\"1","by":{"product":"p1"} #0 of t"1 0:+1 1:+1 2:1000 4:v1
{"aggregate":"product","tenant_id":"t\"1","by":{"product":"p2"} #1 of t"1 0:+1 1:+1 2:999 3:+1 4:v1
{"aggregate":"product","tenant_id":"t\"1","by":{"product":"p1"} #2 of t"1 1:+1 2:-21 3:+1 4:v1
{"aggregate":"all","tenant_id":"t\"1","by":{} #0 of t"1 0:+1
history 0 {"history":"orders","tenant_id":"t\"1","by":{"order":"o\n1"},"event_id":"00000000000000000000000000000abc-p1-o3"} {"event_time":"1970-01-01T00:00:03.000000Z","coordinate":{"incarnation":"00000000000000000000000000000abc","partition":1,"offset":3},"columns":{"type":"order","total":"19.99","items":[{"product":"p1","quantity":"2","price":"5.00"},{"product":"p2","quantity":"1","price":"9.99"},{"product":"p1","quantity":"3","price":"-0.07"}],"metric":null}}"##
                .replace("HASH_ORDER", &format!("{:032x}", xxhash_rust::xxh3::xxh3_128(b"order")))
                .replace("HASH_TOTAL", &format!("{:032x}", xxhash_rust::xxh3::xxh3_128(b"19.99")))
        );
        assert_eq!(tally, Tally { events: 1, units: 1, blocks: 1, ..Tally::default() });
    }

    #[test]
    fn map_members_become_rows_in_the_order_of_the_text() {
        let event =
            Shopping { kind: "report", metric: Some(vec![("b", 1), ("a", -2)]), ..Shopping::default() };

        let (told, tally) = told(&[event]);

        let rows: Vec<&str> = told.lines().filter(|line| line.contains("metric")).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].ends_with(r#""by":{"name":"b"} #0 of t"1 0:1"#), "{}", rows[0]);
        assert!(rows[1].ends_with(r#""by":{"name":"a"} #1 of t"1 0:-2"#), "{}", rows[1]);
        assert_eq!(tally.no_key, 1, "a report has no vendor");
    }

    #[test]
    fn an_absent_key_makes_no_row_and_is_counted() {
        let items = Some(vec![("", 1, 1), ("p", 1, 1)]);
        let event = Shopping { items, order: None, vendor: None, ..order() };

        let (told, tally) = told(&[event]);

        assert_eq!(tally.no_key, 3, "no vendor, no product, no order");
        assert!(!told.contains("vendor\":") && !told.contains("history"));
        assert!(told.contains(r#"{"product":"p"} #1"#));
    }

    #[test]
    fn a_product_that_is_too_large_is_absent_and_counted() {
        let event = Shopping { items: Some(vec![("p", i64::MAX, 2)]), ..order() };

        let (told, tally) = told(&[event]);

        assert_eq!(tally.overflowed, 1);
        assert!(told.contains(r#"{"product":"p"} #0 of t"1 0:+1 1:+1 4:v1"#), "{told}");
    }

    #[test]
    fn the_same_key_counts_the_next_event_again() {
        let next = Shopping { offset: 4, ..order() };

        let (told, _) = told(&[order(), next]);

        assert_eq!(told.matches("0:+1 1:+1 2:1000 4:v1").count(), 2);
    }

    #[test]
    fn targets_of_keys_stay_what_they_were() {
        let target = |prefix: &str, targets: u64| xxhash_rust::xxh3::xxh3_64(prefix.as_bytes()) % targets;
        let prefix = r#"{"aggregate":"vendor","tenant_id":"t017","by":{"vendor_id":"v00042"}"#;
        assert_eq!([target(prefix, 4), target(prefix, 256)], [2, 234]);

        let mut session = ready(4, usize::MAX);
        let mut records = session.take(&batch(&[order()], 4));
        records.extend(session.barrier());
        let mut at: Vec<_> = blocks(&records)
            .iter()
            .flat_map(|(target, block)| block.keys.iter().map(|key| (key.prefix.clone(), target.0)))
            .collect();
        at.sort();
        for (prefix, found) in &at {
            assert_eq!(u64::from(*found), target(std::str::from_utf8(prefix).unwrap(), 4));
        }
        assert_eq!(at.len(), 4);
    }

    fn shopping() -> impl Strategy<Value = Shopping> {
        let vendor = proptest::option::of(select(vec!["v1", "v2", "v3"]));
        let item = (select(vec!["p1", "p2", "p3", ""]), -3i64..4, 0i64..1000);
        (
            select(vec!["order", "view"]),
            vendor,
            proptest::option::of(0i64..100),
            proptest::option::of(proptest::collection::vec(item, 0..4)),
            proptest::option::of(select(vec!["o1", "o2"])),
            1u64..4,
        )
            .prop_map(|(kind, vendor, total, items, order, offset)| Shopping {
                offset,
                kind,
                vendor,
                total,
                items,
                order,
                metric: None,
            })
    }

    /// For each target the offset of the unit before and the unit's text, from blocks of any edges.
    fn chain(
        events: &[Shopping],
        cuts: &[usize],
        block_bytes: usize,
        flush: bool,
    ) -> Vec<Vec<(Option<Offset>, String)>> {
        let topology = topology(3);
        let mut session = ready(3, block_bytes);
        let mut records = Vec::new();
        let mut from = 0;
        for to in cuts.iter().map(|cut| cut % (events.len() + 1)).chain([events.len()]) {
            let to = to.max(from);
            let next = events[..to].last().map_or(0, |event| event.offset + 1);
            records.extend(session.take(&batch(&events[from..to], next)));
            if flush {
                records.extend(session.barrier());
            }
            from = to;
        }
        records.extend(session.barrier());
        let mut chains: Vec<Vec<(Option<Offset>, String)>> = vec![vec![]; 3];
        for (target, block) in blocks(&records) {
            let mut prev = block.prev;
            for (unit, text) in block.units.iter().zip(units(&topology, &block)) {
                chains[target.0 as usize].push((prev, text));
                prev = Some(unit.offset);
            }
        }
        chains
    }

    proptest! {
        #[test]
        fn cutting_batches_and_blocks_anywhere_changes_no_unit_and_no_link(
            mut events in proptest::collection::vec(shopping(), 0..24),
            mut cuts in proptest::collection::vec(0usize..25, 0..6),
            block_bytes in 1usize..2_000,
            flush: bool,
        ) {
            // Offsets rise, with holes.
            let mut offset = 0;
            for event in &mut events {
                offset += event.offset;
                event.offset = offset;
            }
            cuts.sort_unstable();

            let whole = chain(&events, &[], usize::MAX, false);
            let cut = chain(&events, &cuts, block_bytes, flush);

            prop_assert_eq!(&whole, &cut);
            for chain in whole {
                let units: Vec<&str> = chain.iter().map(|(_, text)| text.split(' ').nth(1).unwrap_or("")).collect();
                prop_assert!(units.windows(2).all(|pair| pair[0] != pair[1]), "a unit was split");
            }
        }
    }
}
