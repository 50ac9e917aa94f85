//! The last line of `cargo test`: how many tests this run left out, and which.
//!
//! A test that is left out on purpose (`THALWEG_SKIP_REAL=1`) leaves a mark in a folder that is named after the
//! process that started it, which is the same cargo that starts this program last. With `CI` set a
//! left-out test is a failure.

#![expect(clippy::print_stdout, reason = "its lines are what it is for")]

use std::path::Path;
use std::{env, fs, process};

fn main() {
    let marks = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("not-run-{}", std::os::unix::process::parent_id()));
    let mut names: Vec<String> = fs::read_dir(&marks)
        .map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
    let _ = fs::remove_dir_all(&marks);

    for name in &names {
        println!("not run: {name}");
    }
    println!("{} not run", names.len());
    if !names.is_empty() && env::var_os("CI").is_some() {
        process::exit(1);
    }
}
