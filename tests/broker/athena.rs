//! The tables that `ddl` prints for Athena and for Terraform, on a real Trino over a real S3 server and an emulated
//! Glue. Athena itself cannot be reached from a test; Trino is the engine that it is made of.

use crate::python::Python;
use crate::servers::ports::Port;
use crate::servers::process::{Process, wait_until};
use crate::servers::{S3, Trino};
use serde_json::{Value, json};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// What tenants may call themselves, and a path must bear.
const STRANGE: [&str; 22] = [
    "../x",
    "..",
    "a/b",
    "a b",
    "a+b",
    "a*b",
    "a~b",
    "a'b\"c",
    "100%",
    "%2e%2e",
    "a!2Fb",
    "a\\b",
    "${year}",
    "hour=01",
    "_hidden",
    "__HIVE_DEFAULT_PARTITION__",
    "line\nbreak",
    "\u{202e}abc",
    "ü",
    "😀",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE t;--",
];

/// A lake in a directory, and the texts for its readers.
fn lake(name: &str, topology: &Path, events: &str, folder: &Path, bucket: &str, prefix: &str) -> Value {
    let place = |what: &str| folder.join(format!("{name}-{what}"));
    let keep = |what: &str, text: String| -> PathBuf {
        fs::write(place(what), text).unwrap();
        place(what)
    };
    let input = keep("events.ndjson", events.to_owned());
    let (dir, topology) = (place("river"), topology.to_str().unwrap());
    let dir = dir.to_str().unwrap();
    said(&["run", topology, "--embedded", dir, "--input", input.to_str().unwrap(), "--until-idle"]);
    let location = format!("s3://{bucket}/{prefix}/{name}");
    let glue = |engine: &str, database: &str| {
        said(&["ddl", topology, "--engine", engine, "--location", &location, "--database", database])
    };
    json!({
        "folder": format!("{dir}/lake"),
        "prefix": format!("{prefix}/{name}"),
        "sql": keep("athena.sql", glue("athena", name)),
        "terraform": keep("lake.tf", glue("terraform", &format!("{name}_tf"))),
        "duckdb": keep("duckdb.sql", said(&["ddl", topology, "--engine", "duckdb", "--embedded", dir])),
    })
}

fn said(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn marketplace_events() -> String {
    // Late ones would spread over days: more folders to list, nothing else to learn.
    let mut events = said(&["generate", "--events", "4000", "--seed", "12", "--tenants", "3", "--late", "0"]);
    for (number, tenant) in STRANGE.iter().enumerate() {
        let event = json!({
            "eventId": format!("strange-{number}"), "ts": "2026-11-01T00:20:00Z", "eventType": "ProductView",
            "tenantId": tenant, "vendorId": "v00001", "productId": "p0000001",
        });
        events += &format!("{event}\n");
    }
    events
}

/// One event with everything, one with nothing that may be absent, and some between.
fn events_of_every_type() -> String {
    let group = "0f0e0d0c-0b0a-0908-0706-050403020100";
    let events = [
        json!({
            "order": 1, "group": group, "category": "a", "select": "2026-11-20T12:00:59.123456Z", "item": "it's",
            "amount": 12345, "share": 0.1, "is_new": true, "born": "1999-12-31", "extra": {"b": [1, null]},
            "names": ["x", "y y"], "times": ["2026-11-20T12:00:59.999999Z", "2026-01-01T00:00:00+02:00"],
            "lines": [
                {"from": "f", "at": "2026-11-20T12:00:00Z", "on": "2026-11-20", "price": 1.5, "new": false, "required_one": 7},
                {"required_one": -7},
            ],
            "counts": {"one": 1, "a/b": -2}, "seen": {"then": "2026-11-20T12:00:00.5Z"}, "beyond": "kept",
        }),
        json!({"order": 2, "group": group, "category": "b"}),
        json!({"order": 3, "group": group, "category": "a", "names": [], "times": [], "lines": [], "counts": {}, "seen": {}}),
        json!({"order": -4, "group": group, "category": "b", "amount": -1, "share": -0.5e-7, "is_new": false}),
    ];
    events.map(|event| format!("{event}\n")).concat()
}

/// An emulated Glue, gone with this value.
fn glue(python: &Python, port: &Port, folder: &Path) -> Process {
    let (number, log) = (port.number().to_string(), folder.join("glue.log"));
    let server = ["-m", "moto.server", "-H", "127.0.0.1", "-p", &number];
    let process = Process::start(python.program(), server, &log).unwrap();
    let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).is_ok();
    let said = || fs::read_to_string(&log).unwrap_or_default();
    assert!(wait_until(Duration::from_secs(60), answers), "the emulated Glue did not start\n{}", said());
    process
}

#[test]
fn what_athena_is_told_holds_on_trino_and_equals_what_duckdb_reads() {
    let Some(python) = Python::with(REQUIREMENTS) else { return };
    let Some(store) = S3::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (port, prefix) = (Port::reserve(), format!("athena-{:016x}", RandomState::new().hash_one("lakes")));
    let _glue = glue(&python, &port, folder.path());

    let (trino, lakes) = thread::scope(|scope| {
        let trino = scope.spawn(|| Trino::start(store, &port));
        let make = |name, topology: &str, events: &str| {
            lake(name, &Path::new(ROOT).join(topology), events, folder.path(), store.bucket(), &prefix)
        };
        let lakes = json!({
            "marketplace": make("marketplace", "topologies/marketplace", &marketplace_events()),
            "types": make("types", "tests/golden/every-type.yaml", &events_of_every_type()),
        });
        (trino.join().unwrap().unwrap(), lakes)
    });

    let facts = json!({
        "trino": trino.url(), "glue": format!("http://127.0.0.1:{}", port.number()),
        "s3": store.endpoint(), "key": store.access_key(), "secret": store.secret_key(),
        "region": store.region(), "bucket": store.bucket(), "lakes": lakes,
    });
    let file = folder.path().join("facts.json");
    fs::write(&file, facts.to_string()).unwrap();
    println!("{}", python.agrees("athena.py", &[file.to_str().unwrap()]));
}
