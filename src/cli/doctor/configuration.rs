//! What the configuration names, and what it gives up.

use super::finding::{Finding, State};
use crate::cli::remote::Remote;
use crate::config::{Config, Sasl, SecretFrom};
use std::fs;
use std::io::Read;
use std::path::Path;

const CHECK: &str = "configuration";

/// Who and where, and every protection that is switched off.
pub(super) fn named(remote: &Remote) -> Vec<Finding> {
    let (config, settings) = (remote.config(), remote.log().settings());
    let fact = format!(
        "deployment {}, ordinal {}, brokers {}, lake {}",
        settings.deployment, settings.ordinal, settings.brokers, config.lake.url
    );
    let weak = config.weaknesses().into_iter().map(|weakness| {
        Finding::new(CHECK, State::Weak, weakness, "mend it in the configuration, unless it is meant so")
    });
    [Finding::ok(CHECK, fact)].into_iter().chain(weak).collect()
}

/// Whether we may read the files of secrets and certificates. Their text is not looked at.
pub(super) fn files(config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    for (key, path) in named_files(config) {
        let mut byte = [0];
        match fs::File::open(path).and_then(|mut file| file.read(&mut byte)) {
            Ok(_) => all.push(Finding::ok(CHECK, format!("{key} can be read: {}", path.display()))),
            Err(error) => all.push(Finding::new(
                CHECK,
                State::Missing,
                format!("{key} cannot be read: {}: {error}", path.display()),
                "put the file there, and let whom we run as read it",
            )),
        }
    }
    all
}

fn named_files(config: &Config) -> Vec<(&'static str, &Path)> {
    let (security, s3) = (&config.kafka.security, &config.lake.s3);
    let tls = security.tls.as_ref();
    let identity = tls.and_then(|tls| tls.identity.as_ref());
    let token = match &security.sasl {
        Some(Sasl::Token { file }) => Some(file.as_path()),
        Some(Sasl::Password { .. } | Sasl::AwsMskIam { .. }) | None => None,
    };
    let given = s3.credentials.as_ref();
    [
        ("kafka.security.ca_file", tls.and_then(|tls| tls.ca_file.as_deref())),
        ("kafka.security.certificate_file", identity.map(|identity| identity.certificate_file.as_path())),
        ("kafka.security.key_file", identity.map(|identity| identity.key_file.as_path())),
        ("kafka.security.password_file", secret(security.password())),
        ("kafka.security.token_file", token),
        ("lake.s3.ca_file", s3.ca_file.as_deref()),
        ("lake.s3.secret_key_file", secret(given.map(|given| &given.secret_key))),
    ]
    .into_iter()
    .filter_map(|(key, path)| Some((key, path?)))
    .collect()
}

fn secret(from: Option<&SecretFrom>) -> Option<&Path> {
    match from? {
        SecretFrom::File(path) => Some(path),
        SecretFrom::Value(_) => None,
    }
}
