//! A small S3 server that does what it is told: applies a request or not, and answers truly, wrongly or not at all.
//!
//! One thread for each connection, one request on each. A request takes the next [`Fault`] of the script, and is
//! served faithfully when the script is at its end.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What stands in the errors that must never be repeated: S3 answers a refused signature with what was signed.
pub(crate) const CANARY: &str = "hunter2-session-token";

#[derive(Clone, Copy)]
pub(crate) enum Applied {
    Never,
    AtOnce,
    /// When the client has long given up.
    Late,
    /// Somebody else's body, just before ours would have been.
    Others,
}

#[derive(Clone, Copy)]
pub(crate) enum Answer {
    True,
    /// The connection ends without one.
    None,
    /// The connection stays open without one.
    Silence,
    /// A status with a code.
    Status(u16, &'static str),
    /// The headers of the true one, and half of its body.
    Half,
}

#[derive(Clone, Copy)]
pub(crate) struct Fault(pub(crate) Applied, pub(crate) Answer);

pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    pub(crate) script: VecDeque<Fault>,
    pub(crate) asked: Vec<Asked>,
    /// Creates that came late and were refused.
    pub(crate) refused_late: u32,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

const SILENCE: Duration = Duration::from_millis(800);

impl Server {
    pub(crate) fn start(script: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(Mutex::new(State { script: script.iter().copied().collect(), ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that went away is no news.
                thread::spawn(move || serve(connection, &shared).ok());
            }
        });
        Server { address, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How often it was asked. Nothing may ever be deleted, or put without the condition.
    pub(crate) fn requests(&self) -> usize {
        let state = self.state();
        for asked in &state.asked {
            let is_put = asked.method == "PUT";
            let condition = asked.headers.get("if-none-match").map(String::as_str);
            assert!(
                asked.method == "GET" || (is_put && condition == Some("*")),
                "{} {}",
                asked.method,
                asked.target
            );
        }
        state.asked.len()
    }
}

fn serve(connection: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let Some((asked, body)) = read_request(&mut reader)? else { return Ok(()) };
    let (method, target) = (asked.method.clone(), asked.target.clone());
    let range = asked.headers.get("range").cloned();
    let fault = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked);
        state.script.pop_front().unwrap_or(Fault(Applied::AtOnce, Answer::True))
    };
    let told = match (method.as_str(), fault.0) {
        ("PUT", Applied::AtOnce) => create(state, &target, body),
        ("PUT", Applied::Others) => {
            create(state, &target, b"another's".to_vec());
            create(state, &target, body)
        }
        ("PUT", Applied::Late) => {
            thread::sleep(SILENCE);
            if create(state, &target, body).0 == 412 {
                state.lock().unwrap().refused_late += 1;
            }
            return Ok(());
        }
        ("PUT", Applied::Never) => (500, String::new(), error("NeverApplied").into_bytes()),
        _ => read(state, &target, range.as_deref()),
    };
    answer(connection, fault.1, told)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<(Asked, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let len = headers.get("content-length").map_or(0, |len: &String| len.parse().unwrap());
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some((Asked { method, target, headers }, body)))
}

type Told = (u16, String, Vec<u8>);

fn create(state: &Mutex<State>, target: &str, body: Vec<u8>) -> Told {
    let objects = &mut state.lock().unwrap().objects;
    if objects.contains_key(target) {
        return (412, String::new(), error("PreconditionFailed").into_bytes());
    }
    objects.insert(target.to_owned(), body);
    (200, "ETag: \"x\"\r\n".to_owned(), Vec::new())
}

fn read(state: &Mutex<State>, target: &str, range: Option<&str>) -> Told {
    let Some(body) = state.lock().unwrap().objects.get(target).cloned() else {
        return (404, String::new(), error("NoSuchKey").into_bytes());
    };
    let Some(range) = range else { return (200, String::new(), body) };
    let suffix: usize = range.strip_prefix("bytes=-").unwrap().parse().unwrap();
    if body.is_empty() {
        return (416, String::new(), error("InvalidRange").into_bytes());
    }
    let from = body.len().saturating_sub(suffix);
    let header = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
    (206, header, body[from..].to_vec())
}

fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><StringToSign>{CANARY}</StringToSign></Error>")
}

fn answer(mut connection: TcpStream, answer: Answer, told: Told) -> std::io::Result<()> {
    let (status, header, body) = match answer {
        Answer::None => return Ok(()),
        Answer::Silence => {
            thread::sleep(SILENCE);
            return Ok(());
        }
        Answer::Status(200, code) => (200, "ETag: \"x\"\r\n".to_owned(), error(code).into_bytes()),
        Answer::Status(status, code) => (status, String::new(), error(code).into_bytes()),
        Answer::True | Answer::Half => told,
    };
    let len = body.len();
    let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {len}\r\n{header}\r\n");
    connection.write_all(head.as_bytes())?;
    let until = if matches!(answer, Answer::Half) { len / 2 } else { len };
    connection.write_all(&body[..until])?;
    connection.flush()
}
