//! Raw records that only brokers can carry: tombstones, bombs, records above every limit, transactions that end in
//! nothing. Each becomes a dead letter and a refused row or is never seen, and what stands behind it is counted.

use crate::contract::now;
use crate::deployment::{Deployment, Shape, said};
use crate::servers::{Kafka, S3};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use thalweg::generate::{Generator, Settings as Shoppers};
use thalweg::model::{HopOne, LogTime, NextOffset, Partition, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// A bomb: some kilobytes on the line.
const BOMB: usize = 16 << 20;
/// Above the limit of an event, and above what a fetch of one partition asks for by itself.
const HUGE: usize = 6 << 20;
/// The program with all roles, in an unoptimised build. The records that it refuses hold 90 MiB in all.
const MEMORY_MAX_KIB: u64 = 512 << 10;

fn client(kafka: &Kafka) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka.bootstrap()).set("message.max.bytes", "100000000");
    client
}

fn producer(kafka: &Kafka, more: &[(&str, &str)]) -> BaseProducer {
    let mut config = client(kafka);
    for (key, value) in more {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

fn send<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(producer: &BaseProducer, record: BaseRecord<'_, K, V>) {
    if let Err((error, _)) = producer.send(record) {
        panic!("{error}");
    }
}

fn lines(seed: u64, events: u64) -> Vec<Vec<u8>> {
    let (mut generator, mut all, mut line) =
        (Generator::new(Shoppers::new(seed, events)), vec![], Vec::new());
    while generator.next_line(&mut line) {
        all.push(std::mem::take(&mut line).trim_ascii_end().to_vec());
    }
    all
}

/// The topic takes records of this size as they are.
fn raise_limit(kafka: &Kafka, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create().unwrap();
    let new = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", "20000000");
    let done = crate::block_on::block_on(admin.alter_configs([&new], &AdminOptions::new())).unwrap();
    assert!(done.iter().all(Result::is_ok));
}

/// Sends, and again if the broker has not heard of the new limit yet.
fn send_huge(producer: &BaseProducer, topic: &str, value: &[u8]) {
    let at = TopicEnd { producer, topic };
    let (before, end) = (at.next(), Instant::now() + PATIENCE);
    while at.next() == before {
        assert!(Instant::now() < end, "the topic does not take {} bytes", value.len());
        send(producer, BaseRecord::to(topic).partition(0).payload(value).key(b"huge"));
        producer.flush(PATIENCE).unwrap();
    }
}

struct TopicEnd<'a> {
    producer: &'a BaseProducer,
    topic: &'a str,
}

impl TopicEnd<'_> {
    fn next(&self) -> i64 {
        self.producer.client().fetch_watermarks(self.topic, 0, PATIENCE).unwrap().1
    }
}

/// Waits for its end; how it ended, and the most memory that it ever had.
fn ended(mut child: Child) -> (ExitStatus, u64) {
    let (status, mut peak, end) = (format!("/proc/{}/status", child.id()), 0, Instant::now() + PATIENCE);
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (status, peak);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(LOOK);
    }
}

fn idle(deployment: &Deployment) -> u64 {
    let mut run = deployment.command("run");
    let child = run.arg("--until-idle").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (status, peak) = ended(child);
    assert!(status.success(), "{status}: {}", deployment.fine("run", &["--until-idle"]));
    peak
}

fn letters(deployment: &Deployment) -> Vec<Value> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(["dead-letters", "ls"])
        .arg(deployment.topology_path())
        .arg("--config")
        .arg(deployment.config_path())
        .args(["--output", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn report(deployment: &Deployment) -> Value {
    serde_json::from_str(&deployment.fine("verify", &["--output", "json"])).unwrap()
}

/// F34 and F35 on a broker.
#[test]
fn tombstones_bombs_and_records_above_every_limit_are_refused_and_those_behind_them_are_counted() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::with(kafka, store, &Shape { raw_partitions: 1, ..Shape::default() });
    deployment.make_topics();
    let topic = deployment.log.settings().raw_topic.as_str();
    raise_limit(kafka, topic);
    let plain = producer(kafka, &[("compression.type", "none")]);
    let (events, zeros) = (lines(3, 6), vec![0; BOMB]);
    let mut good = events.iter();
    let mut behind = || {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("abc") });
        let value = good.next().unwrap();
        send(&plain, BaseRecord::to(topic).partition(0).payload(&value[..]).key(b"good").headers(headers));
        plain.flush(PATIENCE).unwrap();
    };
    let bad = |value: Option<&[u8]>, key: Option<&[u8]>| {
        let headers = OwnedHeaders::new().insert(Header { key: "of", value: Some("its sender") });
        let mut record = BaseRecord::<'_, [u8], [u8]>::to(topic).partition(0).headers(headers);
        (record.payload, record.key) = (value, key);
        send(&plain, record);
        plain.flush(PATIENCE).unwrap();
    };

    bad(None, Some(b"a tombstone"));
    bad(None, None);
    bad(Some(b""), Some(b"an empty value"));
    behind();
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let bombs = producer(kafka, &[("compression.type", codec)]);
        send(&bombs, BaseRecord::to(topic).partition(0).payload(&zeros[..]).key(codec.as_bytes()));
        bombs.flush(PATIENCE).unwrap();
        behind();
    }
    // No codec makes these bytes fewer.
    let mut noise = 1u64;
    let huge = || -> Vec<u8> {
        let next = |_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        };
        (0..HUGE).map(next).collect()
    };
    send_huge(&plain, topic, &{ huge }());
    bad(Some(&[b' '; (1 << 20) + 1]), None);
    behind();

    let peak = idle(&deployment);

    let report = report(&deployment);
    let counts =
        ["raw_records", "events", "refused", "difference_count"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [15, 6, 9, 0], "{report}");
    let mut found: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for letter in letters(&deployment) {
        let (reason, bytes) = (letter["reason"].as_str().unwrap(), letter["bytes"].as_u64().unwrap());
        *found.entry((reason.to_owned(), bytes)).or_default() += 1;
    }
    let expected =
        [("empty", 0, 3), ("too_large", (1 << 20) + 1, 1), ("too_large", HUGE, 1), ("too_large", BOMB, 4)];
    let expected = expected.map(|(reason, bytes, count)| ((reason.to_owned(), bytes as u64), count));
    assert_eq!(found, expected.into(), "the dead letters");
    assert!(peak < MEMORY_MAX_KIB, "it had {} MiB", peak >> 10);
    println!("at most {} MiB", peak >> 10);
}

/// Leaves a marker and an aborted record behind the last record of both partitions.
fn transactions(kafka: &Kafka, topic: &str, events: &[Vec<u8>]) {
    let id = format!("{topic}-foreign");
    let producer = producer(kafka, &[("transactional.id", &id)]);
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for (place, event) in events.iter().enumerate() {
        send(&producer, BaseRecord::to(topic).partition((place % 2) as i32).payload(event).key(b"committed"));
    }
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for partition in [0, 1] {
        send(&producer, BaseRecord::to(topic).partition(partition).payload(&events[0][..]).key(b"aborted"));
        send(&producer, BaseRecord::to(topic).partition(partition).payload(b"no event").key(b"aborted"));
    }
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
}

#[test]
fn aborted_records_are_never_seen_and_markers_at_the_end_do_not_hide_that_it_is_the_end() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let shape = Shape { config: "pace: { link_every: 200ms }\n", ..Shape::default() };
    let deployment = Deployment::with(kafka, store, &shape);
    deployment.make_topics();
    let topic = deployment.log.settings().raw_topic.as_str();
    transactions(kafka, topic, &lines(5, 40));

    idle(&deployment);
    deployment.proved(40);
    assert_eq!(letters(&deployment), Vec::<Value>::new());
    transactions(kafka, topic, &lines(6, 40));
    idle(&deployment);
    deployment.proved(80);

    // Time moves on without events, so windows end: links say so, of both sources.
    assert_eq!(at_end(&deployment).len(), 0, "runs until idle do not move time");
    let mut worker = deployment.worker(0);
    let end = Instant::now() + PATIENCE;
    while at_end(&deployment).len() < 2 {
        assert!(Instant::now() < end, "a source never says that it is at its end");
        thread::sleep(LOOK);
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// Sources that a link has called "at end", and the newest time of it.
fn at_end(deployment: &Deployment) -> BTreeMap<Partition, LogTime> {
    let mut reader = deployment.log.reader();
    let at = TopicPartition { topic: Topic::Repartition, partition: Partition(0) };
    let end = now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next;
    let (mut from, mut found) = (NextOffset(0), BTreeMap::new());
    while from < end {
        let batch = now(reader.read(at, from, 1 << 20)).unwrap();
        for record in &batch.records {
            if let Ok(HopOne::Links(links)) = HopOne::decode(batch.value(record).unwrap()) {
                let times = links.links.iter().filter_map(|link| Some((link.source.partition, link.at_end?)));
                found.extend(times);
            }
        }
        from = batch.next;
    }
    found
}

#[test]
fn a_batch_that_unpacks_to_more_than_the_client_takes_is_named_and_read_once_the_limit_is_raised() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::with(kafka, store, &Shape { raw_partitions: 1, ..Shape::default() });
    deployment.make_topics();
    let topic = deployment.log.settings().raw_topic.as_str();
    let bombs = producer(kafka, &[("compression.type", "zstd")]);
    send(&bombs, BaseRecord::to(topic).partition(0).payload(&vec![0; BOMB]).key(b"a bomb"));
    send(&bombs, BaseRecord::to(topic).partition(0).payload(&lines(3, 1)[0]).key(b"an event"));
    bombs.flush(PATIENCE).unwrap();

    let mut worker = deployment.command("run");
    worker.env("THALWEG__KAFKA__CLIENT__FETCH_MAX_BYTES", "4000000");
    worker.env("THALWEG__KAFKA__CLIENT__RECEIVE_MESSAGE_MAX_BYTES", "5000000");
    let mut worker = worker.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (stderr, (found, named)) = (worker.stderr.take().unwrap(), mpsc::channel());
    let told = |line: &String| line.contains("Invalid compressed data");
    let reading = thread::spawn(move || {
        BufReader::new(stderr).lines().map(Result::unwrap).find(told).map(|line| found.send(line))
    });
    let named = named.recv_timeout(PATIENCE).ok();
    worker.kill().unwrap();
    drop(reading.join());
    worker.wait().unwrap();

    assert!(named.is_some_and(|line| line.contains("partition 0") || line.contains(topic)));
    idle(&deployment);
    deployment.proved(2);
}
