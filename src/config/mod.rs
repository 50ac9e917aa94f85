//! How a process runs: one YAML file with environment variables over it become checked settings, or every
//! problem at once.
//!
//! In: the text of the file, and the environment as a list. Out: [`Config`]. Promises: every problem says where
//! it is (line and column, or the variable) and what would be right, and repeats no value; a [`Secret`](crate::model::Secret) is never
//! shown. Pure: files of secrets are named here and read by whoever starts the clients. What is counted, and
//! how, says the topology; nothing here changes a row.

mod checked;
mod client;
mod kafka;
mod lake;
mod limits;
mod problem;
mod process;
mod secret;
mod section;
mod security;
#[cfg(test)]
mod tests;
mod variables;

pub use checked::{Admin, Config, Log, LogFormat, LogLevel, Ordinal, Pace};
pub use kafka::{Kafka, Timeouts};
pub use lake::{Credentials, Encryption, Lake, LakeUrl, S3, Store};
pub use problem::{Origin, Problem};
pub use secret::SecretFrom;
pub use security::{Identity, Mechanism, Sasl, Security, Tls};

use crate::yaml::{Kind, Node, Place, Problems, parse};
use section::Section;

/// Reads a configuration. The only way to make one. `variables` is the whole environment: what does not begin
/// with `THALWEG__` is passed over. The file may be empty.
pub fn check(text: &str, variables: &[(String, String)]) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut root = file(text, &mut problems);
    let names = match &mut root {
        Some(root) => variables::lay_over(root, variables, &mut problems),
        // Without the file nobody knows what is missing.
        None => Vec::new(),
    };
    let config = root.and_then(|root| config(&Section::root(&root, &mut problems), &mut problems));
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problem::list(problems, &names)),
    }
}

fn file(text: &str, problems: &mut Problems) -> Option<Node> {
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().all(is_comment) {
        return Some(Node { place: Place::START, kind: Kind::Map(Vec::new()) });
    }
    parse(text, "settings", problems)
}

fn config(root: &Section<'_>, problems: &mut Problems) -> Option<Config> {
    let deployment = process::deployment(root, problems);
    let ordinal = process::ordinal(root, problems);
    let grace = process::grace(root, problems);
    let kafka = kafka::kafka(root, problems);
    let lake = lake::lake(root, problems);
    let pace = process::pace(root, problems);
    let admin = process::admin(root, problems);
    let log = process::log(root, problems);
    Some(Config {
        deployment,
        ordinal: ordinal?,
        grace: grace?,
        kafka: kafka?,
        lake: lake?,
        pace: pace?,
        admin: admin?,
        log: log?,
    })
}
