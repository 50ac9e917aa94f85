//! What has to be known to reach a store, checked as far as that goes without asking it.

use super::RemoteError;
use crate::model::Secret;
use crate::objects::check;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Whose store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    S3,
    /// Compiles with the feature `gcs`; untested.
    Gcs,
    /// Compiles with the feature `azure`; untested.
    Azure,
}

/// `s3://bucket/prefix`, also `gs://` and `az://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    pub kind: StoreKind,
    pub bucket: String,
    /// Before every key, without a `/` at its end; often empty.
    pub prefix: String,
}

impl FromStr for StoreUrl {
    type Err = RemoteError;

    /// An address that is wrong is not repeated in the error: somebody may have put a password into it.
    fn from_str(url: &str) -> Result<Self, RemoteError> {
        let wrong = |why| RemoteError::Setting { name: "url", why };
        let (scheme, rest) = url.split_once("://").ok_or(wrong("write it as s3://bucket/prefix"))?;
        let kind = match scheme {
            "s3" => StoreKind::S3,
            "gs" => StoreKind::Gcs,
            "az" => StoreKind::Azure,
            _ => return Err(wrong("it begins with s3://, gs:// or az://; a directory is given as a path")),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_plain) {
            return Err(wrong("the name of a bucket holds letters, digits, `-`, `.` and `_` only"));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() {
            check(prefix).map_err(wrong)?;
        }
        Ok(StoreUrl { kind, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            StoreKind::S3 => "s3",
            StoreKind::Gcs => "gs",
            StoreKind::Azure => "az",
        };
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{scheme}://{}{slash}{}", self.bucket, self.prefix)
    }
}

/// Who we are to the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// What the place that we run at gives us. For S3, the first of: `AWS_ACCESS_KEY_ID` and its kin in the
    /// environment, a web identity token, a container's role, an instance's role. Profiles are not read.
    #[default]
    Chain,
    Given {
        key_id: Secret,
        secret: Secret,
        session_token: Option<Secret>,
    },
}

/// Encryption at rest that we ask for with every create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// Nothing is asked for: what the bucket does by default holds.
    #[default]
    None,
    /// SSE-KMS with this key: its id, alias or ARN.
    Kms { key: String },
}

/// How long, how often. A call takes at most `call`, and then one attempt: credentials and answer within `request`
/// each, its body at 1 MiB/s or faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    pub connect: Duration,
    /// For the answer to one request, without the time for its body.
    pub request: Duration,
    /// No attempt begins later than this after the first.
    pub call: Duration,
    pub attempts: u32,
    /// First and longest pause between two attempts.
    pub backoff: (Duration, Duration),
}

impl Default for StoreLimits {
    /// A role's thread waits for a call, so all of it stays well below the five minutes after which a silent
    /// member loses its partitions.
    fn default() -> Self {
        StoreLimits {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            call: Duration::from_secs(60),
            attempts: 4,
            backoff: (Duration::from_millis(100), Duration::from_secs(5)),
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct StoreSettings {
    pub url: StoreUrl,
    /// `https://host:port` of a store that is not Amazon's.
    pub endpoint: Option<String>,
    /// Without it `AWS_REGION`, `AWS_DEFAULT_REGION`, `us-east-1`.
    pub region: Option<String>,
    /// The bucket in the path and not in the host's name. Without it: yes if there is an endpoint.
    pub path_style: Option<bool>,
    /// Lets bodies cross the network in the clear.
    pub allow_http: bool,
    /// A file with certificates (PEM) to trust beside those of the system.
    pub certificates: Option<PathBuf>,
    pub credentials: Credentials,
    pub encryption: Encryption,
    pub limits: StoreLimits,
}

impl StoreSettings {
    /// Everything but the address as it is if nobody says otherwise.
    pub fn new(url: StoreUrl) -> Self {
        StoreSettings {
            url,
            endpoint: None,
            region: None,
            path_style: None,
            allow_http: false,
            certificates: None,
            credentials: Credentials::Chain,
            encryption: Encryption::None,
            limits: StoreLimits::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), RemoteError> {
        let wrong = |name, why| Err(RemoteError::Setting { name, why });
        if self.url.kind != StoreKind::S3 {
            if self.endpoint.is_some() || self.region.is_some() || self.path_style.is_some() {
                return wrong("endpoint, region and path style", "they are for s3:// only");
            }
            if self.encryption != Encryption::None || self.credentials != Credentials::Chain {
                return wrong(
                    "encryption and credentials",
                    "they are for s3:// only; elsewhere the environment says",
                );
            }
        }
        if let Some(endpoint) = &self.endpoint {
            let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            let Some(host) = host else { return wrong("endpoint", "it begins with https:// or http://") };
            if host.is_empty() || host.contains(['@', '?', '#']) || host.contains(char::is_whitespace) {
                return wrong(
                    "endpoint",
                    "write https://host:port, and give credentials by their own settings",
                );
            }
            if endpoint.starts_with("http://") && !self.allow_http {
                return wrong("endpoint", "it is not encrypted; take https://, or allow http on purpose");
            }
        }
        if self.limits.attempts == 0 || self.limits.request.is_zero() || self.limits.connect.is_zero() {
            return wrong("limits", "one attempt and some time are the least that a call needs");
        }
        Ok(())
    }
}

/// By hand, because an endpoint that was not checked yet may hold a password.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_deref().map(|endpoint| match endpoint.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => endpoint.to_owned(),
        });
        f.debug_struct("StoreSettings")
            .field("url", &self.url.to_string())
            .field("endpoint", &endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("allow_http", &self.allow_http)
            .field("certificates", &self.certificates)
            .field("credentials", &self.credentials)
            .field("encryption", &self.encryption)
            .field("limits", &self.limits)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_store_bucket_and_prefix() {
        for (text, bucket, prefix) in [
            ("s3://b", "b", ""),
            ("s3://b/", "b", ""),
            ("gs://b-1/a", "b-1", "a"),
            ("az://b/a/c/", "b", "a/c"),
        ] {
            let url: StoreUrl = text.parse().unwrap();

            assert_eq!((url.bucket.as_str(), url.prefix.as_str()), (bucket, prefix), "{text}");
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn an_address_that_is_wrong_is_refused_and_not_repeated() {
        for text in [
            "",
            "b/p",
            "file:///tmp/x",
            "s3://",
            "s3:///p",
            "s3://me:hunter2@b/p",
            "s3://b/../p",
            "s3://b/a//b",
        ] {
            let refused = text.parse::<StoreUrl>().unwrap_err().to_string();

            assert!(refused.starts_with("the store's url"), "{text}: {refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let mut settings = StoreSettings::new("s3://b/p".parse().unwrap());
        settings.endpoint = Some("https://me:hunter2@host".to_owned());
        settings.credentials = Credentials::Given {
            key_id: Secret::new("hunter2-id"),
            secret: Secret::new("hunter2"),
            session_token: Some(Secret::new("hunter2-token")),
        };

        let shown = format!("{settings:?} {settings:#?} {}", settings.check().unwrap_err());

        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("s3://b/p") && shown.contains("@host"), "{shown}");
    }

    #[test]
    fn an_endpoint_in_the_clear_has_to_be_allowed() {
        let mut settings = StoreSettings::new("s3://b".parse().unwrap());
        settings.endpoint = Some("http://127.0.0.1:9000".to_owned());

        assert!(settings.check().unwrap_err().to_string().contains("not encrypted"));
        settings.allow_http = true;
        assert!(settings.check().is_ok());
    }
}
