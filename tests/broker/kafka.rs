//! Kafka with one node and with three.

use crate::servers::Kafka;
use crate::servers::ports::Port;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Long enough for a node of a busy machine, and what finding out about a paused one costs.
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[test]
fn one_node_answers_and_keeps_its_records_and_ports_when_it_is_killed() {
    let Some(setup) = Kafka::setup(1) else { return };
    let kafka = setup.format("--feature").format("transaction.version=1").start();
    let ports = kafka.ports();
    assert!(api_versions(ports[0]).expect("it answers") > 30);
    assert!(
        features(&kafka).contains("FinalizedVersionLevel: 1"),
        "its folder was formatted like all others"
    );
    topic(&kafka, "kept", "1");
    send(&kafka, "kept", "a record\n");

    kafka.kill(1);
    let while_dead = api_versions(ports[0]).expect_err("nobody is there");
    kafka.restart(1);

    assert_eq!(while_dead.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(kafka.ports(), ports);
    assert!(api_versions(ports[0]).expect("it answers again") > 30);
    assert_eq!(read(&kafka, "kept", 1), "a record\n");
}

#[test]
fn three_nodes_go_on_while_one_is_killed_or_paused_and_take_it_back() {
    let Some(kafka) = Kafka::with(3, &[("message.max.bytes", "2000000")]) else { return };
    assert!(kafka.log_of(2).contains("message.max.bytes = 2000000"), "the test's own setting was lost");
    let ports = kafka.ports();
    for port in &ports {
        api_versions(*port).expect("each node answers");
    }
    topic(&kafka, "kept", "3");
    send(&kafka, "kept", "before\n");

    kafka.kill(2);
    send(&kafka, "kept", "while one is dead\n");
    assert!(!kafka.is_on(2) && api_versions(ports[1]).is_err());
    kafka.restart(2);
    api_versions(ports[1]).expect("it answers again");

    kafka.pause(3);
    let paused = api_versions(ports[2]).expect_err("it cannot answer");
    kafka.resume(3);
    api_versions(ports[2]).expect("it answers again");
    assert!(matches!(paused.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{paused}");

    for node in 1..=3 {
        kafka.kill(node);
    }
    // A majority has to come back before any of them is ready.
    for node in 1..=3 {
        kafka.launch(node);
    }
    for node in 1..=3 {
        kafka.wait_until_ready(node);
    }
    assert_eq!(read(&kafka, "kept", 2), "before\nwhile one is dead\n");
}

#[test]
fn clients_are_sent_to_the_port_that_is_advertised() {
    let Some(setup) = Kafka::setup(1) else { return };
    let listens = setup.ports()[0];
    let proxy = Port::reserve();
    let advertised = proxy.number();

    let kafka = setup.advertise(&[advertised]).start();

    assert_eq!(kafka.bootstrap(), format!("127.0.0.1:{advertised}"));
    assert_eq!(kafka.ports(), [listens]);
    let metadata = ask(listens, METADATA, 1).expect("it answers");
    let port = u32::from(advertised).to_be_bytes();
    let named = |bytes: [u8; 4]| metadata.windows(4).any(|four| four == bytes);
    assert!(named(port), "the advertised port is not in {metadata:02x?}");
    assert!(!named(u32::from(listens).to_be_bytes()), "its own port is in {metadata:02x?}");
}

/// How many requests the node knows, by its own answer.
fn api_versions(port: u16) -> io::Result<u32> {
    const API_VERSIONS: i16 = 18;
    let answer = ask(port, API_VERSIONS, 0)?;
    let (error, rest) = answer.split_at(2);
    assert_eq!(error, [0, 0], "the node refused the request");
    let (count, known) = rest.split_at(4);
    let count = u32::from_be_bytes(count.try_into().expect("four bytes"));
    // Each is its number, the oldest version and the newest, two bytes each.
    assert_eq!(known.len(), count as usize * 6, "the answer is cut short");
    Ok(count)
}

const METADATA: i16 = 3;

/// One request of Kafka's protocol, in a version with the plain header, and what follows the answer's number.
fn ask(port: u16, api: i16, version: i16) -> io::Result<Vec<u8>> {
    const CORRELATION: [u8; 4] = 7_i32.to_be_bytes();
    let client = b"test";
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION);
    request.extend((client.len() as i16).to_be_bytes());
    request.extend(client);
    if api == METADATA {
        // No topics: it is the nodes that are asked for.
        request.extend(0_i32.to_be_bytes());
    }

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&(request.len() as i32).to_be_bytes())?;
    stream.write_all(&request)?;
    let mut four = [0; 4];
    stream.read_exact(&mut four)?;
    let mut answer = vec![0; u32::from_be_bytes(four) as usize];
    stream.read_exact(&mut answer)?;
    let (correlation, body) = answer.split_at(4);
    assert_eq!(correlation, CORRELATION, "the answer is to another request");
    Ok(body.to_vec())
}

/// What the cluster says of transactions.
fn features(kafka: &Kafka) -> String {
    let mut describe = kafka.tool("FeatureCommand");
    describe.arg("describe");
    let all = done(describe, "");
    all.lines().filter(|line| line.contains("transaction.version")).collect()
}

fn topic(kafka: &Kafka, name: &str, copies: &str) {
    let mut create = kafka.tool("TopicCommand");
    create.args(["--create", "--topic", name, "--partitions", "1", "--replication-factor", copies]);
    done(create, "");
}

fn send(kafka: &Kafka, topic: &str, lines: &str) {
    let mut producer = kafka.tool("ConsoleProducer");
    // By default it gives up before a dead leader is replaced.
    producer.args(["--topic", topic, "--message-send-max-retries", "1000"]);
    done(producer, lines);
}

fn read(kafka: &Kafka, topic: &str, records: u32) -> String {
    let mut consumer = kafka.tool("consumer.ConsoleConsumer");
    consumer.args(["--topic", topic, "--from-beginning", "--timeout-ms", "20000"]);
    consumer.args(["--max-messages", &records.to_string()]);
    done(consumer, "")
}

fn done(mut command: Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("java starts");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(input.as_bytes()).expect("the tool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}\n{complaint}");
    // A producer that cannot send says so and still ends well.
    assert!(!complaint.contains("ERROR"), "{command:?}\n{complaint}");
    said
}
