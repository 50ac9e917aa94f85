//! Rules about the code itself, read from its text: who may import whom, what the core must never name, how
//! long a file may be, what no file may say.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms, and the only other rooms that they may import. `cli` may import all.
const MAY_IMPORT: &[(&[&str], &[&str])] = &[
    (&["model", "yaml", "telemetry", "decisions"], &[]),
    (&["topology", "config"], &["model", "yaml"]),
    (&["port"], &["model"]),
    (&["decode", "route", "aggregate", "lake", "generate"], &["model", "topology"]),
    // Reads what the lake decided, and nothing of what counted: its fold is its own.
    (&["verify"], &["lake", "model", "port", "topology"]),
    (&["embedded", "kafka", "objects", "sim"], &["model", "port"]),
    (&["watch"], &["model", "port", "telemetry"]),
    (&["http"], &[]),
    (&["worker"], &["aggregate", "decode", "lake", "model", "port", "route", "telemetry", "topology"]),
];

/// Joins all rooms, so no table can bind it.
const JOINS_ALL: &[&str] = &["cli", "lib", "main"];

/// Same input, same output, for ever: these never wait, read a clock or touch the world.
const CORE: &[&str] =
    &["model", "yaml", "topology", "config", "decode", "route", "aggregate", "lake", "generate"];

/// Words that would break that promise. (The order of std's hash maps differs from run to run.)
const NOT_IN_CORE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant",
    "tokio",
    "HashMap",
    "HashSet",
    "RandomState",
];

/// Foreign systems, and the rooms that may know them.
const FOREIGN: &[(&[&str], &[&str])] = &[
    (&["redb::"], &["embedded"]),
    (&["rdkafka::", "rdkafka_sys::"], &["kafka"]),
    (&["object_store::"], &["objects"]),
    (&["aws_lc_rs::"], &["kafka"]),
    (&["tokio::"], &["objects", "http"]),
    (&["hyper::", "hyper_util::", "http_body_util::"], &["http"]),
    (&["tracing::"], &["worker", "watch", "kafka", "objects", "http", "cli"]),
    (&["tracing_subscriber::"], &["cli"]),
    (&["arrow_array::", "arrow_buffer::", "arrow_schema::", "parquet::"], &["lake", "verify", "cli"]),
    (&["clap::", "clap_complete::", "comfy_table::", "anyhow::", "libc::"], &["cli", "main"]),
];

/// The only files that may say `unsafe`.
const UNSAFE: &[&str] = &[
    "src/cli/heap.rs",
    "src/kafka/native/client.rs",
    "src/kafka/native/consumer.rs",
    "src/kafka/native/mod.rs",
    "src/kafka/native/producer.rs",
    "src/kafka/native/queue.rs",
    "src/kafka/native/rights.rs",
    "src/kafka/native/topic_id.rs",
];

/// Files that only tests are built from.
const TEST_FILES: &[&str] = &["/tests.rs", "/testing.rs", "/fixture.rs"];

const FILE_LINES_MAX: usize = 500;

struct Source {
    room: String,
    path: String,
    text: String,
}

impl Source {
    /// Lines of code without comments, each with its number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The same without tests, at the bottom or in a file of their own: those may read `SEED` and `BLESS`, and
    /// a room may be tested in the simulated world.
    fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test =
            TEST_FILES.iter().any(|name| self.path.ends_with(name)) || self.path.contains("/tests/");
        self.code().take_while(move |(_, line)| !is_test && line.trim() != "#[cfg(test)]")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `at`, by name.
fn files(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_path_buf()];
    }
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("a folder of ours can be listed").path()).collect();
    paths.sort();
    paths.iter().filter(|path| !path.ends_with("__pycache__")).flat_map(|path| files(path)).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn sources() -> Vec<Source> {
    let rust = files(&root().join("src")).into_iter().filter(|path| extension(path) == "rs");
    rust.map(|path| {
        let below = path.strip_prefix(root().join("src")).expect("below src");
        let first = below.iter().next().expect("a file has a name").to_string_lossy();
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        Source { room: first.trim_end_matches(".rs").to_owned(), path: shown(&path), text }
    })
    .collect()
}

/// What we write by hand and people read.
fn texts() -> Vec<(String, String)> {
    let places = [
        "src",
        "tests",
        "benches",
        "docs",
        "topologies",
        "schemas",
        "deploy",
        ".ci",
        ".cargo",
        "README.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
        "rustfmt.toml",
        ".clippy.toml",
    ];
    let written = ["rs", "py", "md", "toml", "yaml", "json", "txt", "sql", ""];
    let all = places.iter().flat_map(|place| files(&root().join(place)));
    all.filter(|path| written.contains(&extension(path)))
        .filter_map(|path| Some((shown(&path), fs::read_to_string(&path).ok()?)))
        .collect()
}

/// Does `word` stand in `line` on its own, and not inside a longer name?
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(part) && (word.ends_with(':') || !after.starts_with(part))
    })
}

/// Fails with all findings at once.
fn nothing_of(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn imports_point_one_way() {
    let mut findings = Vec::new();
    for source in sources() {
        let (room, path) = (source.room.as_str(), &source.path);
        if JOINS_ALL.contains(&room) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(rooms, _)| rooms.contains(&room)) else {
            findings.push(format!("{path}: `{room}` is a room without a row in the import table"));
            continue;
        };
        for (at, line) in source.shipped() {
            for import in line.split("crate::").skip(1) {
                let target: String =
                    import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if target.is_empty() {
                    findings.push(format!("{path}:{at}: write one `use crate::…` line per room"));
                } else if target != room && !allowed.contains(&target.as_str()) {
                    findings.push(format!("{path}:{at}: `{room}` must not import `{target}`"));
                }
            }
        }
    }
    nothing_of(findings);
}

#[test]
fn the_core_names_no_clock_no_file_and_no_order_of_chance() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| CORE.contains(&source.room.as_str())) {
        for (at, line) in source.shipped() {
            for word in NOT_IN_CORE.iter().filter(|word| names(line, word)) {
                findings.push(format!("{}:{at}: `{word}` does not belong in `{}`", source.path, source.room));
            }
        }
    }
    nothing_of(findings);
}

#[test]
fn a_foreign_system_is_known_to_its_room_only() {
    let mut findings = Vec::new();
    for source in sources() {
        for (words, rooms) in FOREIGN {
            if rooms.contains(&source.room.as_str()) {
                continue;
            }
            for (at, line) in source.shipped() {
                for word in words.iter().filter(|word| names(line, word)) {
                    findings.push(format!("{}:{at}: `{word}` belongs to {rooms:?}", source.path));
                }
            }
        }
    }
    nothing_of(findings);
}

#[test]
fn unsafe_code_stands_in_files_that_are_named_for_it() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !UNSAFE.contains(&source.path.as_str())) {
        let lines = source.code().filter(|(_, line)| names(line, "unsafe") || names(line, "unsafe_code"));
        findings.extend(lines.map(|(at, _)| format!("{}:{at}: unsafe code", source.path)));
    }
    nothing_of(findings);
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let code = |path: &str| path.ends_with(".rs") || path.ends_with(".py");
    let lengths =
        texts().into_iter().filter(|(path, _)| code(path)).map(|(path, text)| (path, text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    nothing_of(
        long.map(|(path, lines)| format!("{path}: {lines} lines, at most {FILE_LINES_MAX}")).collect(),
    );
}

#[test]
fn no_test_is_skipped_in_silence() {
    let mark = ["#[", "ignore"].concat();
    let marked = texts().into_iter().filter(|(path, text)| path.ends_with(".rs") && text.contains(&mark));
    nothing_of(marked.map(|(path, _)| format!("{path}: a test is marked to be ignored")).collect());
}

#[test]
fn nothing_names_somebodys_machine() {
    // In pieces, so that this file does not name them either.
    let words = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/Us", "ers/"],
        ["crates", ".io"],
        ["pypi", ".org"],
    ];
    let words: Vec<String> = words.iter().map(|pieces| pieces.concat()).collect();
    let mut findings = Vec::new();
    for (path, text) in texts() {
        for (at, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                findings.push(format!("{path}:{}: names `{word}`", at + 1));
            }
        }
    }
    nothing_of(findings);
}

#[test]
fn every_decision_stands_in_the_documentation() {
    let rooms = root().join("src/decisions");
    let module = fs::read_to_string(rooms.join("mod.rs")).expect("src/decisions/mod.rs is there");
    let pages: Vec<_> = files(&rooms).into_iter().filter(|path| extension(path) == "md").collect();

    assert!(!pages.is_empty(), "src/decisions has no page");
    let name = |path: &PathBuf| path.file_name().expect("a page has a name").to_string_lossy().into_owned();
    let missing =
        pages.iter().map(name).filter(|page| !module.contains(&format!("include_str!(\"{page}\")")));
    nothing_of(missing.map(|page| format!("src/decisions/mod.rs does not include {page}")).collect());
}

#[test]
fn every_topology_has_its_description_and_its_cases() {
    let mut findings = Vec::new();
    let folders = fs::read_dir(root().join("topologies")).expect("topologies are there");
    for folder in folders.map(|entry| entry.expect("topologies can be listed").path()) {
        for needed in ["topology.yaml", "description.txt", "cases.yaml"] {
            if !folder.join(needed).is_file() {
                findings.push(format!("{} has no {needed}", shown(&folder)));
            }
        }
    }
    nothing_of(findings);
}

#[test]
fn ci_runs_the_commands_that_the_readme_promises() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run is there");
    let block = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let commands: Vec<_> = block.expect("the README shows commands").lines().map(command).collect();

    assert_eq!(commands.len(), 2, "the README's first screen has two commands: {commands:?}");
    let missing = commands.iter().filter(|command| !ci.contains(*command));
    nothing_of(missing.map(|command| format!(".ci/run does not run `{command}`")).collect());
}

#[test]
fn the_reference_names_every_reason_of_refusal() {
    let reference = fs::read_to_string(root().join("docs/topology.md")).expect("docs/topology.md is there");
    let reasons = thalweg::model::Rejection::ALL.map(thalweg::model::Rejection::as_str);
    let missing = reasons.iter().filter(|reason| !reference.contains(&format!("`{reason}`")));
    nothing_of(missing.map(|reason| format!("docs/topology.md does not name `{reason}`")).collect());
}

/// `docs/faults.md`: every fault has its row, every test that it names is there, and so is every place to die at.
#[test]
fn the_page_of_faults_names_every_fault_and_only_tests_that_there_are() {
    let page = fs::read_to_string(root().join("docs/faults.md")).expect("docs/faults.md is there");
    let rust = texts().into_iter().filter(|(path, _)| path.ends_with(".rs") && !path.starts_with("benches"));
    let code: String = rust.map(|(_, text)| text).collect();
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| F")).collect();
    let mut findings = Vec::new();

    // A sentence has more than three words; a name of anything else has fewer.
    let tests = named.iter().filter(|name| name.matches('_').count() > 3 && !name.contains(['/', ' ', '.']));
    findings.extend(
        tests
            .filter(|name| !code.contains(&format!("fn {name}(")))
            .map(|name| format!("no test is named {name}")),
    );
    let ids = (1..=48).map(|number| format!("F{number:02}")).chain(["F29b".into(), "F29c".into()]);
    for id in ids {
        let of_id =
            |row: &&&str| row.split('|').nth(1).is_some_and(|ids| ids.split(',').any(|own| own.trim() == id));
        let found = rows.iter().filter(of_id).count();
        if found != 1 {
            findings.push(format!("{id} has {found} rows"));
        }
    }
    let is_said = |row: &&&str| row.contains('`') || row.contains("_Not ");
    findings
        .extend(rows.iter().filter(|row| !is_said(row)).map(|row| format!("no test and no reason: {row}")));
    let points = thalweg::model::failpoint::Failpoint::ALL.map(|point| format!("{point:?}"));
    findings.extend(
        points
            .iter()
            .filter(|point| !named.contains(&point.as_str()))
            .map(|point| format!("{point} is not named")),
    );
    nothing_of(findings);
}

/// A line of the README without its comment.
fn command(line: &str) -> &str {
    line.split(" #").next().unwrap_or(line).trim()
}
