//! Apache Kafka as it is: one process for each node, controller and broker in one, without security unless a test
//! asks for it.
//!
//! With three nodes topics have three copies and take a write once two have it; with one node, one. Nodes count from
//! 1, as their ids do. `min.insync.replicas` counts at the first start only, when it becomes the cluster's default.
//! Nothing is flushed to the disk on purpose: a killed node loses nothing, a power cut is not what this shows.

mod jars;
mod node;
mod properties;

use super::left_out::{left_out, needed};
use super::process::Process;
use super::workdir::Workdir;
use jars::Jars;
use node::Node;
use std::process::Command;
use std::sync::{Once, OnceLock};
use std::time::Duration;
use tracing::subscriber::{NoSubscriber, set_global_default};

/// Nodes that run until this is dropped.
#[derive(Debug)]
pub(crate) struct Kafka {
    // In this order: first the processes go, then the data.
    nodes: Vec<Node>,
    jars: Jars,
    _workdir: Workdir,
}

/// Nodes that are about to be: they have their ports, and may be told more.
#[derive(Debug)]
pub(crate) struct Setup {
    nodes: Vec<Node>,
    properties: Vec<(String, String)>,
    format: Vec<String>,
    java: Vec<String>,
}

impl Kafka {
    /// One node or three, ready. `None` if the test is left out on purpose.
    #[track_caller]
    pub(crate) fn start(nodes: u16) -> Option<Kafka> {
        Some(Self::setup(nodes)?.start())
    }

    /// The same with settings of the test's own, which win over ours.
    #[track_caller]
    pub(crate) fn with(nodes: u16, properties: &[(&str, &str)]) -> Option<Kafka> {
        let setup = Self::setup(nodes)?;
        Some(properties.iter().fold(setup, |setup, (key, value)| setup.property(key, value)).start())
    }

    /// Ports first, for tests that put something before them. `None` if the test is left out on purpose.
    #[track_caller]
    pub(crate) fn setup(nodes: u16) -> Option<Setup> {
        if left_out() {
            return None;
        }
        hush();
        Some(Setup::new(nodes))
    }

    /// The one node that all tests of this binary may share: none of them may kill it, and each uses topics and
    /// groups of its own.
    #[track_caller]
    pub(crate) fn shared() -> Option<&'static Kafka> {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        if left_out() {
            return None;
        }
        hush();
        Some(SHARED.get_or_init(|| Setup::new(1).start()))
    }

    /// Where clients begin: `127.0.0.1:P1,127.0.0.1:P2,…`, the advertised ports.
    pub(crate) fn bootstrap(&self) -> String {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.advertised));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Where the nodes listen for clients themselves, whatever they advertise.
    pub(crate) fn ports(&self) -> Vec<u16> {
        ports(&self.nodes)
    }

    /// SIGKILL. When this returns, the node's ports are closed and its data are free.
    #[track_caller]
    pub(crate) fn kill(&self, node: u16) {
        self.node(node).process(Process::kill);
    }

    /// SIGTERM: the node hands over what it leads and leaves. Killed if that takes longer than `patience`.
    #[track_caller]
    pub(crate) fn stop(&self, node: u16, patience: Duration) {
        self.node(node).process(|process| process.stop(patience));
    }

    /// Starts a dead node again, on its old ports and data, and waits until it is ready. That takes a majority of
    /// nodes: after all were killed, `launch` each and then `wait_until_ready`.
    #[track_caller]
    pub(crate) fn restart(&self, node: u16) {
        self.launch(node);
        self.wait_until_ready(node);
    }

    #[track_caller]
    pub(crate) fn launch(&self, node: u16) {
        needed(self.node(node).launch(&self.jars));
    }

    #[track_caller]
    pub(crate) fn wait_until_ready(&self, node: u16) {
        self.node(node).wait_until_ready().unwrap_or_else(|why| panic!("{why}"));
    }

    /// SIGSTOP: the node holds its connections and answers nothing.
    #[track_caller]
    pub(crate) fn pause(&self, node: u16) {
        self.node(node).process(Process::pause);
    }

    #[track_caller]
    pub(crate) fn resume(&self, node: u16) {
        self.node(node).process(Process::resume);
    }

    pub(crate) fn is_on(&self, node: u16) -> bool {
        self.node(node).is_on()
    }

    /// All that the node has logged since the first start.
    pub(crate) fn log_of(&self, node: u16) -> String {
        self.node(node).log()
    }

    /// A program of `org.apache.kafka.tools`, such as `TopicCommand` or `consumer.ConsoleConsumer`: a client in Java
    /// that shares nothing with ours. The bootstrap address is among its arguments already.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.jars.java());
        command
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=ERROR"])
            .args(["-Djava.net.preferIPv4Stack=true", "-cp", &self.jars.class_path()])
            .arg(format!("org.apache.kafka.tools.{name}"))
            .args(["--bootstrap-server", &self.bootstrap()]);
        command
    }

    #[track_caller]
    fn node(&self, node: u16) -> &Node {
        let found = self.nodes.iter().find(|known| known.id == node);
        found.unwrap_or_else(|| panic!("there is no node {node}, only 1 to {}", self.nodes.len()))
    }
}

impl Setup {
    fn new(nodes: u16) -> Setup {
        assert!(matches!(nodes, 1 | 3), "one node or three, not {nodes}");
        Setup {
            nodes: (1..=nodes).map(Node::new).collect(),
            properties: Vec::new(),
            format: Vec::new(),
            java: Vec::new(),
        }
    }

    /// Where each node will listen for clients.
    pub(crate) fn ports(&self) -> Vec<u16> {
        ports(&self.nodes)
    }

    /// What each node tells clients to connect to instead: a proxy's ports, one for each node.
    #[track_caller]
    pub(crate) fn advertise(mut self, ports: &[u16]) -> Setup {
        assert_eq!(ports.len(), self.nodes.len(), "each node advertises one port");
        for (node, port) in self.nodes.iter_mut().zip(ports) {
            node.advertised = *port;
        }
        self
    }

    /// A setting of every node, which wins over ours. The listener that clients use is called `CLIENT`.
    pub(crate) fn property(mut self, key: &str, value: &str) -> Setup {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A further argument of the tool that formats the folders: `--add-scram …`, `--feature …`.
    pub(crate) fn format(mut self, argument: &str) -> Setup {
        self.format.push(argument.to_owned());
        self
    }

    /// A further option of the Java that runs a node: `-Dorg.apache…=…`.
    pub(crate) fn java(mut self, option: &str) -> Setup {
        self.java.push(option.to_owned());
        self
    }

    /// Starts all nodes and waits until each is ready.
    #[track_caller]
    pub(crate) fn start(self) -> Kafka {
        needed(self.try_start())
    }

    fn try_start(mut self) -> Result<Kafka, String> {
        let jars = Jars::get()?;
        let workdir = Workdir::new();
        self.nodes.iter_mut().for_each(|node| node.settle(workdir.path(), &self.java));
        // All at once: each is a second of Java.
        let mut formats = Vec::new();
        for node in &self.nodes {
            let mut properties = properties::of(node, &self.nodes);
            properties.extend(self.properties.iter().cloned());
            formats.push(node.format(&jars, &properties, &self.format)?);
        }
        for (node, format) in self.nodes.iter().zip(formats) {
            node.formatted(format)?;
        }
        // Whatever fails from here on, the nodes that were started go with this value.
        let kafka = Kafka { nodes: self.nodes, jars, _workdir: workdir };
        for node in &kafka.nodes {
            node.launch(&kafka.jars)?;
        }
        for node in &kafka.nodes {
            node.wait_until_ready()?;
        }
        Ok(kafka)
    }
}

fn ports(nodes: &[Node]) -> Vec<u16> {
    nodes.iter().map(|node| node.clients.number()).collect()
}

/// Clients of this process tell nobody about lines that tests break: a page a second, in which the message of a test
/// that failed is lost. The client library writes to standard error itself only while nobody listens.
fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        // An error means that somebody listens already.
        let _ = set_global_default(NoSubscriber::default());
    });
}
