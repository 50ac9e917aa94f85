//! The server's program, built by Go once. (Moto, which is lighter, was not taken: of several writers that complete
//! one upload if it is absent, more than one is told that it won.)

use crate::servers::cached::{self, finished};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = "github.com/versity/versitygw/cmd/versitygw";
const VERSION: &str = "v1.8.0";

pub(crate) fn get() -> Result<PathBuf, String> {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    READY
        .get_or_init(|| {
            let folder = cached::folder(&format!("versitygw-{VERSION}"), build)?;
            Ok(folder.join("versitygw"))
        })
        .clone()
}

fn build(folder: &Path) -> Result<(), String> {
    const NEEDED: &str = "to build an S3 server once (versitygw), the tests with a real one need Go 1.26 or newer \
                          (its own download, or: apt-get install golang), which has to reach a module proxy";
    let built = Command::new("go")
        .env("GOBIN", folder)
        .env("CGO_ENABLED", "0")
        .args(["install", &format!("{SOURCE}@{VERSION}")])
        .output();
    finished(built, NEEDED)
}
