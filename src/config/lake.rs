//! `lake`: where the files go.

use super::kafka::flag_or;
use super::secret::SecretFrom;
use super::section::Section;
use crate::model::Secret;
use crate::yaml::Problems;
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lake {
    pub url: LakeUrl,
    /// For `s3://` only.
    pub s3: S3,
    /// Bytes that all chunks of one worker may hold.
    pub budget: usize,
}

/// `s3://bucket/prefix`, `gs://…`, `az://…` or `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeUrl {
    Directory(PathBuf),
    /// `prefix` has no `/` at its end; often it is empty.
    Bucket {
        store: Store,
        bucket: String,
        prefix: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    S3,
    Gcs,
    Azure,
}

impl Store {
    fn scheme(self) -> &'static str {
        match self {
            Store::S3 => "s3",
            Store::Gcs => "gs",
            Store::Azure => "az",
        }
    }
}

impl fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LakeUrl::Directory(path) => write!(f, "file://{}", path.display()),
            LakeUrl::Bucket { store, bucket, prefix } => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(f, "{}://{bucket}{slash}{prefix}", store.scheme())
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3 {
    /// `https://host:port` of a store that is not Amazon's.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// The bucket in the path and not in the host's name. `None`: yes if there is an endpoint.
    pub path_style: Option<bool>,
    /// Lets bodies cross the network in the clear.
    pub allow_http: bool,
    /// Certificates (PEM) to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// `None`: what the place that we run at gives us.
    pub credentials: Option<Credentials>,
    pub encryption: Encryption,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: Secret,
    pub secret_key: SecretFrom,
}

/// What is asked of the store with every create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// Nothing: what the bucket does by itself holds.
    #[default]
    None,
    /// With this key: its id, alias or ARN.
    Kms { key: String },
}

impl Lake {
    pub(super) fn weaknesses(&self) -> Vec<String> {
        let is_clear = self.s3.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let clear = "lake.s3.allow_http: files cross the network in the clear, and the store is not verified";
        if is_clear { vec![clear.into()] } else { Vec::new() }
    }
}

pub(super) fn lake(root: &Section<'_>, problems: &mut Problems) -> Option<Lake> {
    let lake = root.section("lake", problems);
    let url = url(&lake, problems);
    let budget = lake.size("budget", problems);
    let s3 = s3(&lake, problems);
    if lake.has("s3")
        && url.as_ref().is_some_and(|url| !matches!(url, LakeUrl::Bucket { store: Store::S3, .. }))
    {
        lake.refuse(&["s3"], "is for an address that begins with `s3://`", problems);
    }
    Some(Lake { url: url?, s3: s3?, budget: budget? })
}

fn url(lake: &Section<'_>, problems: &mut Problems) -> Option<LakeUrl> {
    lake.need("url", "such as `s3://bucket/prefix` or `file:///var/lib/lake`", problems);
    let text = lake.text("url", problems)?;
    match parse_url(text) {
        Ok(url) => Some(url),
        Err(what) => lake.should("url", what, problems),
    }
}

/// Else what would be right. Nothing is decoded: a `%20` stays what it is.
fn parse_url(text: &str) -> Result<LakeUrl, &'static str> {
    let what = "`s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///path`";
    let (scheme, rest) = text.split_once("://").ok_or(what)?;
    let store = match scheme {
        "file" if rest.len() > 1 && rest.starts_with('/') => return Ok(LakeUrl::Directory(rest.into())),
        "file" => return Err("`file:///path`, with the whole path behind three slashes"),
        "s3" => Store::S3,
        "gs" => Store::Gcs,
        "az" => Store::Azure,
        _ => return Err(what),
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() || !bucket.chars().all(is_plain) {
        return Err("an address whose bucket is of letters, digits, `-`, `.` and `_`");
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains('\\');
    // `.tmp` is where a directory keeps what is not whole yet, so no store has it.
    if !prefix.is_empty() && (!prefix.split('/').all(is_part) || prefix.split('/').next() == Some(".tmp")) {
        return Err("an address whose prefix is of plain names: none is empty, `.`, `..` or `.tmp`");
    }
    Ok(LakeUrl::Bucket { store, bucket: bucket.into(), prefix: prefix.into() })
}

fn s3(lake: &Section<'_>, problems: &mut Problems) -> Option<S3> {
    let section = lake.section("s3", problems);
    let allow_http = flag_or(&section, "allow_http", false, problems);
    let endpoint = section.text("endpoint", problems);
    if let Some(endpoint) = endpoint {
        check_endpoint(&section, endpoint, allow_http, problems);
    }
    let region = section.region(problems);
    let path_style = section.flag("path_style", problems);
    let ca_file = section.file("ca_file", problems);
    let credentials = credentials(&section, problems);
    let encryption = encryption(&section, problems);
    Some(S3 {
        endpoint: endpoint.map(str::to_owned),
        region: region.map(str::to_owned),
        path_style,
        allow_http: allow_http?,
        ca_file,
        credentials,
        encryption: encryption?,
    })
}

fn check_endpoint(section: &Section<'_>, endpoint: &str, allow_http: Option<bool>, problems: &mut Problems) {
    let is_clear = endpoint.starts_with("http://");
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    // A name before an `@` would be a secret at a place that is logged.
    let is_host =
        |host: &str| !host.is_empty() && !host.contains(['@', '?', '#', ' ']) && !host.starts_with('/');
    if !host.is_some_and(is_host) {
        section.should::<()>("endpoint", "`https://host:port`, without credentials", problems);
    } else if is_clear && allow_http == Some(false) {
        let why = "is not encrypted: take `https://`, or say `allow_http: true`";
        section.refuse(&["endpoint"], why, problems);
    }
}

fn credentials(section: &Section<'_>, problems: &mut Problems) -> Option<Credentials> {
    let access_key = section.secret("access_key", problems);
    let secret_key = section.secret_from(("secret_key", "secret_key_file"), problems);
    let given = section.first(&["secret_key", "secret_key_file"]);
    match (section.has("access_key"), given) {
        (true, None) => section.should::<()>(
            "access_key",
            "given with a `secret_key_file` or a `secret_key`, or left out",
            problems,
        ),
        (false, Some(given)) => section.should(given, "given with an `access_key`, or left out", problems),
        (true, Some(_)) | (false, None) => None,
    };
    Some(Credentials { access_key: access_key?, secret_key: secret_key? })
}

fn encryption(section: &Section<'_>, problems: &mut Problems) -> Option<Encryption> {
    let key = section.text("kms_key", problems);
    let words = [("none", false), ("kms", true)];
    let is_kms = if section.has("sse") { section.word("sse", &words, problems)? } else { false };
    if !is_kms {
        section.refuse(&["kms_key"], "is for `sse: kms` only", problems);
        return Some(Encryption::None);
    }
    section.need("kms_key", "the id, alias or ARN of the key for `sse: kms`", problems);
    Some(Encryption::Kms { key: key?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_store_bucket_and_prefix() {
        for (text, shown) in [
            ("s3://b", "s3://b"),
            ("s3://b/", "s3://b"),
            ("gs://b-1.x_y/a", "gs://b-1.x_y/a"),
            ("az://b/a/c=d/", "az://b/a/c=d"),
            ("file:///var/lib/lake", "file:///var/lib/lake"),
        ] {
            assert_eq!(parse_url(text).map(|url| url.to_string()), Ok(shown.into()), "{text}");
        }
        let prefix = "a/c".to_owned();
        let expected = LakeUrl::Bucket { store: Store::Azure, bucket: "b".into(), prefix };
        assert_eq!(parse_url("az://b/a/c/"), Ok(expected));
    }

    #[test]
    fn an_address_that_leads_elsewhere_is_refused() {
        let wrong = [
            "",
            "b/p",
            "http://b/p",
            "S3://b",
            "s3:/b",
            "s3://",
            "s3:///p",
            "s3://b/a//",
            "s3://b/../p",
            "s3://b/./p",
            "s3://b/a//c",
            "s3://b/a\\c",
            "s3://b/.tmp/x",
            "s3://me:hunter2@b/p",
            "file://",
            "file:///",
            "file://host/p",
            "file://p",
        ];
        for text in wrong {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
