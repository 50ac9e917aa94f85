//! Brokers that let each role do only what it needs: what `doctor` says is missing, the command that it prints, and the
//! river that then runs on exactly these rights.

use crate::deployment::said;
use crate::doctor::{facts, findings};
use crate::servers::Kafka;
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thalweg::kafka::Settings;
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::Topic;

const PASSWORD: &str = "correct-horse-battery";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
const ROLES: [&str; 3] = ["route", "aggregate", "lake"];
const EVENTS: &str = "300";
const PATIENCE: Duration = Duration::from_secs(120);

/// Everybody needs a name, and nobody but `admin` may do anything unless it was granted.
fn guarded() -> Option<Kafka> {
    let setup = Kafka::setup(1)?;
    let properties = [
        ("listener.security.protocol.map", "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("listener.name.client.sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        ("listener.name.client.scram-sha-512.sasl.jaas.config", SCRAM),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        // Brokers among themselves have no name.
        ("super.users", "User:admin;User:ANONYMOUS"),
    ];
    let setup = properties.into_iter().fold(setup, |setup, (key, value)| setup.property(key, value));
    let users = ROLES.into_iter().chain(["admin", "redrive"]);
    let setup = users.fold(setup, |setup, user| {
        setup.format("--add-scram").format(&format!("SCRAM-SHA-512=[name={user},password={PASSWORD}]"))
    });
    Some(setup.start())
}

/// One deployment, with a configuration for each user.
struct Guarded<'a> {
    folder: TempDir,
    kafka: &'a Kafka,
}

impl Guarded<'_> {
    fn new(kafka: &Kafka) -> Guarded<'_> {
        let guarded = Guarded { folder: tempfile::tempdir().unwrap(), kafka };
        let original = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace/topology.yaml");
        let text = fs::read_to_string(original).unwrap();
        let soon = text.replace("age: 5m", "age: 3s");
        assert_ne!(text, soon);
        fs::write(guarded.path("topology.yaml"), soon).unwrap();
        fs::create_dir(guarded.path("objects")).unwrap();
        for user in ROLES.into_iter().chain(["admin", "redrive"]) {
            fs::write(guarded.path(user), guarded.config(user)).unwrap();
        }
        let tool = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config={} username=\"admin\" \
             password=\"{PASSWORD}\";\n",
            SCRAM.trim_end_matches(';')
        );
        fs::write(guarded.path("tool.properties"), tool).unwrap();
        guarded.make_raw();
        guarded
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn config(&self, user: &str) -> String {
        format!(
            "deployment: guarded\nkafka:\n  brokers: \"{}\"\n  replication: 1\n  security: {{ protocol: sasl_plaintext, \
             mechanism: SCRAM-SHA-512, username: {user}, password: {PASSWORD} }}\n  timeouts: {{ session: 6s, \
             heartbeat: 500ms, transaction: 5s, request: 10s }}\nlake: {{ url: \"file://{}\" }}\nadmin: {{ address: \
             \"127.0.0.1:0\" }}\n",
            self.kafka.bootstrap(),
            self.path("objects"),
        )
    }

    fn make_raw(&self) {
        let mut settings = Settings::new(&self.kafka.bootstrap(), "guarded", "marketplace.events.v1");
        let security = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "admin"),
            ("sasl.password", PASSWORD),
        ];
        settings.security =
            security.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let name = settings.raw_topic.clone();
        let raw = Wanted { topic: Topic::Raw, name, partitions: 2, settings: [].into() };
        topics::create(&settings, &[raw], 1).unwrap();
    }

    fn command(&self, user: &str, verb: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_thalweg"), verb]);
        command.args([&self.path("topology.yaml"), "--config", &self.path(user)]);
        command
    }

    #[track_caller]
    fn fine(&self, user: &str, verb: &str, more: &[&str]) -> Output {
        let output = self.command(user, verb).args(more).output().unwrap();
        assert!(output.status.success(), "{user} {verb}: {}", said(&output));
        output
    }

    #[track_caller]
    fn generate(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        let made = command.args(["generate", "--events", EVENTS, "--config", &self.path("admin")]);
        let made = made.args(["--topology", &self.path("topology.yaml")]).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
    }

    /// Kafka's own tool, as the administrator.
    #[track_caller]
    fn acls(&self, arguments: &[&str]) {
        let mut tool = self.kafka.tool("AclCommand");
        let done = tool.args(["--command-config", &self.path("tool.properties")]).args(arguments).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
    }

    #[track_caller]
    fn grant(&self, role: &str, operation: &str, resources: &[&str]) {
        let who = format!("User:{role}");
        self.acls(&[&["--add", "--allow-principal", &who, "--operation", operation], resources].concat());
    }

    /// What `doctor` printed, word by word, behind its first three words: the tool has those already.
    #[track_caller]
    fn follow(&self, command: &str) {
        let begin = format!("kafka-acls.sh --bootstrap-server {} ", self.kafka.bootstrap());
        let rest = command.strip_prefix(&begin).unwrap_or_else(|| panic!("{command}"));
        self.acls(&rest.split(' ').collect::<Vec<_>>());
    }

    /// As the role's own user, for that role.
    fn doctor(&self, role: &str) -> (Option<i32>, Vec<Value>) {
        let output =
            self.command(role, "doctor").args(["--roles", role, "--output", "json"]).output().unwrap();
        (output.status.code(), findings(&output))
    }

    /// All events are in the books, soon.
    #[track_caller]
    fn proved(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let proved =
                self.command("admin", "verify").args(["--wait=1m", "--output", "json"]).output().unwrap();
            let is_whole = said(&proved).contains(&format!("\"raw_records\":{EVENTS},"));
            if is_whole && proved.status.success() {
                return;
            }
            let logs = ROLES.map(|role| self.log(role)).concat();
            assert!(Instant::now() < end, "{}\n{logs}", said(&proved));
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn log(&self, role: &str) -> String {
        fs::read_to_string(self.path(&format!("{role}.log"))).unwrap()
    }

    fn worker(&self, role: &str) -> Child {
        let log = fs::File::create(self.path(&format!("{role}.log"))).unwrap();
        let mut command = self.command(role, "run");
        command.args(["--roles", role]).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }
}

/// All that a role needs, as the runbook says it, but for one right; and that one.
fn least(guarded: &Guarded<'_>, role: &str) -> &'static str {
    let all: (&[(&str, &[&str])], &'static str) = match role {
        "route" => (
            &[
                ("Read", &["--topic", "marketplace.events.v1", "--topic", "guarded.repartition"]),
                ("Read", &["--group", "guarded-route"]),
                ("Write", &["--topic", "guarded.repartition"]),
            ],
            "Write on topic guarded.dead-letters",
        ),
        "aggregate" => (
            &[
                (
                    "Read",
                    &[
                        "--topic",
                        "guarded.repartition",
                        "--topic",
                        "guarded.state",
                        "--group",
                        "guarded-aggregate",
                    ],
                ),
                (
                    "Write",
                    &[
                        "--topic",
                        "guarded.state",
                        "--topic",
                        "guarded.metrics",
                        "--topic",
                        "guarded.set-aside",
                        "--topic",
                        "guarded.history.orders",
                    ],
                ),
            ],
            "Write on transactional ids guarded-aggregate-*",
        ),
        _ => (&[("Read", &["--topic", "marketplace.events.v1"])], "Read on group guarded-lake"),
    };
    for (operation, resources) in all.0 {
        guarded.grant(role, operation, resources);
    }
    all.1
}

/// Before there is any letter: all that the verb touches, it touches all the same.
fn redrives_on_the_least(guarded: &Guarded<'_>) {
    let doctor = || {
        let mut command = guarded.command("redrive", "doctor");
        let output = command.args(["--verb", "redrive", "--output", "json"]).output().unwrap();
        (output.status.code(), findings(&output))
    };
    let (code, found) = doctor();
    assert_eq!((code, facts(&found, "rights", "missing").len()), (Some(4), 4), "{found:#?}");
    for one in found.iter().filter(|one| one["check"] == "rights" && one["state"] == "missing") {
        guarded.follow(one["command"].as_str().unwrap());
    }
    let (code, found) = doctor();
    assert_eq!((code, facts(&found, "rights", "ok").len()), (Some(0), 4), "{found:#?}");
    let weak = facts(&found, "rights", "weak");
    assert!(weak.len() == 1 && weak[0].contains("the clock of its machine says what is late"), "{weak:?}");
}

#[test]
fn each_role_runs_on_exactly_the_rights_that_doctor_asks_for() {
    let Some(kafka) = guarded() else { return };
    let guarded = Guarded::new(&kafka);
    guarded.fine("admin", "topics", &["--apply"]);
    guarded.generate();

    // Whom brokers do not know, they tell nothing; the store is judged all the same.
    fs::write(guarded.path("lake"), guarded.config("lake").replace(PASSWORD, "hunter2")).unwrap();
    let (code, found) = guarded.doctor("lake");
    fs::write(guarded.path("lake"), guarded.config("lake")).unwrap();
    assert_eq!(code, Some(4), "{found:#?}");
    assert!(facts(&found, "brokers", "missing")[0].contains("the brokers do not know us"), "{found:#?}");
    assert!(!format!("{found:?}").contains("hunter2"), "a password was printed");
    assert_eq!((facts(&found, "rights", "unknown").len(), facts(&found, "store", "ok").len()), (1, 4));

    // Nobody may do anything yet, and brokers hide even the topics.
    let (code, found) = guarded.doctor("aggregate");
    assert_eq!(code, Some(4), "{found:#?}");
    assert_eq!(facts(&found, "topics", "missing").len(), 5, "{found:#?}");
    assert!(facts(&found, "topics", "missing").iter().all(|fact| fact.contains("is hidden from us")));
    assert_eq!(facts(&found, "rights", "missing").len(), 8, "{found:#?}");
    assert_eq!(facts(&found, "rights", "ok"), [""; 0]);

    for role in ROLES {
        let left_out = least(&guarded, role);
        let (code, found) = guarded.doctor(role);
        assert_eq!(code, Some(4), "{role}: {found:#?}");
        let missing: Vec<&Value> =
            found.iter().filter(|one| one["check"] == "rights" && one["state"] == "missing").collect();
        assert_eq!(missing.len(), 1, "{role}: {missing:#?}");
        let fact = missing[0]["fact"].as_str().unwrap();
        assert!(fact.starts_with(&format!("{role}: no {left_out}")), "{fact}");

        guarded.follow(missing[0]["command"].as_str().unwrap());

        let (code, found) = guarded.doctor(role);
        assert_eq!(code, Some(0), "{role}: {found:#?}");
        assert_eq!(facts(&found, "rights", "unknown"), [""; 0]);
        // How topics are set is one more right, without which a start only says that it did not look.
        let weak: Vec<&Value> =
            found.iter().filter(|one| one["check"] == "rights" && one["state"] == "weak").collect();
        assert!(
            weak.iter().all(|one| one["operation"] == "DescribeConfigs") && !weak.is_empty(),
            "{weak:#?}"
        );
        // So nobody calls them right.
        assert_eq!(facts(&found, "topics", "ok"), [""; 0]);
        assert_eq!(facts(&found, "topics", "unknown").len(), weak.len(), "{role}: {found:#?}");
        if role == "lake" {
            guarded.follow(weak[0]["command"].as_str().unwrap());
            let (code, found) = guarded.doctor(role);
            assert_eq!(code, Some(0), "{found:#?}");
            assert_eq!(facts(&found, "rights", "weak"), [""; 0]);
            assert_eq!(facts(&found, "topics", "ok").len(), 1, "{found:#?}");
        }
    }

    redrives_on_the_least(&guarded);

    // They run on these rights, and looking at them disturbs nobody.
    let mut workers = ROLES.map(|role| guarded.worker(role));
    guarded.proved();
    for role in ROLES {
        let (code, found) = guarded.doctor(role);
        assert_eq!(code, Some(0), "{role}: {found:#?}");
    }
    let mut redrive = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    redrive.args([
        "dead-letters",
        "redrive",
        &guarded.path("topology.yaml"),
        "--config",
        &guarded.path("redrive"),
    ]);
    let output = redrive.args(["--refused", "--apply"]).output().unwrap();
    let told = said(&output);
    assert!(
        output.status.success() && told.contains("redrive: ") && !told.contains("redrive: 0 sent"),
        "{told}"
    );
    assert!(told.contains("late is judged by this machine's clock"), "{told}");
    for (role, worker) in ROLES.into_iter().zip(&mut workers) {
        let log = guarded.log(role);
        assert!(worker.try_wait().unwrap().is_none(), "{role} ended: {log}");
        assert!(!log.contains("fenced") && !log.contains("AuthorizationFailed"), "{role}: {log}");
        let is_unchecked = log.contains("is set is not checked: no right to describe its configuration");
        assert_eq!(is_unchecked, role != "lake", "{role}: {log}");
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}
