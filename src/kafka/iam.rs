//! What `OAUTHBEARER` sends to Amazon MSK where IAM says who may do what: the URL of a request that nobody makes, signed
//! as AWS signs requests (Signature Version 4), in base64url.
//!
//! In: a region, keys, the time. Out: a token. The form is that of Amazon's own `aws-msk-iam-sasl-signer` libraries.
//! Promises: no error holds a key. Never: a look for keys; whoever has the settings says who gives them.

use super::base64url;
use super::error::Error;
use super::settings::Settings;
use super::token::{IAM, SOURCE, Token};
use crate::model::AwsKeys;
use crate::port::Failure;
use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Ask = dyn Fn() -> Result<AwsKeys, Failure> + Send + Sync;

/// Who gives keys for a region. The library hands a callback back the text of a setting and nothing else that is ours,
/// so what the text stands for is looked up here. It is the process that has an identity at AWS: all its clients share it.
static GIVERS: Mutex<BTreeMap<String, Arc<Ask>>> = Mutex::new(BTreeMap::new());

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kafka-cluster";
const REQUEST: &str = "aws4_request";
/// What MSK allows a token at most.
const HOLDS: Duration = Duration::from_secs(900);
const AGENT: &str = concat!("thalweg/", env!("CARGO_PKG_VERSION"));

impl Settings {
    /// Clients with these settings sign in at Amazon MSK with keys from `ask`. It is called whenever a client wants a
    /// token, on threads of the library's, and should neither wait for long nor fetch what it has.
    pub fn sign_in_by_iam(
        &mut self,
        region: &str,
        ask: impl Fn() -> Result<AwsKeys, Failure> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if region.is_empty() || !region.chars().all(is_plain) {
            return Err(Error::Settings("that is no region of AWS; one is `eu-central-1`".into()));
        }
        GIVERS.lock().unwrap_or_else(PoisonError::into_inner).insert(region.to_owned(), Arc::new(ask));
        self.security.insert(SOURCE.to_owned(), format!("{IAM}{region}"));
        Ok(())
    }
}

pub(super) fn get(region: &str, now: Timestamp) -> Result<Token, Error> {
    // Asked without the lock: others may sign while this one waits.
    let giver = GIVERS.lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned();
    let ask = giver.ok_or_else(|| Error::Settings(format!("{SOURCE} names a region without keys")))?;
    let keys =
        ask().map_err(|failure| Error::Keys { reaction: failure.reaction, text: failure.to_string() })?;
    Ok(sign(region, &keys, AGENT, now))
}

fn sign(region: &str, keys: &AwsKeys, agent: &str, now: Timestamp) -> Token {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = [&time[..8], region, SERVICE, REQUEST];
    let (host, scoped) = (format!("kafka.{region}.amazonaws.com"), scope.join("/"));
    let query = query(keys, &scoped, &time);
    let request = format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{}", hex(&sha256(b"")));
    let to_sign = format!("{ALGORITHM}\n{time}\n{scoped}\n{}", hex(&sha256(request.as_bytes())));
    let secret = format!("AWS4{}", keys.secret.reveal()).into_bytes();
    let key = scope.iter().fold(secret, |key, part| hmac(&key, part));
    let (signature, agent) = (hex(&hmac(&key, &to_sign)), encoded(agent));
    let url = format!("https://{host}/?{query}&X-Amz-Signature={signature}&User-Agent={agent}");
    // A token that outlives its keys is refused before its own end, so the next one is wanted while these still hold.
    let holds = HOLDS.min(keys.hold);
    let until = now.as_second().saturating_add(holds.as_secs().cast_signed());
    Token {
        text: base64url::encoded(url.as_bytes()),
        principal: "aws-msk-iam".to_owned(),
        expires: Timestamp::from_second(until).unwrap_or(now),
    }
}

/// All that is signed, in the order of the names, as it must be.
fn query(keys: &AwsKeys, scope: &str, time: &str) -> String {
    let credential = format!("{}/{scope}", keys.id);
    let expires = HOLDS.as_secs().to_string();
    let session = keys.session.as_ref().map(|session| ("X-Amz-Security-Token", session.reveal()));
    let pairs = [
        Some(("Action", "kafka-cluster:Connect")),
        Some(("X-Amz-Algorithm", ALGORITHM)),
        Some(("X-Amz-Credential", &credential)),
        Some(("X-Amz-Date", time)),
        Some(("X-Amz-Expires", &expires)),
        session,
        Some(("X-Amz-SignedHeaders", "host")),
    ];
    let pairs = pairs.into_iter().flatten().map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// As a part of a URL: all but letters, digits and four more as `%` and two digits.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            write!(all, "%{byte:02X}").expect("a text takes all that is written");
        }
        all
    })
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        write!(all, "{byte:02x}").expect("a text takes all that is written");
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::native::Consumer;
    use crate::model::{Role, Secret};
    use crate::port::Reaction;
    use std::sync::mpsc;
    use std::time::Instant;

    fn keys(id: &str, session: Option<&str>) -> AwsKeys {
        AwsKeys {
            id: id.into(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: session.map(Secret::new),
            hold: Duration::from_secs(300),
        }
    }

    fn url(token: &Token) -> String {
        String::from_utf8(base64url::decoded(&token.text).unwrap()).unwrap()
    }

    /// The expected texts are what botocore 1.43.11 makes of the same (`SigV4QueryAuth(keys, "kafka-cluster", region,
    /// expires=900)` over `GET https://kafka.REGION.amazonaws.com/?Action=kafka-cluster:Connect`, and `User-Agent` put
    /// behind it, as Amazon's signer for Python does), but that the session token stands in its signed place.
    #[test]
    fn a_token_is_the_url_that_amazons_own_library_signs() {
        let now = Timestamp::from_millisecond(1_700_000_000_999).unwrap();

        let plain = sign("eu-central-1", &keys("AKIDEXAMPLE", None), "x/1", now);
        let lent = keys("ASIA/EX+AMPLE", Some("IQoJ//b3+JpZ2lu=="));
        let lent = sign("us-west-2", &lent, "x/1", now);

        assert_eq!(
            url(&plain),
            "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20231114%2Feu-central-1%2Fkafka-cluster%2Faws4_request\
             &X-Amz-Date=20231114T221320Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=674a7efeeb19a92e44b849bf3ea778a9c78e68ad0bac99e834ab2ea6139ac226&User-Agent=x%2F1"
        );
        assert_eq!(
            url(&lent),
            "https://kafka.us-west-2.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=ASIA%2FEX%2BAMPLE%2F20231114%2Fus-west-2%2Fkafka-cluster%2Faws4_request\
             &X-Amz-Date=20231114T221320Z&X-Amz-Expires=900&X-Amz-Security-Token=IQoJ%2F%2Fb3%2BJpZ2lu%3D%3D\
             &X-Amz-SignedHeaders=host\
             &X-Amz-Signature=8791553d8f67612ff73c960ba848e921e5ecf890935a26898a21edf63910db88&User-Agent=x%2F1"
        );
        assert!(!lent.text.contains('='), "{lent:?}");
    }

    #[test]
    fn a_token_is_over_with_its_keys_and_after_a_quarter_of_an_hour() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let until = |hold| sign("r", &AwsKeys { hold, ..keys("a", None) }, "x", now).expires.as_second();

        assert_eq!(until(Duration::from_secs(300)), 1_700_000_300);
        assert_eq!(until(Duration::from_secs(901)), 1_700_000_900);
        assert_eq!(until(Duration::MAX), 1_700_000_900);
    }

    #[test]
    fn a_region_that_would_change_the_host_is_refused() {
        let mut settings = Settings::new("a:1", "shop", "orders.v1");

        for region in ["", "eu.central.1", "x/", "a@b", "é"] {
            assert!(settings.sign_in_by_iam(region, || Ok(keys("a", None))).is_err(), "{region}");
        }
        assert!(settings.security.is_empty());
    }

    #[test]
    fn without_keys_it_is_said_why_and_whether_to_try_again() {
        let mut settings = Settings::new("a:1", "shop", "orders.v1");
        let ask = || Err(Failure::new(Reaction::Retry, "no credentials: none at all"));
        settings.sign_in_by_iam("without-keys", ask).unwrap();

        let error = settings.token().unwrap_err();

        assert!(error.to_string().contains("no credentials: none at all; see `kafka.security`"), "{error}");
        assert_eq!(Failure::from(error).reaction, Reaction::Retry);
        assert!(get("never-named", Timestamp::now()).is_err());
    }

    #[test]
    fn a_client_asks_for_the_next_token_before_the_last_one_is_over() {
        const HOLD: Duration = Duration::from_secs(5);
        let mut settings = Settings::new("127.0.0.1:1", "shop", "orders.v1");
        settings.security.insert("security.protocol".into(), "SASL_PLAINTEXT".into());
        settings.security.insert("sasl.mechanisms".into(), "OAUTHBEARER".into());
        settings.client.insert("log_level".into(), "0".into());
        let (asked, asks) = mpsc::channel();
        let ask = move || {
            asked.send(Instant::now()).unwrap();
            Ok(AwsKeys { hold: HOLD, ..keys("a", None) })
        };
        settings.sign_in_by_iam("renewed-often", ask).unwrap();

        let _consumer = Consumer::new(&settings.member(Role::Route)).unwrap();

        let asked = [(); 2].map(|()| asks.recv_timeout(2 * HOLD).unwrap());
        assert!(asked[1] - asked[0] < HOLD, "{:?}", asked[1] - asked[0]);
    }
}
