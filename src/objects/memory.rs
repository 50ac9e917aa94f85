//! Objects in memory: for tests, and for what is thrown away anyway.

use crate::port::{Created, Objects, Pending};
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard};

#[derive(Debug, Default)]
pub struct MemoryObjects {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryObjects {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().expect("no thread panics while it holds the objects")
    }
}

impl Objects for MemoryObjects {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created> {
        let mut objects = self.objects();
        let is_new = !objects.contains_key(key);
        if is_new {
            objects.insert(key.to_owned(), body);
        }
        Box::pin(ready(Ok(if is_new { Created::Now } else { Created::Before })))
    }

    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.objects().get(key).cloned())))
    }

    fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>> {
        let tail = self.objects().get(key).map(|body| body[body.len().saturating_sub(len)..].to_vec());
        Box::pin(ready(Ok(tail)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>> {
        let keys = self.objects().keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        Box::pin(ready(Ok(keys)))
    }
}
