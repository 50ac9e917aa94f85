//! The adapter for object stores: the contract of its port over a store in memory, and what it makes of a server
//! that loses answers.

mod server;

use crate::block_on::block_on;
use crate::port_contract::{Contract, objects_contract};
use server::Applied::{AtOnce, Late, Never, Others};
use server::{Answer, CANARY, Fault, Server};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use thalweg::model::Secret;
use thalweg::objects::{Credentials, Encryption, RemoteObjects, StoreLimits, StoreSettings, probe};
use thalweg::port::{Created, Failure, Objects, Reaction};

const KEY: &str = "_control/v1/0.plan";
const TARGET: &str = "/bucket/lake/_control/v1/0.plan";

mod memory {
    use super::*;

    fn run(contract: Contract<dyn Objects>) {
        block_on(contract(Rc::new(RemoteObjects::in_memory("lake").unwrap())));
    }
    objects_contract!(run);
}

fn settings(endpoint: String) -> StoreSettings {
    let mut settings = StoreSettings::new("s3://bucket/lake".parse().unwrap());
    settings.endpoint = Some(endpoint);
    settings.allow_http = true;
    settings.credentials = Credentials::Given {
        key_id: Secret::new("id"),
        secret: Secret::new("hunter2"),
        session_token: Some(Secret::new(CANARY)),
    };
    settings.limits = StoreLimits {
        connect: Duration::from_secs(5),
        request: Duration::from_millis(400),
        call: Duration::from_secs(20),
        attempts: 3,
        backoff: (Duration::from_millis(10), Duration::from_millis(20)),
    };
    settings
}

fn open(server: &Server) -> RemoteObjects {
    RemoteObjects::open(&settings(format!("http://{}", server.address))).unwrap()
}

/// What a create of [`KEY`] comes to on a server with these faults, how often it was asked, and what is there then.
fn created(script: &[Fault]) -> (Result<Created, Failure>, usize, Option<Vec<u8>>) {
    let server = Server::start(script);
    let created = block_on(open(&server).create(KEY, b"ours".to_vec()));
    let is_there = server.state().objects.get(TARGET).cloned();
    (created, server.requests(), is_there)
}

fn shown(failure: &Failure) -> String {
    let text = format!("{failure} {failure:?}");
    assert!(!text.contains("hunter2"), "{text}");
    text
}

#[test]
fn a_create_that_took_effect_unheard_is_unknown_and_never_somebody_elses() {
    let unheard = [
        Answer::None,
        Answer::Silence,
        Answer::Status(500, "InternalError"),
        Answer::Status(503, "SlowDown"),
        Answer::Status(504, ""),
        Answer::Status(200, "InternalError"),
    ];

    for (n, answer) in unheard.into_iter().enumerate() {
        let (created, requests, is_there) = created(&[Fault(AtOnce, answer)]);

        assert_eq!(created.unwrap(), Created::Unknown, "{n}");
        assert_eq!((requests, is_there.as_deref()), (2, Some(b"ours".as_slice())), "{n}");
    }
}

#[test]
fn a_create_without_effect_is_made_again_and_is_ours() {
    let failed = [
        Answer::None,
        Answer::Silence,
        Answer::Status(500, "InternalError"),
        Answer::Status(503, "SlowDown"),
        Answer::Status(200, "SlowDown"),
        Answer::Status(409, "ConditionalRequestConflict"),
        Answer::Status(429, "TooManyRequests"),
        Answer::Status(400, "RequestTimeout"),
    ];

    for (n, answer) in failed.into_iter().enumerate() {
        let (created, requests, is_there) = created(&[Fault(Never, answer), Fault(Never, answer)]);

        assert_eq!(created.unwrap(), Created::Now, "{n}");
        assert_eq!((requests, is_there.as_deref()), (3, Some(b"ours".as_slice())), "{n}");
    }
}

#[test]
fn a_key_that_somebody_else_created_was_there_before() {
    let conflict = Fault(Others, Answer::Status(409, "ConditionalRequestConflict"));

    for (script, asked) in [([Fault(Others, Answer::True)], 1), ([conflict], 2)] {
        let (created, requests, is_there) = created(&script);

        assert_eq!(created.unwrap(), Created::Before);
        assert_eq!((requests, is_there.as_deref()), (asked, Some(b"another's".as_slice())));
    }
}

#[test]
fn somebody_elses_key_after_a_lost_answer_is_unknown_too() {
    let (created, _, is_there) = created(&[Fault(Others, Answer::None)]);

    assert_eq!(created.unwrap(), Created::Unknown);
    assert_eq!(is_there.unwrap(), b"another's");
}

#[test]
fn a_create_that_arrives_after_its_repetition_changes_nothing() {
    let server = Server::start(&[Fault(Late, Answer::None)]);
    let objects = open(&server);

    assert_eq!(block_on(objects.create(KEY, b"ours".to_vec())).unwrap(), Created::Now);
    thread::sleep(Duration::from_millis(800));

    assert_eq!(server.state().refused_late, 1);
    assert_eq!(block_on(objects.read(KEY)).unwrap().unwrap(), b"ours");
}

#[test]
fn after_its_last_attempt_a_create_in_doubt_is_unknown_and_one_that_was_refused_has_failed() {
    let (unknown, requests, _) = created(&[Fault(Never, Answer::None); 3]);
    assert_eq!((unknown.unwrap(), requests), (Created::Unknown, 3));

    let (doubtful, requests, _) =
        created(&[Fault(AtOnce, Answer::None), Fault(Never, Answer::Status(403, "AccessDenied"))]);
    assert_eq!((doubtful.unwrap(), requests), (Created::Unknown, 2));

    let (refused, requests, is_there) = created(&[Fault(Never, Answer::Status(409, "OperationAborted")); 3]);
    let refused = refused.unwrap_err();
    assert_eq!((refused.reaction, requests, is_there), (Reaction::Retry, 3, None));
    assert!(shown(&refused).contains("`_control/v1/0.plan` in `s3://bucket/lake`: HTTP status 409"));
}

#[test]
fn what_a_person_has_to_mend_halts_at_once_and_says_what() {
    for (status, code, advice) in [
        (403, "AccessDenied", "grant s3:PutObject"),
        (403, "SignatureDoesNotMatch", "mend the access key"),
        (403, "InvalidAccessKeyId", "mend the access key"),
        (404, "NoSuchBucket", "create the bucket"),
        (301, "PermanentRedirect", "region"),
        (501, "NotImplemented", "If-None-Match"),
    ] {
        let server = Server::start(&[Fault(Never, Answer::Status(status, code)); 2]);
        let objects = open(&server);

        let create = block_on(objects.create(KEY, b"ours".to_vec())).unwrap_err();
        let read = block_on(objects.read(KEY)).unwrap_err();

        for failure in [create, read] {
            assert_eq!(failure.reaction, Reaction::Halt, "{failure}");
            let text = shown(&failure);
            assert!(text.contains(code) && text.contains(KEY) && text.contains(advice), "{text}");
        }
        assert_eq!(server.requests(), 2, "{code}");
    }
}

#[test]
fn a_store_that_is_away_is_a_failure_to_retry_and_nothing_is_in_doubt() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let objects = RemoteObjects::open(&settings(format!("http://{address}"))).unwrap();

    let create = block_on(objects.create(KEY, b"ours".to_vec())).unwrap_err();
    let list = block_on(objects.list("")).unwrap_err();

    for failure in [create, list] {
        assert_eq!(failure.reaction, Reaction::Retry);
        assert!(shown(&failure).contains("no connection: "), "{failure}");
    }
    let counts = objects.counts().create;
    assert_eq!((counts.calls, counts.attempts, counts.unknown, counts.errors), (1, 3, 0, 1));
}

#[test]
fn a_read_is_repeated_until_it_is_whole() {
    let server = Server::start(&[]);
    let objects = open(&server);
    block_on(objects.create(KEY, b"0123456789".to_vec())).unwrap();
    let faults = [Fault(Never, Answer::Half), Fault(Never, Answer::Status(503, "SlowDown"))];

    server.state().script.extend(faults);
    assert_eq!(block_on(objects.read(KEY)).unwrap().unwrap(), b"0123456789");
    server.state().script.extend(faults);
    assert_eq!(block_on(objects.read_tail(KEY, 3)).unwrap().unwrap(), b"789");

    server.state().script.extend([Fault(Never, Answer::Half); 3]);
    let failure = block_on(objects.read(KEY)).unwrap_err();
    assert_eq!(failure.reaction, Reaction::Retry, "{failure}");
    let counts = objects.counts();
    assert_eq!(
        (counts.read.calls, counts.read.attempts, counts.read.unknown, counts.read.errors),
        (2, 6, 5, 1)
    );
}

#[test]
fn the_end_of_an_object_is_one_request() {
    let server = Server::start(&[]);
    let objects = open(&server);
    block_on(objects.create("t/a", b"0123456789".to_vec())).unwrap();
    block_on(objects.create("t/empty", Vec::new())).unwrap();
    let before = server.requests();

    assert_eq!(block_on(objects.read_tail("t/a", 4)).unwrap().unwrap(), b"6789");
    assert_eq!(block_on(objects.read_tail("t/a", 400)).unwrap().unwrap(), b"0123456789");
    assert_eq!(block_on(objects.read_tail("t/a", 0)).unwrap().unwrap(), b"");
    assert_eq!(block_on(objects.read_tail("t/empty", 4)).unwrap().unwrap(), b"");
    assert_eq!(block_on(objects.read_tail("t/none", 4)).unwrap(), None);

    assert_eq!(server.requests() - before, 5);
}

#[test]
fn an_error_in_place_of_a_list_is_never_an_empty_list() {
    let server = Server::start(&[Fault(Never, Answer::Status(200, "InternalError")); 3]);

    let failure = block_on(open(&server).list("t/")).unwrap_err();

    assert_eq!(failure.reaction, Reaction::Retry);
    assert!(shown(&failure).contains("HTTP status 200 (InternalError)"), "{failure}");
}

#[test]
fn a_call_that_nobody_waits_for_is_not_tried_again() {
    let server = Server::start(&[Fault(Never, Answer::Silence); 3]);
    let objects = open(&server);
    let mut create = objects.create(KEY, b"ours".to_vec());
    assert!(create.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    while server.requests() == 0 {
        thread::sleep(Duration::from_millis(1));
    }

    drop(create);
    thread::sleep(Duration::from_millis(900));

    assert_eq!(server.requests(), 1);
}

#[test]
fn every_create_asks_for_the_encryption_that_was_set() {
    let server = Server::start(&[]);
    let mut settings = settings(format!("http://{}", server.address));
    settings.encryption = Encryption::Kms { key: "alias/lake".to_owned() };

    block_on(RemoteObjects::open(&settings).unwrap().create(KEY, b"ours".to_vec())).unwrap();

    let state = server.state();
    let header = |name: &str| state.asked[0].headers.get(name).map(String::as_str);
    assert_eq!(header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(header("x-amz-server-side-encryption-aws-kms-key-id"), Some("alias/lake"));
}

#[test]
fn a_store_that_refuses_the_second_create_passes_the_probe() {
    let server = Server::start(&[]);

    block_on(probe(&open(&server), "")).unwrap();

    assert_eq!(server.requests(), 3);
}

#[test]
fn nothing_that_is_opened_shows_a_secret() {
    let server = Server::start(&[]);

    let shown = format!("{:?} {:?}", open(&server), settings(format!("http://{}", server.address)));

    assert!(shown.contains("s3://bucket/lake") && !shown.contains("hunter2"), "{shown}");
}
