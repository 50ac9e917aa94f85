//! From settings to a store that is ready to be asked. Nothing is sent yet.

use super::answer::RemoteError;
use super::counts::Counts;
use super::settings::{Credentials, Encryption, StoreKind, StoreSettings, StoreUrl};
use super::store::{Pages, Store};
use super::wire::Connector;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider, S3ConditionalPut};
use object_store::list::PaginatedListStore;
use object_store::{Certificate, ClientOptions, HeaderValue, ObjectStore, RetryConfig};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// What the chain of credentials takes from the environment. Not the library's own list: that would let a forgotten
/// variable switch signatures off, or create-only writes.
const ENVIRONMENT: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
];

/// Below the time after which servers drop a connection that nobody uses: a request on one that is just being
/// dropped has an unknown outcome.
const POOL_IDLE: Duration = Duration::from_secs(15);

type Parts = (Arc<dyn ObjectStore>, Arc<dyn PaginatedListStore>, Option<AwsCredentialProvider>);

pub(super) fn open(settings: &StoreSettings) -> Result<Store, RemoteError> {
    settings.check()?;
    let (objects, pages, identity) = match settings.url.kind {
        StoreKind::S3 => s3(settings)?,
        StoreKind::Gcs => gcs(settings)?,
        StoreKind::Azure => azure(settings)?,
    };
    let prefix = &settings.url.prefix;
    Ok(Store {
        objects,
        pages: Pages::Remote(pages),
        identity,
        limits: settings.limits,
        prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
        name: settings.url.to_string(),
        counts: Counts::default(),
    })
}

/// Of the place that we run at, for requests to others than a store.
pub(super) fn identity(region: &str) -> Result<AwsCredentialProvider, RemoteError> {
    let url = StoreUrl { kind: StoreKind::S3, bucket: "none".to_owned(), prefix: String::new() };
    let settings = StoreSettings { region: Some(region.to_owned()), ..StoreSettings::new(url) };
    let (_, _, identity) = s3(&settings)?;
    Ok(identity.expect("whoever asks S3 has one"))
}

fn s3(settings: &StoreSettings) -> Result<Parts, RemoteError> {
    let bucket = &settings.url.bucket;
    let is_path_style = settings.path_style.unwrap_or(settings.endpoint.is_some());
    let mut builder = identified(settings)
        .with_bucket_name(bucket)
        .with_region(region(settings))
        .with_virtual_hosted_style_request(!is_path_style)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client(settings)?)
        .with_retry(no_retry())
        .with_http_connector(Connector);
    if let Some(endpoint) = &settings.endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        builder = builder.with_endpoint(match endpoint.split_once("://") {
            Some((scheme, host)) if !is_path_style => format!("{scheme}://{bucket}.{host}"),
            _ => endpoint.to_owned(),
        });
    }
    if let Encryption::Kms { key } = &settings.encryption {
        builder = builder.with_sse_kms_encryption(key);
    }
    let store = Arc::new(builder.build().map_err(|source| start("settings", source))?);
    let identity = Arc::clone(store.credentials());
    Ok((Arc::clone(&store) as _, store, Some(identity)))
}

fn identified(settings: &StoreSettings) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new();
    match &settings.credentials {
        Credentials::Chain => ENVIRONMENT.iter().fold(builder, |builder, name| {
            let key = name.to_lowercase().parse::<AmazonS3ConfigKey>();
            match (key, variable(name)) {
                (Ok(key), Some(value)) => builder.with_config(key, value),
                _ => builder,
            }
        }),
        Credentials::Given { key_id, secret, session_token } => {
            let builder = builder.with_access_key_id(key_id.reveal()).with_secret_access_key(secret.reveal());
            match session_token {
                Some(token) => builder.with_token(token.reveal()),
                None => builder,
            }
        }
    }
}

fn region(settings: &StoreSettings) -> String {
    let region = settings.region.clone();
    region
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .unwrap_or_else(|| "us-east-1".to_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// No attempt but ours: the library sends a create again after a 5xx or a connection that ended without an answer,
/// and then takes the 412 that its own first attempt caused for somebody else's object.
fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
}

/// Time for answers is kept per attempt, by the size of its body.
fn client(settings: &StoreSettings) -> Result<ClientOptions, RemoteError> {
    let agent = HeaderValue::from_static(concat!("thalweg/", env!("CARGO_PKG_VERSION")));
    let options = ClientOptions::new()
        .with_user_agent(agent)
        .with_allow_http(settings.allow_http)
        .with_connect_timeout(settings.limits.connect)
        .with_pool_idle_timeout(POOL_IDLE)
        .with_timeout_disabled();
    let Some(path) = &settings.certificates else { return Ok(options) };
    let name = "file of certificates";
    let pem = std::fs::read(path).map_err(|source| start(name, source))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|source| start(name, source))?;
    if certificates.is_empty() {
        return Err(RemoteError::Setting { name, why: "it holds no certificate in PEM form" });
    }
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

fn start(name: &'static str, source: impl Error + Send + Sync + 'static) -> RemoteError {
    RemoteError::Start { name, source: Box::new(source) }
}

#[cfg(feature = "gcs")]
fn gcs(settings: &StoreSettings) -> Result<Parts, RemoteError> {
    let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&settings.url.bucket)
        .with_client_options(client(settings)?)
        .with_retry(no_retry())
        .with_http_connector(Connector);
    let store = Arc::new(builder.build().map_err(|source| start("settings", source))?);
    Ok((Arc::clone(&store) as _, store, None))
}

#[cfg(not(feature = "gcs"))]
fn gcs(_: &StoreSettings) -> Result<Parts, RemoteError> {
    Err(RemoteError::Setting {
        name: "url",
        why: "this build knows no gs://; build it with the feature `gcs`",
    })
}

#[cfg(feature = "azure")]
fn azure(settings: &StoreSettings) -> Result<Parts, RemoteError> {
    let builder = object_store::azure::MicrosoftAzureBuilder::from_env()
        .with_container_name(&settings.url.bucket)
        .with_client_options(client(settings)?)
        .with_retry(no_retry())
        .with_http_connector(Connector);
    let store = Arc::new(builder.build().map_err(|source| start("settings", source))?);
    Ok((Arc::clone(&store) as _, store, None))
}

#[cfg(not(feature = "azure"))]
fn azure(_: &StoreSettings) -> Result<Parts, RemoteError> {
    Err(RemoteError::Setting {
        name: "url",
        why: "this build knows no az://; build it with the feature `azure`",
    })
}
