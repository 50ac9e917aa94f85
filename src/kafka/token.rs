//! What `OAUTHBEARER` sends: a token out of a file that somebody else renews, or one that we sign (`iam`).
//!
//! In: a place where tokens are, and the time. Out: a token, whose it is, and until when it holds. The file is read
//! whenever a client asks. Promises: no error holds a piece of a token. Never: a judgement about a signature; that is
//! the brokers'.

use super::base64url;
use super::error::Error;
#[cfg(feature = "s3")]
use super::iam;
use super::settings::Config;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::Read;

/// The setting that says where tokens come from. The library hands it back whenever it asks for one.
pub(super) const SOURCE: &str = "sasl.oauthbearer.config";
/// How [`SOURCE`] begins if a file is meant.
const FILE: &str = "file:";
/// How it begins if tokens are signed here, before the region.
pub(super) const IAM: &str = "aws-msk-iam:";
/// Brokers take no larger ones, and nobody writes such.
const BYTES_MAX: u64 = 64 << 10;
/// Nobody here lives to see it, and the library's own sums stay in their numbers.
const SECONDS_MAX: f64 = 253_402_207_200.0;

pub(super) struct Token {
    pub(super) text: String,
    /// Only for what the library says of itself.
    pub(super) principal: String,
    pub(super) expires: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { text: _, principal, expires } = self;
        f.debug_struct("Token")
            .field("principal", principal)
            .field("expires", expires)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a file of a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is larger than {BYTES_MAX} bytes, and no token is")]
    TooLarge,
    #[error("holds no token: a JWT has three parts with points between them")]
    NoToken,
    #[error("holds a token that cannot be read: its second part should be JSON in base64url")]
    NoClaims,
    #[error("holds a token that does not say until when it holds: its `exp` should be a number of seconds")]
    NoEnd,
    #[error("holds a token that expired at {0}")]
    Expired(Timestamp),
}

/// Where a client with these settings finds its tokens; `None` if it needs none.
pub(super) fn source(config: &Config) -> Option<&str> {
    config.get(SOURCE)
}

/// The token of now.
pub(super) fn get(source: &str) -> Result<Token, Error> {
    if let Some(region) = source.strip_prefix(IAM) {
        return signed(region);
    }
    let file = source.strip_prefix(FILE).ok_or_else(|| Error::Settings(format!("{SOURCE} names no file")))?;
    let token = read(file).and_then(|text| parse(&text, Timestamp::now()));
    token.map_err(|wrong| Error::Token { file: file.to_owned(), wrong })
}

#[cfg(feature = "s3")]
fn signed(region: &str) -> Result<Token, Error> {
    iam::get(region, Timestamp::now())
}

#[cfg(not(feature = "s3"))]
fn signed(_: &str) -> Result<Token, Error> {
    Err(Error::Settings(
        "this build signs no tokens for Amazon MSK; build it with the feature `msk-iam`".into(),
    ))
}

fn read(file: &str) -> Result<String, Wrong> {
    let mut text = Vec::new();
    let file = File::open(file).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut text));
    file.map_err(|error| Wrong::Unreadable(error.to_string()))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Wrong::TooLarge);
    }
    String::from_utf8(text).map_err(|_| Wrong::NoToken)
}

fn parse(text: &str, now: Timestamp) -> Result<Token, Wrong> {
    let text = text.trim_ascii();
    let parts: Vec<&str> = text.split('.').collect();
    let &[header, claims, signature] = parts.as_slice() else { return Err(Wrong::NoToken) };
    // Of these the client needs nothing; but only what belongs there may cross the network.
    if header.is_empty()
        || claims.is_empty()
        || [header, signature].into_iter().any(|part| base64url::decoded(part).is_none())
    {
        return Err(Wrong::NoToken);
    }
    let claims: Value = base64url::decoded(claims)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .filter(Value::is_object)
        .ok_or(Wrong::NoClaims)?;
    let expires = claims["exp"].as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    let expires = expires.and_then(|seconds| Timestamp::from_millisecond((seconds * 1e3) as i64).ok());
    let expires = expires.ok_or(Wrong::NoEnd)?;
    if expires <= now {
        return Err(Wrong::Expired(expires));
    }
    Ok(Token { text: text.to_owned(), principal: principal(&claims), expires })
}

fn principal(claims: &Value) -> String {
    let named = ["sub", "preferred_username"].iter().find_map(|&name| claims[name].as_str());
    let named = named.map(|name| name.chars().filter(|c| !c.is_control()).collect::<String>());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::base64url::encoded;
    use std::fs;

    const NOW: i64 = 1_700_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn token(claims: &str) -> String {
        format!("{}.{}.c2lnbmVk", encoded(br#"{"alg":"RS256"}"#), encoded(claims.as_bytes()))
    }

    fn wrong(text: &str) -> Wrong {
        parse(text, now()).expect_err(text)
    }

    #[test]
    fn a_token_says_whose_it_is_and_until_when_it_holds() {
        let text = token(r#"{"sub":"thalweg","exp":1700000060}"#);

        let found = parse(&text, now()).unwrap();

        assert_eq!((found.text, found.principal.as_str()), (text, "thalweg"));
        assert_eq!(found.expires, Timestamp::from_second(NOW + 60).unwrap());
    }

    #[test]
    fn a_line_break_at_the_end_of_the_file_is_no_part_of_the_token() {
        let text = token(r#"{"exp":1700000060.25,"preferred_username":"a\u0000b"}"#);

        for written in [format!("{text}\n"), format!("{text}\r\n"), format!(" {text}")] {
            let found = parse(&written, now()).unwrap();
            assert_eq!((found.text.as_str(), found.principal.as_str()), (text.as_str(), "ab"));
            assert_eq!(found.expires.as_millisecond(), (NOW + 60) * 1_000 + 250);
        }
    }

    #[test]
    fn a_token_that_is_over_or_never_is_does_not_get_out() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();

        assert_eq!(wrong(&token(r#"{"exp":1700000000}"#)), Wrong::Expired(at(NOW)));
        assert_eq!(wrong(&token(r#"{"exp":17}"#)), Wrong::Expired(at(17)));
        for claims in
            ["{}", r#"{"exp":"1700000060"}"#, r#"{"exp":null}"#, r#"{"exp":-1}"#, r#"{"exp":1e300}"#]
        {
            assert_eq!(wrong(&token(claims)), Wrong::NoEnd, "{claims}");
        }
    }

    #[test]
    fn what_is_no_token_is_said_without_a_piece_of_it() {
        let claims = encoded(br#"{"exp":1700000060}"#);

        for text in [
            "",
            "\n",
            "hunter2",
            "a.b",
            "....",
            "..",
            &format!("hunter2.{claims}"),
            &format!("e30.{claims}.a.b.c"),
        ] {
            assert_eq!(wrong(text), Wrong::NoToken, "{text}");
        }
        for (header, signature) in [("e30", "hunter=2"), ("e30", "hun\nter"), ("e3\0", "e30"), ("{}", "e30")]
        {
            assert_eq!(wrong(&format!("{header}.{claims}.{signature}")), Wrong::NoToken);
        }
        for claims in [
            "hunter2!",
            "a",
            &encoded(b"hunter2"),
            &encoded(b"[1]"),
            &encoded(b"{\"exp\":17"),
            &encoded(b"\xff"),
        ] {
            let wrong = wrong(&format!("e30.{claims}.e30"));
            assert_eq!(wrong, Wrong::NoClaims, "{claims}");
            assert!(!wrong.to_string().contains("hunter2"));
        }
        let shown = format!("{:?}", parse(&token(r#"{"exp":1700000060}"#), now()).unwrap());
        assert!(shown.contains("2023") && !shown.contains(&claims), "{shown}");
    }

    #[test]
    fn the_file_is_read_again_each_time_and_named_when_something_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let source = format!("{FILE}{}", file.display());
        let said = || get(&source).expect_err("it holds nothing yet").to_string();

        let missing = said();
        assert!(missing.contains("token cannot be read: No such file"), "{missing}");
        fs::write(&file, "a".repeat(BYTES_MAX as usize + 1)).unwrap();
        assert!(said().contains("is larger than 65536 bytes"), "{}", said());
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(said().contains("holds no token"), "{}", said());
        fs::write(&file, token(r#"{"exp":17}"#)).unwrap();
        assert!(said().contains("expired at 1970-01-01T00:00:17Z; see `kafka.security`"), "{}", said());
        fs::write(&file, token(r#"{"exp":9e10}"#)).unwrap();
        assert_eq!(get(&source).unwrap().expires, Timestamp::from_second(90_000_000_000).unwrap());
        assert!(get("hunter2").is_err_and(|error| !error.to_string().contains("hunter2")));
    }
}
