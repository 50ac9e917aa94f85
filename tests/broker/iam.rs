//! Signing in at Amazon MSK by IAM, as far as other brokers show it: no token was ever seen by MSK itself. A proxy before
//! a real broker keeps the tokens for botocore to judge, and puts one in their place that the broker believes.
//!
//! The line is in the clear, so the proxy sees as well that the same connections sign in again (KIP-368).

use crate::deployment::said;
use crate::python::Python;
use crate::secured::{Deployment, RUN, TOPICS, TOPOLOGY};
use crate::servers::Kafka;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, PRODUCE, Request, SASL_AUTHENTICATE, proxy};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const LOGIN: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
/// Kafka's own validator for tests believes whatever is not signed:
/// `{"alg":"none"}`, and `{"sub":"thalweg","iat":1700000000,"exp":4102444800}`.
const BELIEVED: &str =
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0aGFsd2VnIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDB9.";
const REGION: &str = "eu-central-1";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const LENT: &str = "IQoJ//b3JpZ2lu+session==";
/// So long a broker takes requests on a connection that does not sign in again; clients do so after 90 % of it.
const SESSION: Duration = Duration::from_secs(5);
const EVENTS: u64 = 3_600;
/// Events flow for twelve seconds.
const RATE: &str = "300";
const FETCH: i16 = 1;
const HEARTBEAT: i16 = 12;

/// One connection.
struct Life {
    began: Instant,
    sign_ins: u32,
    /// Requests after the first sign-in was over, by their kind.
    later: BTreeMap<i16, u32>,
}

#[derive(Default)]
struct Gate {
    lives: BTreeMap<u64, Life>,
    tokens: BTreeSet<String>,
}

impl Gate {
    fn judge(&mut self, request: &Request<'_>) -> Act {
        let born = || Life { began: Instant::now(), sign_ins: 0, later: BTreeMap::new() };
        let life = self.lives.entry(request.connection()).or_insert_with(born);
        if request.api() != SASL_AUTHENTICATE {
            if life.began.elapsed() > SESSION + Duration::from_secs(1) {
                *life.later.entry(request.api()).or_default() += 1;
            }
            return Act::Pass;
        }
        life.sign_ins += 1;
        let proof = request.proof();
        let token = proof.split("Bearer ").nth(1).and_then(|rest| rest.split('\u{1}').next()).unwrap();
        if token == BELIEVED {
            return Act::Pass;
        }
        self.tokens.insert(token.to_owned());
        Act::Instead(request.proving(&proof.replace(token, BELIEVED)))
    }

    /// Did a connection that signed in again go on with such requests? The next one of a kind waits for an answer.
    fn went_on(&self, api: i16) -> bool {
        self.lives
            .values()
            .any(|life| life.sign_ins > 1 && life.later.get(&api).is_some_and(|&count| count > 2))
    }
}

fn secured() -> Option<(Kafka, Port, Arc<Mutex<Gate>>)> {
    let (setup, port) = (Kafka::setup(1)?, Port::reserve());
    let (broker, session) = (setup.ports()[0], SESSION.as_millis().to_string());
    let setup = setup
        .property(
            "listener.security.protocol.map",
            "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .property("listener.name.client.sasl.enabled.mechanisms", "OAUTHBEARER")
        .property("listener.name.client.oauthbearer.sasl.jaas.config", LOGIN)
        .property("listener.name.client.oauthbearer.connections.max.reauth.ms", &session);
    let kafka = setup.advertise(&[port.number()]).start();
    let gate = Arc::new(Mutex::new(Gate::default()));
    let judging = Arc::clone(&gate);
    proxy(&port, broker, move |request| judging.lock().unwrap().judge(request));
    Some((kafka, port, gate))
}

/// Amazon's own library signs the same as we did.
fn are_right(python: &Python, deployment: &Deployment, tokens: &BTreeSet<String>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/iam.py");
    let mut command = std::process::Command::new(python.program());
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).arg(REGION);
    command.envs(deployment.variables.iter().map(|(name, value)| (name, value)));
    let mut judge =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut asked = judge.stdin.take().unwrap();
    tokens.iter().for_each(|token| writeln!(asked, "{token}").unwrap());
    drop(asked);
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("{} tokens are right", tokens.len())), "{}", said(&output));
}

#[test]
fn msk_gets_tokens_that_amazons_library_signs_alike_and_connections_sign_in_again_before_their_time_is_over()
{
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = Python::with(REQUIREMENTS) else { return };
    let Some((kafka, _port, gate)) = secured() else { return };
    let file = folder.path().join("token");
    fs::write(&file, BELIEVED).unwrap();
    let security = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("sasl.oauthbearer.config", &format!("file:{}", file.display())),
    ];
    let mut deployment = Deployment::new(folder, &kafka, &security);
    deployment.secrets = vec![SECRET.into(), LENT.into()];
    deployment.configure("protocol: sasl_plaintext, mechanism: AWS_MSK_IAM");
    let ended = |output: Output, code: i32, sentence: &str| {
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(sentence), "{}", said(&output));
    };

    // Whoever is nobody to AWS hears so, and nothing was sent.
    let nobody = |deployment: &Deployment| {
        let mut command = deployment.command(RUN);
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        command
    };
    ended(nobody(&deployment).output().unwrap(), 78, "give `kafka.security.region`, or set AWS_REGION");
    deployment.variables = vec![("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1".into())];
    let output = nobody(&deployment).env("AWS_DEFAULT_REGION", REGION).output().unwrap();
    ended(output, 75, "cannot sign in at Amazon MSK: no credentials: ");
    assert!(gate.lock().unwrap().tokens.is_empty());

    deployment.variables.extend([
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_SESSION_TOKEN", LENT.to_owned()),
    ]);
    deployment.fine(TOPICS);
    let log = deployment.path("worker.log");
    let run = ["run", TOPOLOGY];
    let mut worker =
        deployment.command(&run).stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    deployment.fine(&["generate", "--rate", RATE, "--events", &EVENTS.to_string()]);
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    let (status, log) = (worker.wait().unwrap(), fs::read_to_string(&log).unwrap());
    assert!(status.success(), "{status}: {log}");
    deployment.hides_its_secrets(&log);
    deployment.fine(RUN);
    deployment.proved(EVENTS);

    let gate = gate.lock().unwrap();
    are_right(&python, &deployment, &gate.tokens);
    assert!(gate.tokens.len() > 1 && !gate.tokens.iter().any(|token| log.contains(token)), "{log}");
    // Producers, members of groups, and those who read.
    for api in [PRODUCE, HEARTBEAT, FETCH] {
        assert!(gate.went_on(api), "no connection with requests of {api} outlived its first sign-in: {log}");
    }
}
