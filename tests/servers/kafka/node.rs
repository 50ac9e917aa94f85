//! One node: its ports, its settings, its folder, its process.

use super::jars::Jars;
use crate::servers::cached::finished;
use crate::servers::ports::Port;
use crate::servers::process::{Process, wait_until};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Any 16 bytes in Kafka's spelling: these are `thalweg-servers!`.
const CLUSTER: &str = "dGhhbHdlZy1zZXJ2ZXJzIQ";

/// Written once the controller has let the broker in, so clients find it from then on.
const READY: &str = "Kafka Server started";

/// A start takes 2 to 10 seconds; a machine that runs all tests at once may need far longer.
const START_MAX: Duration = Duration::from_secs(120);

const LOG4J: &str = "status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c)%n%throwable
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

#[derive(Debug)]
pub(crate) struct Node {
    /// 1, 2 or 3: what clients call it, too.
    pub(crate) id: u16,
    /// Where it listens for clients.
    pub(crate) clients: Port,
    /// Brokers and controllers talk on ports of their own, so that a proxy before the first disturbs only clients.
    pub(crate) brokers: Port,
    pub(crate) controllers: Port,
    /// Where it tells clients to find it: its own port, or a proxy's.
    pub(crate) advertised: u16,
    place: PathBuf,
    /// Options of Java that a test asked for.
    java: Vec<String>,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    process: Option<Process>,
    /// The log's length when this life began: what it says before that is of earlier ones.
    log_from: usize,
}

impl Node {
    pub(crate) fn new(id: u16) -> Node {
        let clients = Port::reserve();
        let advertised = clients.number();
        Node {
            id,
            clients,
            brokers: Port::reserve(),
            controllers: Port::reserve(),
            advertised,
            place: PathBuf::new(),
            java: Vec::new(),
            life: Mutex::default(),
        }
    }

    /// Gives it a folder of its own below this one.
    pub(crate) fn settle(&mut self, below: &Path, java: &[String]) {
        self.java = java.to_vec();
        self.place = below.join(format!("node-{}", self.id));
    }

    /// Writes its settings and begins to format its folder, which takes a second of Java.
    pub(crate) fn format(
        &self,
        jars: &Jars,
        properties: &BTreeMap<String, String>,
        more: &[String],
    ) -> Result<Child, String> {
        let write = |name: &str, text: &str| {
            let path = self.place.join(name);
            fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
        };
        fs::create_dir_all(self.data())
            .map_err(|error| format!("{} cannot be made: {error}", self.data().display()))?;
        write("server.properties", &text(properties))?;
        write("log4j2.properties", LOG4J)?;
        Command::new(jars.java())
            .args(self.java("32m", jars, "kafka.tools.StorageTool"))
            .args(["format", "--cluster-id", CLUSTER, "--config"])
            .arg(self.place.join("server.properties"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("java cannot be started: {error}"))
    }

    pub(crate) fn formatted(&self, format: Child) -> Result<(), String> {
        finished(format.wait_with_output(), &format!("the folder of node {} cannot be formatted", self.id))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    /// Starts it on its own folder, without waiting.
    pub(crate) fn launch(&self, jars: &Jars) -> Result<(), String> {
        let mut life = self.life();
        assert!(!life.is_on(), "node {} runs", self.id);
        let mut arguments = self.java("512m", jars, "kafka.Kafka");
        arguments.push(self.place.join("server.properties").display().to_string());
        life.log_from = self.log().len();
        life.process = Some(Process::start(jars.java(), arguments, &self.log_path())?);
        Ok(())
    }

    pub(crate) fn wait_until_ready(&self) -> Result<(), String> {
        let from = self.life().log_from;
        let said = || self.log().get(from..).is_some_and(|said| said.contains(READY));
        wait_until(START_MAX, || said() || !self.is_on());
        // Asked again: one that ended was perhaps ready before.
        if said() {
            return Ok(());
        }
        let trouble = match self.is_on() {
            true => format!("was not ready after {} s", START_MAX.as_secs()),
            false => "ended while it started".to_owned(),
        };
        Err(format!("node {} {trouble}\n{}", self.id, self.last_words()))
    }

    /// Does something to its process, which has to run.
    #[track_caller]
    pub(crate) fn process(&self, act: impl FnOnce(&mut Process)) {
        let mut life = self.life();
        let running = life.process.as_mut().and_then(Process::if_on);
        act(running.unwrap_or_else(|| panic!("node {} does not run\n{}", self.id, self.last_words())));
    }

    pub(crate) fn is_on(&self) -> bool {
        self.life().is_on()
    }

    /// All that it has logged, in all of its lives.
    pub(crate) fn log(&self) -> String {
        fs::read(self.log_path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.place.join("server.log")
    }

    fn java(&self, heap_at_start: &str, jars: &Jars, class: &str) -> Vec<String> {
        let log4j = format!("-Dlog4j2.configurationFile={}", self.place.join("log4j2.properties").display());
        let heap = format!("-Xms{heap_at_start}");
        // Small and quick to start: many of them run beside builds on small machines.
        let options = ["-Xmx512m", &heap, "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let options =
            options.into_iter().chain(["-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true"]);
        let options = options.chain(self.java.iter().map(String::as_str));
        options.chain([log4j.as_str(), "-cp", &jars.class_path(), class]).map(String::from).collect()
    }

    /// A test that failed with this in its hands has failed; the others can go on.
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    fn is_on(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_on)
    }
}

/// The settings as a file of Java's.
fn text(properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        let value = value.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(text, "{key}={value}").expect("a string takes all that is written");
    }
    text
}
