//! A node's settings: as durable as its number of nodes allows, and quick where a test would only wait.

use super::node::Node;
use std::collections::BTreeMap;

/// What makes `node` a part of these `nodes`.
pub(crate) fn of(node: &Node, nodes: &[Node]) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        QUICK.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);

    let (clients, brokers, controllers) =
        (node.clients.number(), node.brokers.number(), node.controllers.number());
    let listeners = |clients: u16| {
        format!(
            "CLIENT://127.0.0.1:{clients},INTERNAL://127.0.0.1:{brokers},CONTROLLER://127.0.0.1:{controllers}"
        )
    };
    let voter = |node: &Node| format!("{}@127.0.0.1:{}", node.id, node.controllers.number());
    set("process.roles", "broker,controller".into());
    set("node.id", node.id.to_string());
    set("controller.quorum.voters", nodes.iter().map(voter).collect::<Vec<_>>().join(","));
    set("listeners", listeners(clients));
    set("advertised.listeners", listeners(node.advertised));
    set("listener.security.protocol.map", "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".into());
    set("inter.broker.listener.name", "INTERNAL".into());
    set("controller.listener.names", "CONTROLLER".into());
    set("log.dirs", node.data().display().to_string());

    // With three nodes one may be away, and what is acknowledged stands on two.
    let (copies, in_sync) = if nodes.len() >= 3 { (3, 2) } else { (1, 1) };
    for key in [
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.replication.factor",
    ] {
        set(key, copies.to_string());
    }
    for key in
        ["min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"]
    {
        set(key, in_sync.to_string());
    }
    all
}

const QUICK: &[(&str, &str)] = &[
    // A topic that nobody made is a mistake that a test should see.
    ("auto.create.topics.enable", "false"),
    ("num.partitions", "1"),
    // Each partition of the internal topics costs time at the first commit and at every failover.
    ("offsets.topic.num.partitions", "6"),
    ("transaction.state.log.num.partitions", "6"),
    ("share.coordinator.state.topic.num.partitions", "3"),
    // A dead node is noticed after three seconds, not nine.
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("controlled.shutdown.max.retries", "1"),
    // Groups: nobody waits for more members, and tests may choose short sessions.
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "500"),
    // In the newer protocol the broker decides, and a rebalance lasts about two heartbeats.
    ("group.consumer.min.session.timeout.ms", "500"),
    ("group.consumer.session.timeout.ms", "6000"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    // Transactions of the dead, compaction and retention happen while a test looks on.
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
    ("log.initial.task.delay.ms", "1000"),
    ("log.cleaner.backoff.ms", "500"),
    ("log.retention.check.interval.ms", "1000"),
    ("log.segment.delete.delay.ms", "500"),
    // Small machines run three of these beside the tests.
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("log.cleaner.dedupe.buffer.size", "16777216"),
];
