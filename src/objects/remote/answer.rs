//! What a failed attempt means: does it pass, was something applied, who has to do what about it.

use super::wire::Status;
use crate::port::{Failure, Reaction};
use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use std::iter::successors;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The key is there. Nothing was applied.
    Exists,
    /// No such key.
    Missing,
    /// The object has no byte in the range that was asked for: it is empty.
    NoRange,
    /// It met another write of the same key, and nothing was applied.
    Conflict,
    /// The store said no, without effect, and will say otherwise later.
    Busy,
    /// It never left this machine.
    Unsent,
    /// Nobody can tell what became of it.
    Doubtful,
    /// The store said no, and stays with it until a person has done something.
    Lasting,
}

/// An attempt without success.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// Never a body, never a header: those may hold secrets.
    pub(super) why: String,
    pub(super) advice: &'static str,
}

/// Why a store cannot be used, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("the store's {name} cannot be used: {why}")]
    Setting { name: &'static str, why: &'static str },

    #[error("the store's {name} cannot be used: {source}")]
    Start { name: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    #[error("{why}; {advice}")]
    Identity { why: String, advice: &'static str },

    #[error("cannot {doing} `{key}` in `{store}`: {why}{}{advice}", if advice.is_empty() { "" } else { "; " })]
    Request { doing: &'static str, key: String, store: String, why: String, advice: &'static str },
}

const BUCKET: &str = "create the bucket, or mend the store's url";
const REGION: &str = "set the region that the bucket is in";
const IDENTITY: &str = "mend the access key and its secret";
const EXPIRED: &str =
    "the credentials have expired and new ones are asked for; those given by hand have to be replaced";
const CLOCK: &str = "set this machine's clock";
const RIGHTS: &str = "grant s3:PutObject and s3:GetObject on the prefix and s3:ListBucket on the bucket \
     (without the last, a missing object is answered like a forbidden one), and the key's rights if it is encrypted";
const KMS: &str = "mend the KMS key, or grant kms:GenerateDataKey and kms:Decrypt on it";
const ENDPOINT: &str = "that is no answer of a store: look at the endpoint, and at what is on the way";
const NO_CREATE_ONLY: &str = "the lake needs a store that knows `If-None-Match: *`";
const REQUEST: &str = "the store does not take such a request; look at its settings";
const CREDENTIALS: &str =
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine or pod a role";

impl Trouble {
    pub(super) fn new(kind: Kind, why: impl Into<String>, advice: &'static str) -> Self {
        Trouble { kind, why: why.into(), advice }
    }

    pub(super) fn silence(limit: Duration) -> Self {
        Trouble::new(Kind::Doubtful, format!("no answer within {} ms", limit.as_millis()), "")
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Conflict | Kind::Busy | Kind::Unsent | Kind::Doubtful)
    }

    /// Of whoever wants credentials and no store.
    pub(super) fn of_identity(self) -> Failure {
        let reaction = if self.is_passing() { Reaction::Retry } else { Reaction::Halt };
        Failure::new(reaction, RemoteError::Identity { why: self.why, advice: self.advice })
    }

    pub(super) fn failure(self, doing: &'static str, key: &str, store: &str) -> Failure {
        let reaction = if self.is_passing() { Reaction::Retry } else { Reaction::Halt };
        let Trouble { why, advice, .. } = self;
        let (key, store) = (key.to_owned(), store.to_owned());
        Failure::new(reaction, RemoteError::Request { doing, key, store, why, advice })
    }
}

/// What the library's error means.
pub(super) fn judge(error: &Error) -> Trouble {
    if let Some(status) = cause::<Status>(error) {
        return judge_status(status);
    }
    if let Some(http) = cause::<HttpError>(error) {
        return judge_connection(http);
    }
    let kind = match error {
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => Kind::Exists,
        Error::NotFound { .. } => Kind::Missing,
        Error::InvalidPath { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            Kind::Lasting
        }
        // An answer without what it must have, for one.
        _ => Kind::Doubtful,
    };
    Trouble::new(kind, error.to_string(), "")
}

/// What it means that there are no credentials to sign with: in no case was anything sent to the store.
pub(super) fn judge_credentials(error: &Error) -> Trouble {
    let (kind, why) = if let Some(status) = cause::<Status>(error) {
        let is_passing = status.status >= 500 || matches!(status.status, 408 | 429);
        (if is_passing { Kind::Unsent } else { Kind::Lasting }, status.to_string())
    } else if let Some(http) = cause::<HttpError>(error) {
        (Kind::Unsent, judge_connection(http).why)
    } else {
        // What was read may be a secret, so it is not repeated.
        (Kind::Unsent, "what gives them cannot be read".to_owned())
    };
    Trouble::new(kind, format!("no credentials: {why}"), CREDENTIALS)
}

fn judge_status(status: &Status) -> Trouble {
    use Kind::{Busy, Conflict, Doubtful, Exists, Lasting, Missing, NoRange};
    let (kind, advice) = match (status.status, status.code.as_str()) {
        (304 | 412, _) | (409, "BlobAlreadyExists") => (Exists, ""),
        (_, "NoSuchBucket" | "ContainerNotFound") => (Lasting, BUCKET),
        (_, "AuthorizationHeaderMalformed") => (Lasting, REGION),
        (_, "RequestTimeTooSkewed") => (Lasting, CLOCK),
        (_, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => (Busy, EXPIRED),
        // Some stores answer these with 404; the last is versitygw's.
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "XAdminUserNotFound") => {
            (Lasting, IDENTITY)
        }
        (400..=403, code) if code.starts_with("KMS.") => (Lasting, KMS),
        (404, "NoSuchKey" | "BlobNotFound") => (Missing, ""),
        // Something on the way may say 404; that a key is not there is believed to the store alone.
        (404, "") => (Doubtful, ENDPOINT),
        (409, _) => (Conflict, ""),
        (416, _) => (NoRange, ""),
        (300..=399, _) => (Lasting, REGION),
        (408 | 429, _) | (400, "RequestTimeout" | "BadDigest" | "IncompleteBody") => (Busy, ""),
        (400, "XAmzContentSHA256Mismatch" | "Throttling" | "ThrottlingException") => (Busy, ""),
        (401 | 403, _) => (Lasting, RIGHTS),
        (501, _) => (Lasting, NO_CREATE_ONLY),
        (400..=499, _) => (Lasting, REQUEST),
        // Also a 200 with an error in it.
        _ => (Doubtful, ""),
    };
    Trouble::new(kind, status.to_string(), advice)
}

fn judge_connection(error: &HttpError) -> Trouble {
    let causes = || successors(std::error::Error::source(error), |error| error.source());
    let root = causes().last().map(ToString::to_string).unwrap_or_default();
    // The library counts a connection that was not made in time among the answers that did not come in time.
    let is_connect = || causes().any(|cause| cause.to_string() == "client error (Connect)");
    match error.kind() {
        HttpErrorKind::Connect => Trouble::new(Kind::Unsent, format!("no connection: {root}"), ""),
        HttpErrorKind::Timeout if is_connect() => Trouble::new(Kind::Unsent, "no connection in time", ""),
        HttpErrorKind::Timeout => Trouble::new(Kind::Doubtful, "no answer in time", ""),
        // Among these is a connection that ended before the answer. The library calls that "not sent" and would send
        // it again by itself; the store may have applied it all the same.
        _ => Trouble::new(Kind::Doubtful, format!("the connection broke: {root}"), ""),
    }
}

fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, code: &str) -> (Kind, &'static str) {
        let trouble = judge_status(&Status { status, code: code.to_owned() });
        (trouble.kind, trouble.advice)
    }

    #[test]
    fn a_status_says_whether_it_passes_and_who_mends_it() {
        let table = [
            (412, "PreconditionFailed", Kind::Exists, ""),
            (409, "BlobAlreadyExists", Kind::Exists, ""),
            (409, "ConditionalRequestConflict", Kind::Conflict, ""),
            (404, "NoSuchKey", Kind::Missing, ""),
            (404, "NoSuchBucket", Kind::Lasting, BUCKET),
            (404, "XAdminUserNotFound", Kind::Lasting, IDENTITY),
            (404, "", Kind::Doubtful, ENDPOINT),
            (404, "NoSuchThing", Kind::Lasting, REQUEST),
            (416, "InvalidRange", Kind::NoRange, ""),
            (301, "PermanentRedirect", Kind::Lasting, REGION),
            (400, "AuthorizationHeaderMalformed", Kind::Lasting, REGION),
            (400, "RequestTimeout", Kind::Busy, ""),
            (400, "ExpiredToken", Kind::Busy, EXPIRED),
            (400, "KMS.DisabledException", Kind::Lasting, KMS),
            (400, "InvalidArgument", Kind::Lasting, REQUEST),
            (403, "AccessDenied", Kind::Lasting, RIGHTS),
            (403, "", Kind::Lasting, RIGHTS),
            (403, "InvalidAccessKeyId", Kind::Lasting, IDENTITY),
            (403, "SignatureDoesNotMatch", Kind::Lasting, IDENTITY),
            (403, "RequestTimeTooSkewed", Kind::Lasting, CLOCK),
            (429, "", Kind::Busy, ""),
            (500, "InternalError", Kind::Doubtful, ""),
            (501, "NotImplemented", Kind::Lasting, NO_CREATE_ONLY),
            (503, "SlowDown", Kind::Doubtful, ""),
            (504, "", Kind::Doubtful, ""),
            (200, "InternalError", Kind::Doubtful, ""),
        ];

        for (status, code, kind, advice) in table {
            assert_eq!(judged(status, code), (kind, advice), "{status} {code}");
        }
    }

    #[test]
    fn a_failure_names_key_store_and_what_to_do() {
        let trouble = judge_status(&Status { status: 403, code: "AccessDenied".to_owned() });

        let failure = trouble.failure("create", "t/x.plan", "s3://b/p");

        assert_eq!(failure.reaction, Reaction::Halt);
        let text = failure.to_string();
        assert!(
            text.starts_with("cannot create `t/x.plan` in `s3://b/p`: HTTP status 403 (AccessDenied); grant"),
            "{text}"
        );
    }

    #[test]
    fn a_lack_of_credentials_is_told_from_an_answer_of_the_store() {
        let told = |status| {
            let source = HttpError::new(HttpErrorKind::Unknown, Status { status, code: String::new() });
            let trouble = judge_credentials(&Error::Generic { store: "S3", source: Box::new(source) });
            assert!(trouble.why.starts_with("no credentials: HTTP status"), "{}", trouble.why);
            trouble.kind
        };

        assert_eq!((told(503), told(404)), (Kind::Unsent, Kind::Lasting));
        let secret = Error::Generic { store: "S3", source: "hunter2 is no token".into() };
        assert!(!judge_credentials(&secret).why.contains("hunter2"));
    }
}
