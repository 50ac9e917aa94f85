//! One signed request over HTTP/1.1, in plain `std`: what tests ask of a store without the client under test.
//!
//! Signed as AWS's signature version 4 wants it, with the body left out of the signature.

use super::sha256::{hex, hmac, sha256};
use super::{ACCESS_KEY, REGION, SECRET_KEY};
use jiff::Timestamp;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A paused server is found out by this.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Not a part of the signature: the way to the server is inside this machine.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(bytes: &[u8]) -> Option<Answer> {
        let head_ends = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = str::from_utf8(&bytes[..head_ends]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.filter_map(header).collect();
        Some(Answer { status, headers, body: bytes[head_ends + 4..].to_vec() })
    }
}

/// `path` begins with `/`, and so far as it needs percent signs it has them; `?` may follow with parameters in
/// the order of their names, each with its `=`. `headers` are signed, in lower case and in order.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let host = format!("127.0.0.1:{port}");
    let mut signed = vec![("host", host.as_str()), ("x-amz-content-sha256", UNSIGNED), ("x-amz-date", &now)];
    signed.extend(headers);
    signed.sort_unstable();
    let authorization = authorization(method, path, &signed, &now);

    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in &signed {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!(
        "authorization: {authorization}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Answer::parse(&bytes).ok_or_else(|| io::Error::other("the answer is not one of HTTP"))
}

fn authorization(method: &str, path: &str, signed: &[(&str, &str)], now: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let names: Vec<_> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{UNSIGNED}");

    let day = &now[..8];
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let first = hmac(format!("AWS4{SECRET_KEY}").as_bytes(), day.as_bytes());
    let key = [REGION, "s3", "aws4_request"].iter().fold(first, |key, part| hmac(&key, part.as_bytes()));
    let signature = hex(&hmac(&key, to_sign.as_bytes()));
    format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}")
}
