//! The object stores of this machine.

use crate::port_contract::{Contract, objects_contract};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use thalweg::objects::{LocalObjects, MemoryObjects, probe};
use thalweg::port::{Created, Objects};

/// Runs a future whose ports answer at once, or block.
pub(crate) fn now<T>(mut future: Pin<Box<dyn Future<Output = T> + '_>>) -> T {
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

mod local {
    use super::*;

    fn run(contract: Contract<dyn Objects>) {
        let dir = tempfile::tempdir().unwrap();
        now(contract(Rc::new(LocalObjects::open(&dir.path().join("lake")).unwrap())));
    }
    objects_contract!(run);
}

mod memory {
    use super::*;

    fn run(contract: Contract<dyn Objects>) {
        now(contract(Rc::new(MemoryObjects::default())));
    }
    objects_contract!(run);
}

#[test]
fn of_many_who_create_one_key_exactly_one_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Arc::new(LocalObjects::open(dir.path()).unwrap());

    for round in 0..20 {
        let key = format!("plans/{round}.plan");
        let create = |n: u8| {
            let (objects, key) = (objects.clone(), key.clone());
            move || now(objects.create(&key, vec![n; 10_000])).unwrap()
        };
        let racers: Vec<_> = (0..4).map(|n| std::thread::spawn(create(n))).collect();
        let created: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();

        let firsts: Vec<_> = (0..4).filter(|&n| created[n as usize] == Created::Now).collect();
        assert_eq!(firsts.len(), 1, "{created:?}");
        assert_eq!(now(objects.read(&key)).unwrap().unwrap(), vec![firsts[0]; 10_000]);
    }
}

#[test]
fn a_local_directory_passes_the_probe() {
    let dir = tempfile::tempdir().unwrap();
    let objects = LocalObjects::open(dir.path()).unwrap();

    now(Box::pin(probe(&objects, ""))).unwrap();

    assert_eq!(now(objects.list("_control/v1/probe/")).unwrap().len(), 1);
}

#[test]
fn a_key_that_leads_elsewhere_is_refused_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let objects = LocalObjects::open(&dir.path().join("lake")).unwrap();

    for key in ["../x", "/x", "a/../../x", "a//b"] {
        assert!(now(objects.create(key, b"x".to_vec())).is_err(), "{key}");
    }

    assert_eq!(now(objects.list("")).unwrap(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
