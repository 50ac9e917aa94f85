//! In front of [`Objects`].

use super::{Board, Seen};
use crate::model::Role;
use crate::port::{Created, Failure, Objects, Pending};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

struct Watched {
    inner: Rc<dyn Objects>,
    seen: Seen,
}

/// The store as `role` gets it.
pub fn watch_objects(inner: Rc<dyn Objects>, board: &Arc<Board>, role: Role) -> Rc<dyn Objects> {
    Rc::new(Watched { inner, seen: Seen { board: Arc::clone(board), role } })
}

impl Watched {
    fn call<'a, T: 'a>(
        &'a self,
        doing: &'static str,
        call: impl Future<Output = Result<T, Failure>> + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.seen.call(doing, call).await;
            self.seen.board.stored.add(doing, began.elapsed(), result.is_err());
            result
        })
    }
}

impl Objects for Watched {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created> {
        self.call("create", self.inner.create(key, body))
    }

    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        self.call("read", self.inner.read(key))
    }

    fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>> {
        self.call("tail", self.inner.read_tail(key, len))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>> {
        self.call("list", self.inner.list(prefix))
    }
}
