//! The S3 server: what it promises to writers that may not overwrite, and what is left of it when it dies.

use crate::servers::{Answer, S3};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

const IF_ABSENT: (&str, &str) = ("if-none-match", "*");

#[test]
fn an_object_is_created_once_and_survives_a_kill() {
    let Some(s3) = S3::start() else { return };
    let endpoint = s3.endpoint();
    assert_eq!(request(&s3, "HEAD", "/lake", b"").status, 200);
    assert_eq!(create(&s3, "/lake/a/plan", b"first").status, 200);
    assert_eq!(create(&s3, "/lake/a/plan", b"second").status, 412);

    s3.kill();
    let while_dead = s3.request("GET", "/lake/a/plan", &[], b"").expect_err("nobody is there");
    s3.restart();

    assert_eq!(while_dead.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(s3.endpoint(), endpoint);
    assert_eq!(request(&s3, "GET", "/lake/a/plan", b"").body, b"first");
    assert_eq!(create(&s3, "/lake/a/plan", b"third").status, 412);
    s3.stop();
    assert!(!s3.is_on());
}

#[test]
fn of_many_writers_at_once_one_wins() {
    let Some(s3) = S3::shared() else { return };
    for round in 0..20 {
        let path = format!("/lake/race/{round}");
        let write = |writer: u8| create(s3, &path, &[writer]).status;

        let answers: Vec<u16> = thread::scope(|scope| {
            let writers: Vec<_> = (0..8).map(|writer| scope.spawn(move || write(writer))).collect();
            writers.into_iter().map(|writer| writer.join().expect("a writer ends")).collect()
        });

        let winners: Vec<_> = (0..8_u8).filter(|writer| answers[usize::from(*writer)] == 200).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 200 | 409 | 412)), "{answers:?}");
        assert_eq!(request(s3, "GET", &path, b"").body, winners);
    }
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let Some(s3) = S3::shared() else { return };
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, s3.port())).expect("somebody listens");

    stream.write_all(b"GET /lake/a HTTP/1.1\r\nhost: lake\r\nconnection: close\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");

    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let Some(s3) = S3::start() else { return };

    s3.pause();
    let answered = thread::scope(|scope| {
        let asked = scope.spawn(|| request(&s3, "HEAD", "/lake", b"").status);
        thread::sleep(Duration::from_millis(500));
        let before_resume = asked.is_finished();
        s3.resume();
        (before_resume, asked.join().expect("the request ends"))
    });

    assert_eq!(answered, (false, 200));
}

fn create(s3: &S3, path: &str, body: &[u8]) -> Answer {
    s3.request("PUT", path, &[IF_ABSENT], body).expect("it answers")
}

fn request(s3: &S3, method: &str, path: &str, body: &[u8]) -> Answer {
    s3.request(method, path, &[], body).expect("it answers")
}
