//! The server of health and metrics, over a real socket: what it answers, and what it does not put up with.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thalweg::http::{Error, Limits, METRICS, Page, Pages, TEXT, start};

struct Two;

impl Pages for Two {
    fn get(&self, path: &str) -> Option<Page> {
        let page = |is_fine, kind, text: &str| Some(Page { is_fine, kind, text: text.into() });
        match path {
            "/fine" => page(true, METRICS, "all is well\n"),
            "/bad" => page(false, TEXT, "route waits\n"),
            _ => None,
        }
    }
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn server(limits: Limits) -> SocketAddr {
    start(ANY, limits, Arc::new(Two)).unwrap()
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Everything until the server closes. A reset is a close as well.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(bytes).unwrap()
}

fn ask(to: SocketAddr, request: &str) -> String {
    let mut stream = connect(to);
    stream.write_all(request.as_bytes()).unwrap();
    rest(stream)
}

fn get(to: SocketAddr, path: &str) -> String {
    ask(to, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
}

#[test]
fn a_page_comes_with_its_kind_and_its_health() {
    let server = server(Limits::default());

    let fine = get(server, "/fine?ignored=1");
    assert!(fine.starts_with("HTTP/1.1 200 OK\r\n"), "{fine}");
    assert!(fine.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{fine}");
    assert!(fine.contains("connection: close\r\n") && fine.ends_with("\r\n\r\nall is well\n"), "{fine}");
    let bad = get(server, "/bad");
    assert!(bad.starts_with("HTTP/1.1 503 ") && bad.ends_with("\r\n\r\nroute waits\n"), "{bad}");
}

#[test]
fn everything_else_is_refused() {
    let server = server(Limits::default());

    for path in ["/", "/fine/", "/../fine", "/etc/passwd", "*"] {
        let answer = get(server, path);
        assert!(
            answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "),
            "{path}: {answer}"
        );
    }
    for method in ["POST", "HEAD", "DELETE", "OPTIONS"] {
        let answer = ask(server, &format!("{method} /fine HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET\r\n"),
            "{method}: {answer}"
        );
    }
    assert!(ask(server, "not HTTP at all\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(get(server, "/fine").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_request_that_is_too_large_or_too_slow_is_ended() {
    let limits = Limits { request: Duration::from_millis(300), ..Limits::default() };
    let server = server(limits);

    let large = ask(server, &format!("GET /fine HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(64 << 10)));
    assert!(large.is_empty() || large.starts_with("HTTP/1.1 431 "), "{large}");
    let began = Instant::now();
    let mut slow = connect(server);
    slow.write_all(b"GET /fine HTTP/1.1\r\nhost:").unwrap();
    let answer = rest(slow);

    assert!(!answer.contains("200 OK"), "{answer}");
    assert!((300..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn a_body_is_not_read() {
    let limits = Limits { connection: Duration::from_millis(500), ..Limits::default() };
    let server = server(limits);
    let began = Instant::now();

    let answer = ask(server, "GET /fine HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nbegun");

    assert!(answer.ends_with("all is well\n"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn there_are_only_so_many_connections() {
    let server = server(Limits { connections: 2, ..Limits::default() });
    let held = [connect(server), connect(server)];
    // Taken in the order in which they came.
    let third = rest(connect(server));

    assert_eq!(third, "");
    drop(held);
    let end = Instant::now() + Duration::from_secs(10);
    while !get(server, "/fine").starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < end, "a place was never given back");
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();

    let in_use = start(address, Limits::default(), Arc::new(Two)).unwrap_err();
    let nowhere = start("192.0.2.1:1".parse().unwrap(), Limits::default(), Arc::new(Two)).unwrap_err();

    assert!(matches!(in_use, Error::InUse { .. }), "{in_use}");
    assert_eq!(in_use.to_string(), format!("{address} is in use by another process"));
    assert!(matches!(nowhere, Error::Listen { .. }), "{nowhere}");
}
