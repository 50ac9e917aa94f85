//! Tests that a machine cannot run, or should not: left out by name, or failed with a sentence. Never in silence.

use std::path::Path;
use std::{env, fs, thread};

/// Is this test left out on purpose? Then it is counted by the last line of `cargo test`.
#[track_caller]
pub(crate) fn left_out() -> bool {
    let left_out = env::var_os("THALWEG_SKIP_REAL").is_some_and(|value| value == "1");
    if left_out {
        mark();
    }
    left_out
}

/// What the machine has, or the end of this test with the reason why it has not.
#[track_caller]
pub(crate) fn needed<T>(got: Result<T, String>) -> T {
    match got {
        Ok(got) => got,
        Err(why) => panic!("{why}; or leave these tests out with THALWEG_SKIP_REAL=1"),
    }
}

/// Leaves a mark for `tests/verdict.rs`, which cargo starts last, with the same parent.
#[track_caller]
pub(crate) fn mark() {
    let here = std::panic::Location::caller();
    let this = thread::current();
    // With one test thread the test runs on the main one, which has no test's name.
    let name = this.name().filter(|name| name.contains("::"));
    let name =
        name.map_or_else(|| format!("{} line {}", here.file().replace('/', "-"), here.line()), String::from);
    let marks = format!("not-run-{}", std::os::unix::process::parent_id());
    let marks = Path::new(env!("CARGO_TARGET_TMPDIR")).join(marks);
    fs::create_dir_all(&marks).expect("the target folder can be written");
    fs::write(marks.join(name), "").expect("the target folder can be written");
}
