//! What is left of the servers of a test process that was killed.

use crate::servers::left_out::left_out;
use crate::servers::process::wait_until;
use crate::servers::workdir::Workdir;
use crate::servers::{Kafka, S3};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};
use tempfile::TempDir;

/// Where the process that is going to be killed writes down what it has started.
const VICTIM: &str = "THALWEG_TEST_VICTIM";

#[test]
fn a_killed_test_process_takes_its_servers_with_it() {
    if let Some(file) = env::var_os(VICTIM) {
        return start_and_wait_for_death(Path::new(&file));
    }
    if left_out() {
        return;
    }
    let folder = TempDir::new().expect("a folder can be made");
    let file = folder.path().join("ports");
    let mut victim = Command::new(env::current_exe().expect("we have a name"))
        .args(["--exact", "leaves_nothing::a_killed_test_process_takes_its_servers_with_it", "--nocapture"])
        .env(VICTIM, &file)
        .stdout(Stdio::null())
        .spawn()
        .expect("this program starts again");
    assert!(
        wait_until(Duration::from_secs(300), || file.exists()
            || victim.try_wait().is_ok_and(|end| end.is_some())),
        "no servers in time"
    );
    let started = fs::read_to_string(&file).expect("the servers were started");
    let mut lines = started.lines();
    let data = lines.next().expect("first the folder").to_owned();
    let ports: Vec<u16> = lines.map(|port| port.parse().expect("a port")).collect();
    assert!(ports.iter().all(|port| is_open(*port)), "{started}");

    victim.kill().expect("it runs");
    victim.wait().expect("a child can be waited for");

    assert!(wait_until(Duration::from_secs(10), || !ports.iter().any(|port| is_open(*port))), "{started}");
    let _next = Workdir::new();
    assert!(!Path::new(&data).exists(), "{data} was left behind");
}

fn start_and_wait_for_death(file: &Path) {
    // As tests do: started by a thread that is gone before the process is.
    let (kafka, s3) = thread::spawn(|| (Kafka::start(1), S3::start())).join().expect("both start");
    let (kafka, s3) = (kafka.expect("not left out"), s3.expect("not left out"));
    let ports = format!("{}\n{}\n{}\n", s3.folder().display(), kafka.ports()[0], s3.port());
    let part = file.with_extension("part");
    fs::write(&part, ports).expect("a file can be written");
    fs::rename(&part, file).expect("a file can be named");
    loop {
        thread::park();
    }
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
