//! What a load test stands on: the generator's rate.

use crate::contract::now;
use crate::deployment::Deployment;
use crate::port_contract::at;
use crate::servers::{Kafka, S3};
use thalweg::model::{NextOffset, Topic};
use thalweg::port::{Isolation, Log};

/// When the producer sent each record of both partitions, in seconds since the first.
fn sent(deployment: &Deployment) -> Vec<f64> {
    let mut reader = deployment.log.reader();
    let mut times = Vec::new();
    for partition in 0..2 {
        let place = at(Topic::Raw, partition);
        let end = now(reader.ends(place, Isolation::ReadCommitted)).unwrap().next;
        let mut from = NextOffset(0);
        while from < end {
            let batch = now(reader.read(place, from, 1 << 20)).unwrap();
            times.extend(batch.records.iter().map(|record| record.time.0 as f64 / 1e6));
            from = batch.next;
        }
    }
    times.sort_by(f64::total_cmp);
    times.iter().map(|time| time - times[0]).collect()
}

#[test]
fn generated_events_come_at_their_rate_and_never_ahead_of_it() {
    const RATE: f64 = 400.0;
    const EVENTS: f64 = 2_000.0;
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);

    let said = deployment.generate(&["--events", &EVENTS.to_string(), "--rate", &RATE.to_string()]);

    let times = sent(&deployment);
    assert_eq!(times.len() as f64, EVENTS);
    // The first one may have waited a little for its producer.
    for (number, time) in times.iter().enumerate() {
        assert!(*time > number as f64 / RATE - 0.5, "event {number} came after {time} s");
    }
    let last = times.last().unwrap();
    assert!((EVENTS / RATE - 0.5..EVENTS / RATE + 2.5).contains(last), "the last one came after {last} s");
    assert!(said.contains("2,000 events sent to "), "{said}");
}
