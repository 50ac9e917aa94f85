//! The adapter for object stores against a real S3 server.

use crate::block_on::block_on;
use crate::port_contract::{Contract, objects_contract};
use crate::servers::S3;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::thread;
use thalweg::model::Secret;
use thalweg::objects::{Credentials, RemoteObjects, StoreSettings, probe};
use thalweg::port::{Created, Objects, Reaction};

fn settings(server: &S3, prefix: &str) -> StoreSettings {
    let mut settings = StoreSettings::new(format!("s3://{}/{prefix}", server.bucket()).parse().unwrap());
    settings.endpoint = Some(server.endpoint());
    settings.region = Some(server.region().to_owned());
    settings.allow_http = true;
    settings.credentials = credentials(server.access_key(), server.secret_key());
    settings
}

fn credentials(key_id: &str, secret: &str) -> Credentials {
    Credentials::Given { key_id: Secret::new(key_id), secret: Secret::new(secret), session_token: None }
}

/// A part of the bucket that nobody used before.
pub(crate) fn fresh(server: &S3) -> RemoteObjects {
    let prefix = format!("{:016x}", RandomState::new().hash_one("fresh"));
    RemoteObjects::open(&settings(server, &prefix)).unwrap()
}

mod contract {
    use super::*;

    fn run(contract: Contract<dyn Objects>) {
        let Some(server) = S3::shared() else { return };
        block_on(contract(Rc::new(fresh(server))));
    }
    objects_contract!(run);
}

#[test]
fn of_many_who_create_one_key_exactly_one_is_first() {
    let Some(server) = S3::shared() else { return };
    let objects = fresh(server);

    for round in 0..20 {
        let key = format!("plans/{round}.plan");
        let create = |n: u8| {
            let (objects, key) = (objects.clone(), key.clone());
            move || block_on(objects.create(&key, vec![n; 100_000])).unwrap()
        };
        let racers: Vec<_> = (0..8).map(|n| thread::spawn(create(n))).collect();
        let created: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();

        let firsts: Vec<_> = (0..8).filter(|&n| created[n as usize] == Created::Now).collect();
        assert_eq!(firsts.len(), 1, "{created:?}");
        assert_eq!(block_on(objects.read(&key)).unwrap().unwrap(), vec![firsts[0]; 100_000]);
    }
}

#[test]
fn a_real_store_passes_the_probe() {
    let Some(server) = S3::shared() else { return };
    block_on(probe(&fresh(server), "")).unwrap();
}

#[test]
fn a_list_has_all_of_its_pages() {
    let Some(server) = S3::shared() else { return };
    let objects = fresh(server);
    let keys: Vec<_> = (0..1_100).map(|n| format!("many/{n:05}")).collect();
    for key in &keys {
        assert_eq!(block_on(objects.create(key, Vec::new())).unwrap(), Created::Now);
    }

    assert_eq!(block_on(objects.list("many/")).unwrap(), keys);

    assert_eq!(block_on(objects.list("many/0109")).unwrap().len(), 10);
    assert!(objects.counts().list.attempts > 2, "all keys came on one page: the test needs more of them");
}

#[test]
fn a_large_object_comes_back_as_it_was() {
    let Some(server) = S3::shared() else { return };
    let objects = fresh(server);
    let body: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();

    assert_eq!(block_on(objects.create("t/large", body.clone())).unwrap(), Created::Now);

    assert!(block_on(objects.read("t/large")).unwrap().unwrap() == body);
    let tail = block_on(objects.read_tail("t/large", 65_536)).unwrap().unwrap();
    assert!(tail == body[body.len() - 65_536..]);
}

#[test]
fn a_wrong_key_a_wrong_secret_and_a_wrong_bucket_halt_by_name() {
    let Some(server) = S3::shared() else { return };
    let mut nobody = settings(server, "p");
    nobody.credentials = credentials("nobody", "hunter2");
    let mut wrong = settings(server, "p");
    wrong.credentials = credentials(server.access_key(), "hunter2");
    let mut elsewhere = settings(server, "p");
    elsewhere.url = "s3://no-such-bucket".parse().unwrap();

    let identity = "mend the access key";
    for (settings, advice) in [(nobody, identity), (wrong, identity), (elsewhere, "create the bucket")] {
        let objects = RemoteObjects::open(&settings).unwrap();
        let create = block_on(objects.create("t/a", b"x".to_vec())).unwrap_err();
        let read = block_on(objects.read("t/a")).unwrap_err();
        let list = block_on(objects.list("t/")).unwrap_err();

        for failure in [create, read, list] {
            assert_eq!(failure.reaction, Reaction::Halt, "{failure}");
            let text = format!("{failure} {failure:?}");
            assert!(text.contains(advice) && !text.contains("hunter2"), "{text}");
        }
    }
}
