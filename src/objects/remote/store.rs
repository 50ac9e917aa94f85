//! The four calls, each over as many attempts as its limits allow.

use super::answer::{Kind, Trouble, judge, judge_credentials};
use super::counts::{Calls, Counts};
use super::course::Course;
use super::settings::StoreLimits;
use crate::model::LogTime;
use crate::objects::{Error, check};
use crate::port::{Created, Failure, Reaction};
use object_store::aws::AwsCredentialProvider;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, PutMode, PutPayload};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A body that comes slower than this is given up.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// The longest key that the stores take, with what stands before it.
const KEY_BYTES_MAX: usize = 1024;

pub(super) struct Store {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) pages: Pages,
    /// Asked before each attempt, so that a lack of credentials is not taken for an answer of the store.
    pub(super) identity: Option<AwsCredentialProvider>,
    pub(super) limits: StoreLimits,
    /// Empty, or with a `/` at its end.
    pub(super) prefix: String,
    /// For errors.
    pub(super) name: String,
    pub(super) counts: Counts,
}

/// How keys are listed: the library's store in memory has no pages.
pub(super) enum Pages {
    Remote(Arc<dyn PaginatedListStore>),
    Memory(Arc<InMemory>),
}

impl Store {
    pub(super) async fn create(&self, key: &str, body: Vec<u8>) -> Result<Created, Failure> {
        let path = self.path(key)?;
        let (body, calls) = (PutPayload::from(body), &self.counts.create);
        calls.call();
        let (mut course, mut pace) = (Course::default(), Pace::new(self.limits));
        let outcome = loop {
            let answer = self.attempt(calls, self.create_once(&path, body.clone())).await;
            match course.tell(answer) {
                ControlFlow::Break(outcome) => break outcome,
                ControlFlow::Continue(trouble) if !pace.again().await => break course.give_up(trouble),
                ControlFlow::Continue(_) => {}
            }
        };
        self.told(calls, "create", key, outcome)
    }

    pub(super) async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let (path, calls) = (self.path(key)?, &self.counts.read);
        calls.call();
        let read = self.repeat(calls, || self.read_once(&path, None)).await;
        self.told(calls, "read", key, or_missing(read))
    }

    pub(super) async fn read_tail(&self, key: &str, len: usize) -> Result<Option<Vec<u8>>, Failure> {
        let (path, calls) = (self.path(key)?, &self.counts.tail);
        calls.call();
        // There is no range of no bytes.
        let suffix = len.max(1) as u64;
        let tail = match self.repeat(calls, || self.tail_once(&path, suffix)).await {
            Err(trouble) if trouble.kind == Kind::NoRange => Ok(Vec::new()),
            Ok(_) if len == 0 => Ok(Vec::new()),
            tail => tail,
        };
        self.told(calls, "read the end of", key, or_missing(tail))
    }

    pub(super) async fn taken_at(&self, key: &str) -> Result<Option<LogTime>, Failure> {
        let (path, calls) = (self.path(key)?, &self.counts.read);
        calls.call();
        let asked = self.repeat(calls, || self.head_once(&path)).await;
        self.told(calls, "look at", key, or_missing(asked))
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        if let Some((directory, _)) = prefix.rsplit_once('/') {
            self.path(directory)?;
        }
        let calls = &self.counts.list;
        calls.call();
        let listed = self.list_pages(calls, prefix).await;
        self.told(calls, "list", prefix, listed)
    }

    async fn list_pages(&self, calls: &Calls, prefix: &str) -> Result<Vec<String>, Trouble> {
        let whole = format!("{}{prefix}", self.prefix);
        let (mut keys, mut token) = (Vec::new(), None);
        loop {
            let (found, next) = self.repeat(calls, || self.page_once(&whole, token.clone())).await?;
            // Without the marks that some tools leave for directories: the library cuts their last `/` off.
            let found = found.into_iter().filter(|path| path.as_ref().starts_with(&whole));
            keys.extend(found.map(|path| path.as_ref()[self.prefix.len()..].to_owned()));
            match next {
                Some(_) => token = next,
                None => break,
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    async fn create_once(&self, path: &Path, body: PutPayload) -> Result<(), Trouble> {
        self.identify().await?;
        let len = body.content_length() as u64;
        self.within(len, self.objects.put_opts(path, body, PutMode::Create.into())).await.map(|_| ())
    }

    async fn read_once(&self, path: &Path, range: Option<GetRange>) -> Result<Vec<u8>, Trouble> {
        self.identify().await?;
        let options = GetOptions { range, ..GetOptions::default() };
        let got = self.within(0, self.objects.get_opts(path, options)).await?;
        let len = got.range.end - got.range.start;
        let body = self.within(len, got.bytes()).await?;
        if body.len() as u64 != len {
            return Err(Trouble::new(Kind::Doubtful, format!("{} bytes of {len} came", body.len()), ""));
        }
        Ok(body.into())
    }

    async fn head_once(&self, path: &Path) -> Result<LogTime, Trouble> {
        self.identify().await?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.within(0, self.objects.get_opts(path, options)).await?;
        Ok(LogTime(found.meta.last_modified.timestamp_micros()))
    }

    #[cfg(not(feature = "azure"))]
    async fn tail_once(&self, path: &Path, suffix: u64) -> Result<Vec<u8>, Trouble> {
        self.read_once(path, Some(GetRange::Suffix(suffix))).await
    }

    /// Azure knows no range from the end, so there it takes two requests.
    #[cfg(feature = "azure")]
    async fn tail_once(&self, path: &Path, suffix: u64) -> Result<Vec<u8>, Trouble> {
        if !self.name.starts_with("az://") {
            return self.read_once(path, Some(GetRange::Suffix(suffix))).await;
        }
        let options = GetOptions { head: true, ..GetOptions::default() };
        let size = self.within(0, self.objects.get_opts(path, options)).await?.meta.size;
        if size == 0 {
            return Ok(Vec::new());
        }
        self.read_once(path, Some(GetRange::Bounded(size.saturating_sub(suffix)..size))).await
    }

    async fn page_once(
        &self,
        prefix: &str,
        page_token: Option<String>,
    ) -> Result<(Vec<Path>, Option<String>), Trouble> {
        self.identify().await?;
        match &self.pages {
            Pages::Remote(pages) => {
                let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
                let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
                let page = self.within(0, pages.list_paginated(prefix, options)).await?;
                let found = page.result.objects.into_iter().map(|object| object.location);
                Ok((found.collect(), page.page_token))
            }
            Pages::Memory(memory) => Ok((self.walk(memory).await?, None)),
        }
    }

    async fn walk(&self, memory: &InMemory) -> Result<Vec<Path>, Trouble> {
        let (mut found, mut open) = (Vec::new(), vec![Path::default()]);
        while let Some(directory) = open.pop() {
            let listed = self.within(0, memory.list_with_delimiter(Some(&directory))).await?;
            found.extend(listed.objects.into_iter().map(|object| object.location));
            open.extend(listed.common_prefixes);
        }
        Ok(found)
    }

    async fn identify(&self) -> Result<(), Trouble> {
        let Some(identity) = &self.identity else { return Ok(()) };
        match timeout(self.limits.request, identity.get_credential()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge_credentials(&error)),
            Err(_) => {
                let silence = Trouble::silence(self.limits.request);
                Err(Trouble::new(Kind::Unsent, format!("no credentials: {}", silence.why), ""))
            }
        }
    }

    /// Waits for an answer with a body of `len` bytes on its way there or back.
    async fn within<T>(
        &self,
        len: u64,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Trouble> {
        let limit = self.limits.request + Duration::from_secs(len / BYTES_PER_SECOND_MIN);
        match timeout(limit, asked).await {
            Ok(answer) => answer.map_err(|error| judge(&error)),
            Err(_) => Err(Trouble::silence(limit)),
        }
    }

    async fn attempt<T>(
        &self,
        calls: &Calls,
        once: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        calls.attempt();
        once.await.inspect_err(|trouble| calls.trouble(trouble.kind))
    }

    /// For what may be asked again freely.
    async fn repeat<T, F>(&self, calls: &Calls, mut once: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut pace = Pace::new(self.limits);
        loop {
            match self.attempt(calls, once()).await {
                Err(trouble) if trouble.is_passing() && pace.again().await => {}
                answer => return answer,
            }
        }
    }

    fn told<T>(
        &self,
        calls: &Calls,
        doing: &'static str,
        key: &str,
        outcome: Result<T, Trouble>,
    ) -> Result<T, Failure> {
        outcome.map_err(|trouble| {
            calls.error();
            trouble.failure(doing, key, &self.name)
        })
    }

    fn path(&self, key: &str) -> Result<Path, Failure> {
        let refuse = |why| Failure::new(Reaction::Halt, Error::Key { key: key.to_owned(), why });
        check(key).map_err(refuse)?;
        let whole = format!("{}{key}", self.prefix);
        if whole.len() > KEY_BYTES_MAX {
            return Err(refuse("with the store's prefix it is longer than 1,024 bytes"));
        }
        Path::parse(whole).map_err(|_| refuse("it holds a control character"))
    }
}

fn or_missing<T>(read: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match read {
        Err(trouble) if trouble.kind == Kind::Missing => Ok(None),
        read => read.map(Some),
    }
}

/// The pauses between attempts, and their end.
struct Pace {
    limits: StoreLimits,
    begun: Instant,
    attempts: u32,
    pause: Duration,
}

impl Pace {
    fn new(limits: StoreLimits) -> Self {
        Pace { limits, begun: Instant::now(), attempts: 1, pause: limits.backoff.0 }
    }

    /// Pauses before one more attempt. `false`: there is none left.
    async fn again(&mut self) -> bool {
        // Between half and all of it, so that many workers do not come back at once.
        let half = self.pause.as_millis().min(u128::from(u64::MAX)) as u64 / 2;
        let pause = Duration::from_millis(half + RandomState::new().hash_one(self.attempts) % (half + 1));
        if self.attempts >= self.limits.attempts || self.begun.elapsed() + pause > self.limits.call {
            return false;
        }
        self.attempts += 1;
        self.pause = (self.pause * 2).min(self.limits.backoff.1);
        sleep(pause).await;
        true
    }
}
