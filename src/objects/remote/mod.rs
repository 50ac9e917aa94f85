//! Objects in an object store: S3 and what speaks like it; with the features `gcs` and `azure` also Google's and
//! Microsoft's, which compile and which nobody has tried yet.
//!
//! In: settings, keys, bodies. Out: what [`port::Objects`](crate::port::Objects) promises, over requests whose
//! answers get lost. A create is one PUT with `If-None-Match: *`, and is sent again only by `course`, which knows what
//! a second answer is worth. Never: an unconditional PUT, a DELETE, a multipart upload (it cannot be create-only
//! everywhere), a secret in an error.
//!
//! ```text
//! RemoteObjects ─► engine ─► store ─► the library ─► wire ─► network
//!   any thread      its own    attempts    signs,      what was
//!                   thread     (course)    encodes     really answered (─► answer)
//! ```

mod answer;
mod counts;
mod course;
mod engine;
mod identity;
mod open;
mod settings;
mod store;
mod wire;

pub use answer::RemoteError;
pub use counts::{CallCounts, StoreCounts};
pub use identity::AwsIdentity;
pub use settings::{Credentials, Encryption, StoreKind, StoreLimits, StoreSettings, StoreUrl};

use crate::model::LogTime;
use crate::port::{Created, Failure, Objects, Pending, Reaction};
use engine::Engine;
use object_store::memory::InMemory;
use std::fmt;
use std::sync::Arc;
use store::{Pages, Store};

/// The objects of one store. Clones share its thread, its connections and its counts; its futures may be polled
/// anywhere, and a future that is dropped stops its call.
#[derive(Clone)]
pub struct RemoteObjects {
    engine: Arc<Engine>,
    store: Arc<Store>,
}

impl RemoteObjects {
    /// Checks the settings and starts the thread; the store itself is first met by the first call.
    pub fn open(settings: &StoreSettings) -> Result<Self, Failure> {
        let store = open::open(settings).map_err(|error| Failure::new(Reaction::Halt, error))?;
        Self::start(store)
    }

    /// Over the library's own store in memory, which shows what is ours and what is a server's.
    pub fn in_memory(prefix: &str) -> Result<Self, Failure> {
        let memory = Arc::new(InMemory::new());
        Self::start(Store {
            objects: Arc::clone(&memory) as _,
            pages: Pages::Memory(memory),
            identity: None,
            limits: StoreLimits::default(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            name: "memory".to_owned(),
            counts: counts::Counts::default(),
        })
    }

    fn start(store: Store) -> Result<Self, Failure> {
        let engine = Engine::start().map_err(|source| {
            let source = Box::new(source);
            Failure::new(Reaction::Halt, RemoteError::Start { name: "thread", source })
        })?;
        Ok(RemoteObjects { engine: Arc::new(engine), store: Arc::new(store) })
    }

    /// When the store took an object, by its own clock, to the second. No protocol leans on it. `None`: no such object.
    pub async fn taken_at(&self, key: &str) -> Result<Option<LogTime>, Failure> {
        let (store, key) = (Arc::clone(&self.store), key.to_owned());
        self.engine.run(async move { store.taken_at(&key).await }).await
    }

    pub fn counts(&self) -> StoreCounts {
        self.store.counts.snapshot()
    }
}

impl fmt::Debug for RemoteObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteObjects").field("store", &self.store.name).finish_non_exhaustive()
    }
}

impl Objects for RemoteObjects {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created> {
        let (store, key) = (Arc::clone(&self.store), key.to_owned());
        Box::pin(self.engine.run(async move { store.create(&key, body).await }))
    }

    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        let (store, key) = (Arc::clone(&self.store), key.to_owned());
        Box::pin(self.engine.run(async move { store.read(&key).await }))
    }

    fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>> {
        let (store, key) = (Arc::clone(&self.store), key.to_owned());
        Box::pin(self.engine.run(async move { store.read_tail(&key, len).await }))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>> {
        let (store, prefix) = (Arc::clone(&self.store), prefix.to_owned());
        Box::pin(self.engine.run(async move { store.list(&prefix).await }))
    }
}
