//! Brokers that are known by a certificate of a private authority, and that want a password.

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

const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "incorrect-horse-battery";
/// A start that waits for a time-out instead of saying what is wrong takes as long as `kafka.timeouts.request`, a minute.
const SECONDS: Duration = Duration::from_secs(30);
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let made = made.expect("certificates are made with openssl (for example: apt-get install openssl)");
    assert!(made.status.success(), "openssl {arguments}: {}", said(&made));
}

/// `NAME.pem` and its key: an authority that nobody else knows.
fn authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ),
    );
}

/// `broker.pem`: key and certificate of a broker at 127.0.0.1, signed by the authority.
fn certificate(folder: &Path, authority: &str) {
    openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=broker -keyout key.pem -out request.pem");
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let signer = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial");
    openssl(folder, &format!("x509 -req -days 2 -in request.pem {signer} -extfile names -out cert.pem"));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join("broker.pem"), read("key.pem") + &read("cert.pem")).unwrap();
}

/// Clients need TLS and a password; brokers among themselves do not.
fn secured(folder: &Path) -> Option<Kafka> {
    let setup = Kafka::setup(1)?;
    authority(folder, "ca");
    authority(folder, "stranger");
    certificate(folder, "ca");
    let store = folder.join("broker.pem");
    let plain = format!("{PLAIN} user_thalweg=\"{PASSWORD}\";");
    let properties = [
        ("listener.security.protocol.map", "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("listener.name.client.sasl.enabled.mechanisms", "SCRAM-SHA-512,PLAIN"),
        ("listener.name.client.scram-sha-512.sasl.jaas.config", SCRAM),
        ("listener.name.client.plain.sasl.jaas.config", &plain),
        ("listener.name.client.ssl.keystore.type", "PEM"),
        ("listener.name.client.ssl.keystore.location", store.to_str().unwrap()),
    ];
    let setup = properties.into_iter().fold(setup, |setup, (key, value)| setup.property(key, value));
    let user = format!("SCRAM-SHA-512=[name=thalweg,password={PASSWORD}]");
    Some(setup.format("--add-scram").format(&user).start())
}

/// A deployment whose lake is a folder.
struct Deployment {
    folder: TempDir,
    brokers: String,
}

impl Deployment {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// With a raw topic that is there, made by the library with the same settings that the program makes of its file.
    fn new(folder: TempDir, kafka: &Kafka) -> Self {
        let deployment = Deployment { brokers: kafka.bootstrap(), folder };
        let mut settings = Settings::new(&deployment.brokers, "secured", "marketplace.events.v1");
        let security = [
            ("security.protocol", "SASL_SSL".to_owned()),
            ("ssl.ca.location", deployment.path("ca.pem")),
            ("sasl.mechanisms", "SCRAM-SHA-512".to_owned()),
            ("sasl.username", "thalweg".to_owned()),
            ("sasl.password", PASSWORD.to_owned()),
        ];
        settings.security = security.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let name = settings.raw_topic.clone();
        let raw = Wanted { topic: Topic::Raw, name, partitions: 2, settings: [].into() };
        topics::create(&settings, &[raw], 1).unwrap();
        deployment
    }

    fn configure(&self, mechanism: &str, authority: &str, password: &str) {
        fs::write(self.path("password"), format!("{password}\n")).unwrap();
        let text = format!(
            "deployment: secured\nkafka:\n  brokers: \"{}\"\n  replication: 1\n  security:\n    protocol: sasl_tls\n    \
             ca_file: {}\n    mechanism: {mechanism}\n    username: thalweg\n    password_file: {}\n  timeouts: \
             {{ session: 6s, heartbeat: 500ms, transaction: 5s, request: 60s }}\nlake: {{ url: \"file://{}\" }}\nadmin: {{ \
             address: \"127.0.0.1:0\" }}\n",
            self.brokers,
            self.path(authority),
            self.path("password"),
            self.path("lake"),
        );
        fs::write(self.path("config.yaml"), text).unwrap();
    }

    fn thalweg(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(arguments)
            .args(["--config", &self.path("config.yaml")])
            .output()
            .unwrap();
        for secret in [PASSWORD, WRONG] {
            assert!(!said(&output).contains(secret), "{arguments:?} printed a password");
        }
        output
    }

    #[track_caller]
    fn fine(&self, arguments: &[&str]) -> String {
        let output = self.thalweg(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// Each verb ends soon with this sentence, and with the code that says that a person has to act.
    #[track_caller]
    fn refused(&self, sentence: &str, verbs: &[&[&str]]) {
        for &arguments in verbs {
            let began = Instant::now();
            let output = self.thalweg(arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
            assert!(said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
            assert!(said(&output).contains("`kafka.security`"), "{arguments:?}: {}", said(&output));
            assert!(began.elapsed() < SECONDS, "{arguments:?} took {:?}", began.elapsed());
        }
    }
}

const TOPOLOGY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace/topology.yaml");
const RUN: &[&str] = &["run", TOPOLOGY, "--until-idle"];
const VERIFY: &[&str] = &["verify", TOPOLOGY, "--output", "json"];

#[test]
fn a_password_over_tls_with_a_private_authority_works_and_a_wrong_one_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let Some(kafka) = secured(folder.path()) else { return };
    let deployment = Deployment::new(folder, &kafka);

    deployment.configure("SCRAM-SHA-512", "stranger.pem", PASSWORD);
    deployment.refused("no encrypted line to the brokers", &[RUN, VERIFY]);
    deployment.configure("SCRAM-SHA-512", "ca.pem", WRONG);
    let (topics, generate) = (["topics", TOPOLOGY, "--apply"], ["generate", "--events", "300"]);
    deployment.refused("the brokers do not know us", &[&topics, &generate, RUN, VERIFY]);
    deployment.configure("PLAIN", "ca.pem", WRONG);
    deployment.refused("the brokers do not know us", &[RUN]);

    deployment.configure("SCRAM-SHA-512", "ca.pem", PASSWORD);
    for verb in [&topics, &generate, RUN] {
        deployment.fine(verb);
    }
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        deployment.configure(mechanism, "ca.pem", PASSWORD);
        let proved = deployment.fine(VERIFY);
        assert!(proved.contains("\"raw_records\":300"), "{proved}");
    }
}
