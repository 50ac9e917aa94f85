//! Before the first plan: does this store really refuse a second create?
//!
//! A store that does not (an old gateway, a cache in between) would let two workers decide the same
//! slot differently, and nobody would notice until rows are there twice.

use crate::port::{Created, Failure, Objects, Reaction};
use std::hash::{BuildHasher, RandomState};

/// How a store broke its promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("the store created `{key}` twice; a lake needs a store that refuses the second create")]
    CreatedTwice { key: String },

    #[error("the store says that `{key}` was there before anybody created it")]
    NeverCreated { key: String },

    #[error("the store gave back other bytes for `{key}` than those it was created with")]
    Changed { key: String },

    #[error("the store could not say whether it created `{key}`")]
    Unknown { key: String },
}

/// Creates one random key twice under the control prefix: the second must be refused, and the first body
/// must stand. Leaves that one small object behind, because a worker has no right to delete.
pub async fn probe(objects: &dyn Objects, prefix: &str) -> Result<(), Failure> {
    let key = format!("{prefix}_control/v1/probe/{:016x}", RandomState::new().hash_one(prefix));
    let refuse = |error| Err(Failure::new(Reaction::Halt, error));
    match objects.create(&key, b"first".to_vec()).await? {
        Created::Now => {}
        Created::Before => return refuse(ProbeError::NeverCreated { key }),
        Created::Unknown => return Err(Failure::new(Reaction::Retry, ProbeError::Unknown { key })),
    }
    match objects.create(&key, b"second".to_vec()).await? {
        Created::Before => {}
        Created::Now => return refuse(ProbeError::CreatedTwice { key }),
        Created::Unknown => return Err(Failure::new(Reaction::Retry, ProbeError::Unknown { key })),
    }
    match objects.read(&key).await?.as_deref() {
        Some(b"first") => Ok(()),
        Some(_) | None => refuse(ProbeError::Changed { key }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::MemoryObjects;
    use crate::port::Pending;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// A store that overwrites.
    struct Forgetful(MemoryObjects);

    impl Objects for Forgetful {
        fn create<'a>(&'a self, _key: &'a str, _body: Vec<u8>) -> Pending<'a, Created> {
            Box::pin(std::future::ready(Ok(Created::Now)))
        }
        fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
            self.0.read(key)
        }
        fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>> {
            self.0.read_tail(key, len)
        }
        fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>> {
            self.0.list(prefix)
        }
    }

    fn probed(objects: &dyn Objects) -> Result<(), Failure> {
        match pin!(probe(objects, "p/")).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(probed) => probed,
            Poll::Pending => unreachable!("stores in memory do not wait"),
        }
    }

    #[test]
    fn a_store_that_creates_a_key_twice_is_refused() {
        let objects = MemoryObjects::default();
        probed(&objects).unwrap();
        probed(&objects).unwrap();

        let refused = probed(&Forgetful(MemoryObjects::default())).unwrap_err();

        assert_eq!(refused.reaction, Reaction::Halt);
        assert!(refused.to_string().contains("created `p/_control/v1/probe/"), "{refused}");
    }
}
