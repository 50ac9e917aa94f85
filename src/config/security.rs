//! `kafka.security`: whether the line is encrypted, and who we are.

use super::secret::SecretFrom;
use super::section::Section;
use crate::model::Secret;
use crate::yaml::Problems;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// `None`: everything crosses the network in the clear.
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates (PEM) to trust. `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, for brokers that ask.
    pub identity: Option<Identity>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sasl {
    Password {
        mechanism: Mechanism,
        username: String,
        password: SecretFrom,
    },
    /// OAUTHBEARER. The file is read whenever a token is needed, so that whoever writes it can renew it.
    Token {
        file: PathBuf,
    },
    /// OAUTHBEARER as Amazon MSK takes it: tokens that we sign with AWS credentials of the usual chain.
    AwsMskIam {
        /// `None`: as the environment says.
        region: Option<String>,
    },
}

/// Of the mechanisms, those that know a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    /// The password that has to be at hand before a client starts.
    pub fn password(&self) -> Option<&SecretFrom> {
        match &self.sasl {
            Some(Sasl::Password { password, .. }) => Some(password),
            Some(Sasl::Token { .. } | Sasl::AwsMskIam { .. }) | None => None,
        }
    }

    /// As the client's settings. `password` is what [`Security::password`] led to.
    pub fn client_settings(&self, password: Option<&Secret>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        };
        set("security.protocol", protocol);
        let mut set_file = |name: &str, file: &Path| set(name, &file.to_string_lossy());
        if let Some(tls) = &self.tls {
            if let Some(file) = &tls.ca_file {
                set_file("ssl.ca.location", file);
            }
            if let Some(Identity { certificate_file, key_file }) = &tls.identity {
                set_file("ssl.certificate.location", certificate_file);
                set_file("ssl.key.location", key_file);
            }
        }
        match &self.sasl {
            Some(Sasl::Password { mechanism, username, .. }) => {
                set("sasl.mechanisms", mechanism.name());
                set("sasl.username", username);
                if let Some(password) = password {
                    set("sasl.password", password.reveal());
                }
            }
            Some(Sasl::Token { file }) => {
                set("sasl.mechanisms", "OAUTHBEARER");
                // The client hands this back whenever it wants a token.
                set("sasl.oauthbearer.config", &format!("file:{}", file.display()));
            }
            // Where tokens come from is said by whoever signs them.
            Some(Sasl::AwsMskIam { .. }) => {
                set("sasl.mechanisms", "OAUTHBEARER");
            }
            None => {}
        }
        all
    }

    pub(super) fn weaknesses(&self) -> Vec<String> {
        let clear =
            "kafka.security.protocol: records cross the network in the clear, and brokers are not verified";
        let secret = "kafka.security.protocol: the password or token crosses the network in the clear";
        let is_told = match &self.sasl {
            Some(Sasl::Password { mechanism, .. }) => *mechanism == Mechanism::Plain,
            Some(Sasl::Token { .. } | Sasl::AwsMskIam { .. }) => true,
            None => false,
        };
        match &self.tls {
            Some(_) => Vec::new(),
            None if is_told => vec![clear.into(), secret.into()],
            None => vec![clear.into()],
        }
    }
}

#[derive(Clone, Copy)]
struct Protocol {
    name: &'static str,
    has_tls: bool,
    has_sasl: bool,
}

const PLAINTEXT: Protocol = Protocol { name: "plaintext", has_tls: false, has_sasl: false };
const TLS: Protocol = Protocol { name: "tls", has_tls: true, has_sasl: false };
const SASL_PLAINTEXT: Protocol = Protocol { name: "sasl_plaintext", has_tls: false, has_sasl: true };
const SASL_TLS: Protocol = Protocol { name: "sasl_tls", has_tls: true, has_sasl: true };

pub(super) fn security(kafka: &Section<'_>, problems: &mut Problems) -> Option<Security> {
    let section = kafka.section("security", problems);
    // Encrypted unless somebody says otherwise.
    let protocol = match (section.has("protocol"), section.has("mechanism")) {
        (false, false) => Some(TLS),
        (false, true) => Some(SASL_TLS),
        (true, _) => {
            let words = [PLAINTEXT, TLS, SASL_PLAINTEXT, SASL_TLS].map(|protocol| (protocol.name, protocol));
            section.word("protocol", &words, problems)
        }
    };
    let tls = tls(&section, protocol, problems);
    let sasl = sasl(&section, protocol, problems);
    let protocol = protocol?;
    Some(Security {
        tls: if protocol.has_tls { Some(tls) } else { None },
        sasl: if protocol.has_sasl { Some(sasl?) } else { None },
    })
}

fn tls(section: &Section<'_>, protocol: Option<Protocol>, problems: &mut Problems) -> Tls {
    if let Some(Protocol { has_tls: false, name, .. }) = protocol {
        let why = format!("is for `tls` and `sasl_tls`; the protocol is `{name}`");
        section.refuse(&["ca_file", "certificate_file", "key_file"], &why, problems);
    }
    let ca_file = section.file("ca_file", problems);
    let certificate = section.file("certificate_file", problems);
    let key = section.file("key_file", problems);
    if section.has("certificate_file") != section.has("key_file") {
        let message = "`kafka.security` should have `certificate_file` and `key_file`, or neither";
        let given = section.first(&["certificate_file", "key_file"]).unwrap_or("key_file");
        problems.add(section.place(given), message);
    }
    let identity = certificate.zip(key);
    Tls {
        ca_file,
        identity: identity.map(|(certificate_file, key_file)| Identity { certificate_file, key_file }),
    }
}

const PASSWORD_KEYS: [&str; 3] = ["username", "password", "password_file"];

/// What a mechanism goes by.
#[derive(Clone, Copy)]
enum Proof {
    Password(Mechanism),
    Token,
    AwsKeys,
}

fn sasl(section: &Section<'_>, protocol: Option<Protocol>, problems: &mut Problems) -> Option<Sasl> {
    let words = [
        ("PLAIN", Proof::Password(Mechanism::Plain)),
        ("SCRAM-SHA-256", Proof::Password(Mechanism::ScramSha256)),
        ("SCRAM-SHA-512", Proof::Password(Mechanism::ScramSha512)),
        ("OAUTHBEARER", Proof::Token),
        ("AWS_MSK_IAM", Proof::AwsKeys),
    ];
    let mechanism = section.word("mechanism", &words, problems);
    let username = section.text("username", problems);
    let password = section.secret_from(("password", "password_file"), problems);
    let token = section.file("token_file", problems);
    let region = section.region(problems);
    match protocol {
        Some(Protocol { has_sasl: false, name, .. }) => {
            let why = format!("is for `sasl_tls` and `sasl_plaintext`; the protocol is `{name}`");
            section.refuse(&["mechanism", "token_file", "region"], &why, problems);
            section.refuse(&PASSWORD_KEYS, &why, problems);
            return None;
        }
        // Without a protocol nobody knows whether a mechanism is missing.
        None if !section.has("mechanism") => return None,
        Some(_) | None => {}
    }
    if !section.need("mechanism", "such as `SCRAM-SHA-512`", problems) {
        return None;
    }
    let proof = mechanism?;
    if !matches!(proof, Proof::Token) {
        section.refuse(&["token_file"], "is for `OAUTHBEARER` only", problems);
    }
    if !matches!(proof, Proof::AwsKeys) {
        section.refuse(&["region"], "is for `AWS_MSK_IAM` only", problems);
    }
    let mechanism = match proof {
        Proof::Password(mechanism) => mechanism,
        Proof::Token => {
            section.refuse(&PASSWORD_KEYS, "is not for `OAUTHBEARER`, which takes a `token_file`", problems);
            section.need("token_file", "the file of the token for `OAUTHBEARER`", problems);
            return Some(Sasl::Token { file: token? });
        }
        Proof::AwsKeys => {
            let why = "is not for `AWS_MSK_IAM`, which takes AWS credentials of the usual chain";
            section.refuse(&PASSWORD_KEYS, why, problems);
            return Some(Sasl::AwsMskIam { region: region.map(str::to_owned) });
        }
    };
    section.need("username", "who we are to the brokers", problems);
    if section.first(&["password", "password_file"]).is_none() {
        section.need("password_file", "the file of the password, or give `password`", problems);
    }
    Some(Sasl::Password { mechanism, username: username?.into(), password: password? })
}
