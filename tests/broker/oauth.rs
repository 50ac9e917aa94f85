//! Tokens that run out while events flow, checked by Kafka's own validator of signed tokens.

use crate::python::Python;
use crate::secured::{Deployment, RUN, TOPICS, TOPOLOGY, VERIFY, authority, certificate};
use crate::servers::Kafka;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const VALIDATOR: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler";
const LOGIN: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
const EVENTS: u64 = 24_000;
/// Events flow for eighty seconds: for forty of them tokens are renewed in time.
const RATE: u64 = 300;
/// Of a token: the library asks for the next one after twelve seconds.
const LIFETIME: i64 = 15;
const RENEW_EVERY: Duration = Duration::from_secs(5);
const RENEWALS: usize = 8;
/// A connection has to show a token again before so long; 90 % of it is when the library does.
const SESSION: &str = "8000";

/// Whoever issues tokens: `tokens.py`.
struct Issuer {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
    issued: Vec<String>,
}

impl Issuer {
    fn start(python: &Python, folder: &Path) -> Issuer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/tokens.py");
        let mut command = Command::new(python.program());
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).arg(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (asked, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut issuer = Issuer { child, asked, answers, issued: Vec::new() };
        assert_eq!(issuer.answer(), "ready");
        issuer
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// A token with other claims than brokers expect, if any.
    fn issue(&mut self, claims: &str) {
        writeln!(self.asked, "{claims}").unwrap();
        let token = self.answer();
        assert_eq!(token.split('.').count(), 3, "{claims}");
        // Claims are no secret of their own; who has the signature has all.
        self.issued.push(token.rsplit('.').next().unwrap().to_owned());
    }

    fn renew(&mut self) {
        self.issue(&format!("{{\"lifetime\":{LIFETIME}}}"));
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secured(folder: &Path) -> Option<Kafka> {
    let setup = Kafka::setup(1)?;
    authority(folder, "ca");
    certificate(folder, "broker", "ca");
    let (store, keys) = (folder.join("broker-both.pem"), format!("file://{}/jwks.json", folder.display()));
    let properties = [
        ("listener.security.protocol.map", "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("listener.name.client.ssl.keystore.type", "PEM"),
        ("listener.name.client.ssl.keystore.location", store.to_str().unwrap()),
        ("listener.name.client.sasl.enabled.mechanisms", "OAUTHBEARER"),
        ("listener.name.client.oauthbearer.sasl.jaas.config", LOGIN),
        ("listener.name.client.oauthbearer.sasl.server.callback.handler.class", VALIDATOR),
        ("listener.name.client.oauthbearer.connections.max.reauth.ms", SESSION),
        ("sasl.oauthbearer.jwks.endpoint.url", &keys),
        ("sasl.oauthbearer.expected.audience", "kafka"),
        ("sasl.oauthbearer.expected.issuer", "https://issuer.test"),
        // Else a token is believed for half a minute after its end.
        ("sasl.oauthbearer.clock.skew.seconds", "1"),
    ];
    let setup = properties.into_iter().fold(setup, |setup, (key, value)| setup.property(key, value));
    Some(setup.java(&format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}")).start())
}

/// What the worker has said so far of tokens that were not good enough. On a machine with much to do a broker may close
/// a line whose next token came a moment late, and nobody has to look at that.
fn complaints(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap();
    let is_loud = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
    let is_of_tokens = |line: &&str| line.contains("token") || line.contains("SASL");
    text.lines().filter(is_loud).filter(is_of_tokens).map(String::from).collect()
}

#[test]
fn tokens_that_run_out_while_events_flow_are_renewed_and_one_that_is_late_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = Python::with(REQUIREMENTS) else { return };
    let mut issuer = Issuer::start(&python, folder.path());
    let Some(kafka) = secured(folder.path()) else { return };
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, file) = (path("ca.pem"), path("token"));
    issuer.issue("{\"lifetime\":600}");
    let security = [
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", ca.as_str()),
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("sasl.oauthbearer.config", &format!("file:{file}")),
    ];
    let mut deployment = Deployment::new(folder, &kafka, &security);
    deployment.configure(&format!("ca_file: {ca}, mechanism: OAUTHBEARER, token_file: {file}"));
    deployment.fine(TOPICS);
    let found = deployment.fine(&["doctor", TOPOLOGY]);
    assert!(!found.contains("Failed to acquire"), "{found}");

    // What nobody lets in says why at once.
    issuer.issue("{\"lifetime\":-5}");
    deployment.secrets.clone_from(&issuer.issued);
    let generate = ["generate", "--rate", &RATE.to_string(), "--events", &EVENTS.to_string()];
    deployment.refused("holds a token that expired at 2", &[TOPICS, &generate, RUN, VERIFY]);
    for claims in ["\"key\":\"stranger\"", "\"aud\":\"others\"", "\"iss\":\"https://others.test\""] {
        issuer.issue(&format!("{{\"lifetime\":600,{claims}}}"));
        deployment.secrets.clone_from(&issuer.issued);
        deployment.refused("the brokers do not know us", &[RUN]);
    }
    fs::remove_file(&file).unwrap();
    deployment.refused("token cannot be read: No such file", &[RUN]);

    // Two renewals and more while events flow, and nobody notices.
    issuer.renew();
    let log = deployment.path("worker.log");
    let output = || File::options().create(true).append(true).open(&log).unwrap();
    let run = ["run", TOPOLOGY];
    let mut worker = deployment.command(&run).stdout(Stdio::null()).stderr(output()).spawn().unwrap();
    let said = deployment.path("generate.log");
    let to = || File::options().create(true).append(true).open(&said).unwrap();
    let mut generator = deployment.command(&generate).stdout(to()).stderr(to()).spawn().unwrap();
    for _ in 0..RENEWALS {
        thread::sleep(RENEW_EVERY);
        issuer.renew();
    }
    let log = Path::new(&log);
    assert_eq!(complaints(log), [""; 0], "{}", fs::read_to_string(log).unwrap());
    assert!(worker.try_wait().unwrap().is_none() && generator.try_wait().unwrap().is_none());

    // Nobody renews: brokers let nobody on, which shows that they look; and the log says whose file it is.
    let end = Instant::now() + Duration::from_secs(60);
    let is_told =
        || complaints(log).iter().any(|line| line.contains("/token holds a token that expired at 2"));
    while !is_told() {
        assert!(Instant::now() < end, "{}", fs::read_to_string(log).unwrap());
        thread::sleep(Duration::from_secs(1));
    }
    thread::sleep(Duration::from_secs(10));
    assert!(worker.try_wait().unwrap().is_none(), "{}", fs::read_to_string(log).unwrap());

    issuer.issue("{\"lifetime\":600}");
    let generated = generator.wait().unwrap();
    assert!(generated.success(), "{}", fs::read_to_string(&said).unwrap());
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    let status = worker.wait().unwrap();
    assert!(status.success(), "{status}: {}", fs::read_to_string(log).unwrap());

    deployment.secrets.clone_from(&issuer.issued);
    for file in [log.to_str().unwrap(), said.as_str()] {
        deployment.hides_its_secrets(&fs::read_to_string(file).unwrap());
    }
    deployment.fine(RUN);
    deployment.proved(EVENTS);
}
