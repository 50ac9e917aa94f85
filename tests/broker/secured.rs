//! Brokers that do not talk to everybody, and a deployment on them whose lake is a folder.

use crate::deployment::said;
use crate::servers::Kafka;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thalweg::kafka::Settings;
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::Topic;

/// A start that waits for a time-out instead of saying what is wrong takes as long as `kafka.timeouts.request`, a minute.
const SECONDS: Duration = Duration::from_secs(30);

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let made = made.expect("certificates are made with openssl (for example: apt-get install openssl)");
    assert!(made.status.success(), "openssl {arguments}: {}", said(&made));
}

/// `NAME.pem` and its key: an authority that nobody else knows.
pub(crate) fn authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ),
    );
}

/// `NAME.key` and `NAME.pem`, signed by the authority, for somebody at 127.0.0.1; and both in `NAME-both.pem`.
pub(crate) fn certificate(folder: &Path, name: &str, authority: &str) {
    openssl(
        folder,
        &format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out request.pem"),
    );
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let signer = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial");
    openssl(folder, &format!("x509 -req -days 2 -in request.pem {signer} -extfile names -out {name}.pem"));
    let read = |what: &str| fs::read_to_string(folder.join(format!("{name}.{what}"))).unwrap();
    fs::write(folder.join(format!("{name}-both.pem")), read("key") + &read("pem")).unwrap();
}

/// What the program is to be configured with, and what it must never print.
pub(crate) struct Deployment {
    folder: TempDir,
    brokers: String,
    pub(crate) secrets: Vec<String>,
    /// Of the environment.
    pub(crate) variables: Vec<(&'static str, String)>,
}

pub(crate) const TOPOLOGY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace/topology.yaml");
pub(crate) const TOPICS: &[&str] = &["topics", TOPOLOGY, "--apply"];
pub(crate) const GENERATE: &[&str] = &["generate", "--events", "300"];
pub(crate) const RUN: &[&str] = &["run", TOPOLOGY, "--until-idle"];
pub(crate) const VERIFY: &[&str] = &["verify", TOPOLOGY, "--output", "json"];

impl Deployment {
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// With a raw topic that is there, made by the library with the same settings that the program makes of its file.
    pub(crate) fn new(folder: TempDir, kafka: &Kafka, security: &[(&str, &str)]) -> Self {
        let brokers = kafka.bootstrap();
        let mut settings = Settings::new(&brokers, "secured", "marketplace.events.v1");
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        settings.security = security.iter().map(owned).collect();
        let name = settings.raw_topic.clone();
        let raw = Wanted { topic: Topic::Raw, name, partitions: 2, settings: [].into() };
        topics::create(&settings, &[raw], 1).unwrap();
        Deployment { folder, brokers, secrets: Vec::new(), variables: Vec::new() }
    }

    /// `security` is what stands between the brackets of `kafka.security`.
    pub(crate) fn configure(&self, security: &str) {
        let text = format!(
            "deployment: secured\nkafka:\n  brokers: \"{}\"\n  replication: 1\n  security: {{ {security} }}\n  timeouts: \
             {{ session: 6s, heartbeat: 500ms, transaction: 5s, request: 60s }}\nlake: {{ url: \"file://{}\" }}\nadmin: {{ \
             address: \"127.0.0.1:0\" }}\n",
            self.brokers,
            self.path("lake"),
        );
        fs::write(self.path("config.yaml"), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(arguments).args(["--config", &self.path("config.yaml")]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    #[track_caller]
    pub(crate) fn hides_its_secrets(&self, said: &str) {
        assert!(self.secrets.iter().all(|secret| !said.contains(secret)), "a secret was printed:\n{said}");
    }

    #[track_caller]
    fn thalweg(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        self.hides_its_secrets(&said(&output));
        output
    }

    #[track_caller]
    pub(crate) fn fine(&self, arguments: &[&str]) -> String {
        let output = self.thalweg(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// Each verb ends soon with this sentence, and with the code that says that a person has to act.
    #[track_caller]
    pub(crate) fn refused(&self, sentence: &str, verbs: &[&[&str]]) {
        for &arguments in verbs {
            let began = Instant::now();
            let output = self.thalweg(arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
            assert!(said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
            assert!(said(&output).contains("`kafka.security`"), "{arguments:?}: {}", said(&output));
            assert!(began.elapsed() < SECONDS, "{arguments:?} took {:?}", began.elapsed());
        }
    }

    #[track_caller]
    pub(crate) fn proved(&self, raw: u64) {
        let proved = self.fine(VERIFY);
        assert!(proved.contains(&format!("\"raw_records\":{raw},")), "{proved}");
    }
}
