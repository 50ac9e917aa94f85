//! An S3 server that keeps its promise of create-if-absent: versitygw, with one bucket, its objects kept as files.
//!
//! What differs from S3 itself: a key is a path, so `a` and `a/b` cannot both be objects (409); an unknown access key
//! is answered with 404. Addresses are in path style. The folder has to be on a file system with extended attributes.

mod program;
mod proxy;
mod request;
mod sha256;

use super::left_out::{left_out, needed};
use super::ports::Port;
use super::process::{Process, wait_until};
use super::workdir::Workdir;
pub(crate) use proxy::{Asked, Fate, StoreProxy};
pub(crate) use request::Answer;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{fs, io};

const ACCESS_KEY: &str = "thalweg-tests";
const SECRET_KEY: &str = "a-secret-of-the-tests";
const REGION: &str = "eu-central-1";
const BUCKET: &str = "lake";

const START_MAX: Duration = Duration::from_secs(60);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct S3 {
    // In this order: first the process goes, then the data.
    process: Mutex<Option<Process>>,
    program: PathBuf,
    port: Port,
    workdir: Workdir,
}

impl S3 {
    /// A server with an empty bucket, ready. `None` if the test is left out on purpose.
    #[track_caller]
    pub(crate) fn start() -> Option<S3> {
        if left_out() {
            return None;
        }
        Some(needed(Self::try_start()))
    }

    /// The one that all tests of this binary may share: none of them may kill it, and each uses a prefix of its own.
    #[track_caller]
    pub(crate) fn shared() -> Option<&'static S3> {
        static SHARED: OnceLock<S3> = OnceLock::new();
        if left_out() {
            return None;
        }
        Some(SHARED.get_or_init(|| needed(Self::try_start())))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    pub(crate) fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    pub(crate) fn region(&self) -> &'static str {
        REGION
    }

    pub(crate) fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// Its data: buckets are folders, objects are files.
    pub(crate) fn folder(&self) -> PathBuf {
        self.workdir.path().join("objects")
    }

    /// A signed request without any client, for tests of clients. `path` begins with `/` and the bucket, `headers` are
    /// in lower case.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        request::send(self.port(), method, path, headers, body)
    }

    /// SIGKILL. Objects stay.
    #[track_caller]
    pub(crate) fn kill(&self) {
        self.process(Process::kill);
    }

    /// SIGTERM. Objects stay.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.process(|process| process.stop(Duration::from_secs(5)));
    }

    /// Starts a dead server again, on its old port with its old objects.
    #[track_caller]
    pub(crate) fn restart(&self) {
        assert!(!self.is_on(), "the S3 server runs");
        needed(self.launch());
    }

    /// SIGSTOP: connections are taken and nothing is answered.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.process(Process::pause);
    }

    #[track_caller]
    pub(crate) fn resume(&self) {
        self.process(Process::resume);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.current().as_mut().is_some_and(Process::is_on)
    }

    pub(crate) fn log(&self) -> String {
        fs::read(self.log_path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn try_start() -> Result<S3, String> {
        let program = program::get()?;
        let s3 = S3 { process: Mutex::default(), program, port: Port::reserve(), workdir: Workdir::new() };
        let folder = s3.folder();
        fs::create_dir(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        s3.launch()?;
        match s3.request("PUT", &format!("/{BUCKET}"), &[], b"") {
            Ok(made) if made.status == 200 => Ok(s3),
            other => Err(format!("the bucket was not made: {other:?}\n{}", s3.log())),
        }
    }

    fn launch(&self) -> Result<(), String> {
        let address = format!("127.0.0.1:{}", self.port());
        let objects = self.folder().display().to_string();
        let arguments = [
            "--quiet",
            // Without it each request costs a connection.
            "--keep-alive",
            "-p",
            &address,
            "-a",
            ACCESS_KEY,
            "-s",
            SECRET_KEY,
            "-r",
            REGION,
            "posix",
            &objects,
        ];
        *self.current() = Some(Process::start(&self.program, arguments, &self.log_path())?);
        // Any answer to a signed request will do: before the bucket is made, there is none.
        let answers = || self.request("HEAD", &format!("/{BUCKET}"), &[], b"").is_ok();
        let is_ready = wait_until(START_MAX, || !self.is_on() || answers());
        match is_ready && self.is_on() {
            true => Ok(()),
            false => Err(format!("the S3 server did not start\n{}", self.log())),
        }
    }

    #[track_caller]
    fn process(&self, act: impl FnOnce(&mut Process)) {
        let mut current = self.current();
        let running = current.as_mut().and_then(Process::if_on);
        act(running.unwrap_or_else(|| panic!("the S3 server does not run\n{}", self.log())));
    }

    /// A test that failed with this in its hands has failed; the others can go on.
    fn current(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_path(&self) -> PathBuf {
        self.workdir.path().join("server.log")
    }
}
