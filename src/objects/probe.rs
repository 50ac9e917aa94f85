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
    let probe = Probe::new(objects, prefix);
    probe.creates().await?;
    probe.refuses().await?;
    probe.reads().await
}

/// The same step by step, for whoever wants to know which of them fails.
pub struct Probe<'a> {
    objects: &'a dyn Objects,
    key: String,
}

impl<'a> Probe<'a> {
    /// Under a key that nobody had before. Nothing is asked yet.
    pub fn new(objects: &'a dyn Objects, prefix: &str) -> Self {
        let key = format!("{prefix}_control/v1/probe/{:016x}", RandomState::new().hash_one(prefix));
        Probe { objects, key }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// The object is created.
    pub async fn creates(&self) -> Result<(), Failure> {
        match self.objects.create(&self.key, b"first".to_vec()).await? {
            Created::Now => Ok(()),
            Created::Before => self.halt(|key| ProbeError::NeverCreated { key }),
            Created::Unknown => self.unknown(),
        }
    }

    /// Then it is created no second time.
    pub async fn refuses(&self) -> Result<(), Failure> {
        match self.objects.create(&self.key, b"second".to_vec()).await? {
            Created::Before => Ok(()),
            Created::Now => self.halt(|key| ProbeError::CreatedTwice { key }),
            Created::Unknown => self.unknown(),
        }
    }

    /// And it is what it was first.
    pub async fn reads(&self) -> Result<(), Failure> {
        match self.objects.read(&self.key).await?.as_deref() {
            Some(b"first") => Ok(()),
            Some(_) | None => self.halt(|key| ProbeError::Changed { key }),
        }
    }

    fn halt(&self, error: impl FnOnce(String) -> ProbeError) -> Result<(), Failure> {
        Err(Failure::new(Reaction::Halt, error(self.key.clone())))
    }

    fn unknown(&self) -> Result<(), Failure> {
        Err(Failure::new(Reaction::Retry, ProbeError::Unknown { key: self.key.clone() }))
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
