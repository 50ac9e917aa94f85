//! Every answer as it came over the wire, before the library makes an error of it.
//!
//! The library's errors hold status and body in a type that nobody outside of it can name, and it takes a 200 for a
//! success whatever stands in it. So we stand in between: an answer that is no success leaves as a [`Status`] inside
//! the error, with the store's code and nothing else of its body. (A refused signature is answered with the request
//! that was signed, session token included.)

use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, HeaderMap};
use std::future::Future;
use std::pin::Pin;

/// A body that is longer is no error that a store wrote.
const ERROR_BYTES_MAX: usize = 64 << 10;
const CODE_CHARS_MAX: usize = 64;

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP status {status}{}", if code.is_empty() { String::new() } else { format!(" ({code})") })]
pub(super) struct Status {
    pub(super) status: u16,
    /// The store's own word for it, or nothing.
    pub(super) code: String,
}

#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Wire(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Wire(HttpClient);

impl Wire {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // These two are answered with a status before the store knows how it ends.
        let is_put = request.method().as_str() == "PUT";
        let is_list = request.uri().query().is_some_and(|query| query.contains("list-type=2"));
        let answer = self.0.execute(request).await?;
        let is_success = answer.status().is_success();
        if is_success && !is_put && !is_list {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let is_short = length(&parts.headers).is_none_or(|len| len <= ERROR_BYTES_MAX);
        // The status says enough if the rest of the answer is lost.
        let body = match body.bytes() {
            body if is_success => body.await?,
            body if is_short => body.await.unwrap_or_default(),
            _ => Default::default(),
        };
        if is_success && !is_error(&body) {
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        let status = Status { status: parts.status.as_u16(), code: code(&parts.headers, &body) };
        Err(HttpError::new(HttpErrorKind::Unknown, status))
    }
}

impl HttpService for Wire {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.ask(request))
    }
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

/// XML whose outermost element is `Error`.
fn is_error(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(1024)]);
    let text = text.trim_start();
    let rest = text.strip_prefix("<?xml").and_then(|rest| Some(rest.split_once("?>")?.1)).unwrap_or(text);
    rest.trim_start().strip_prefix("<Error").is_some_and(|rest| rest.starts_with(['>', ' ', '/']))
}

/// The store's word, cut down to what such words are made of.
fn code(headers: &HeaderMap, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let in_body = text.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0));
    let in_header = || headers.get("x-ms-error-code")?.to_str().ok();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    in_body.or_else(in_header).unwrap_or_default().chars().filter(is_plain).take(CODE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_from_an_object() {
        for error in
            ["<Error><Code>x</Code></Error>", "<?xml version=\"1.0\"?>\n<Error>", " <Error xmlns=\"\">"]
        {
            assert!(is_error(error.as_bytes()), "{error}");
        }
        for other in ["", "<Errors>", "<ListBucketResult><Error>", "a token with <Error> in it"] {
            assert!(!is_error(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn of_a_body_only_the_code_is_kept() {
        let body = b"<Error><Code>Slow\nDown!</Code><StringToSign>hunter2</StringToSign></Error>";

        assert_eq!(code(&HeaderMap::new(), body), "SlowDown");
        assert_eq!(code(&HeaderMap::new(), b"plain text"), "");
        assert_eq!(
            code(&HeaderMap::new(), &[b"<Code>".as_slice(), &[b'a'; 999], b"</Code>"].concat()).len(),
            64
        );
    }
}
