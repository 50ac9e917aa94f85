//! Which Java is this?

use std::path::Path;
use std::process::Command;

/// 17 for `openjdk version "17.0.15" 2025-04-15`.
pub(crate) fn version(java: &Path) -> Option<u32> {
    let answer = Command::new(java).arg("-version").output().ok().filter(|answer| answer.status.success())?;
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    let quoted = said.split('"').nth(1)?;
    quoted.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
