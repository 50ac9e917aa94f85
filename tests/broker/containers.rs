//! What the containers of `deploy/compose.yaml` run, as processes: the same commands, by the same configuration. Only
//! addresses differ, and the store's name for us.

use crate::deployment::said;
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::kafka::Settings;
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::Topic;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const RAW: &str = "marketplace.events.v1";

/// The commands of the program's own containers, by their verb or role.
fn command_of(wanted: &str) -> Vec<String> {
    let compose = fs::read_to_string(Path::new(ROOT).join("deploy/compose.yaml")).unwrap();
    let lists = compose.lines().filter_map(|line| line.trim().strip_prefix("command: "));
    let lists = lists.map(|list| serde_json::from_str::<Vec<String>>(list).expect("a list in one line"));
    let found = lists.into_iter().find(|list| {
        list.first().is_some_and(|verb| verb == wanted) || list.last().is_some_and(|role| role == wanted)
    });
    found.unwrap_or_else(|| panic!("no container runs {wanted}"))
}

fn program(kafka: &Kafka, store: &S3, arguments: &[String]) -> Command {
    let here = |argument: &String| {
        let argument = argument.replace("/etc/thalweg/thalweg.yaml", &format!("{ROOT}/deploy/thalweg.yaml"));
        argument.replace("/etc/thalweg/topologies", &format!("{ROOT}/topologies"))
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(arguments.iter().map(here));
    command.env("THALWEG__KAFKA__BROKERS", kafka.bootstrap());
    command.env("THALWEG__LAKE__URL", format!("s3://{}/containers", store.bucket()));
    command.env("THALWEG__LAKE__S3__ENDPOINT", store.endpoint());
    command.env("THALWEG__LAKE__S3__REGION", store.region());
    command.env("THALWEG__LAKE__S3__ACCESS_KEY", store.access_key());
    command.env("THALWEG__LAKE__S3__SECRET_KEY", store.secret_key());
    // Each container has an address of its own; here they share one.
    command.env("THALWEG__ADMIN__ADDRESS", "127.0.0.1:0");
    command
}

#[track_caller]
fn done(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

struct Role(Child);

impl Drop for Role {
    fn drop(&mut self) {
        // Gone already, if all is well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_commands_of_the_containers_make_a_river_that_verify_proves_and_that_stops_when_asked() {
    const EVENTS: &str = "3000";
    let (Some(kafka), Some(store)) = (Kafka::start(1), S3::shared()) else { return };
    let raw = Wanted { topic: Topic::Raw, name: RAW.into(), partitions: 6, settings: [].into() };
    topics::create(&Settings::new(&kafka.bootstrap(), "marketplace", RAW), &[raw], 1).unwrap();
    done(program(&kafka, store, &command_of("topics")));
    let mut shoppers = command_of("generate");
    let events = shoppers.len() - 1;
    // Sooner done, and fewer.
    shoppers[events] = EVENTS.into();
    let rate = shoppers.iter().position(|argument| argument == "--rate").unwrap();
    shoppers[rate + 1] = "100000".into();
    done(program(&kafka, store, &shoppers));

    let mut roles = ["route", "aggregate", "lake"].map(|role| {
        let mut command = program(&kafka, store, &command_of(role));
        Role(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    });

    let topology = "/etc/thalweg/topologies/marketplace";
    let verify = |more: &[&str]| {
        let all = [&["verify", topology, "--config", "/etc/thalweg/thalweg.yaml"], more].concat();
        program(&kafka, store, &all.into_iter().map(String::from).collect::<Vec<_>>())
    };
    let metrics = ["metrics", topology, "--config", "/etc/thalweg/thalweg.yaml"].map(String::from);
    let counted = || done(program(&kafka, store, &metrics)).lines().count();
    let (end, mut rows) = (Instant::now() + Duration::from_secs(120), (0, counted()));
    while rows.1 == 0 || rows.0 != rows.1 {
        assert!(Instant::now() < end, "the rows do not come to rest: {rows:?}");
        thread::sleep(Duration::from_secs(2));
        rows = (rows.1, counted());
    }
    // The lake closes its chunks when it is asked to stop, so nobody has to wait until they are old enough.
    for Role(role) in &mut roles {
        kill_process(Pid::from_child(role), Signal::TERM).unwrap();
        assert!(role.wait().unwrap().success(), "a role that is asked to stop ends well");
    }
    let report: serde_json::Value = serde_json::from_str(&done(verify(&["--output", "json"]))).unwrap();
    assert_eq!(report["difference_count"], 0, "{report}");
    assert_eq!(report["raw_records"].to_string(), EVENTS, "{report}");
}
