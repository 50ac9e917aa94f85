//! A proxy before one broker, which knows where Kafka's requests begin and end: a test may refuse one of them, hold it
//! back and let it go much later, when its sender has long given up, lose its answer, or cut the line before or behind it.
//! The broker advertises the proxy's port.
//!
//! Promised: whatever is not judged passes unchanged and in order. Held: everything behind it on the same connection
//! waits with it, as on a slow line.

use super::ports::Port;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const OFFSET_COMMIT: i16 = 8;
pub(crate) const FIND_COORDINATOR: i16 = 10;
pub(crate) const END_TXN: i16 = 26;
pub(crate) const TXN_OFFSET_COMMIT: i16 = 28;
pub(crate) const INIT_PRODUCER_ID: i16 = 22;
pub(crate) const SASL_AUTHENTICATE: i16 = 36;

const INVALID_REQUIRED_ACKS: i16 = 21;
pub(crate) const NOT_ENOUGH_REPLICAS: i16 = 19;

/// What becomes of one request.
pub(crate) enum Act {
    Pass,
    /// This passes instead; the answer is as the broker gives it.
    Instead(Vec<u8>),
    /// Waits, and all behind it, until the gate opens; the answer can be had from the gate.
    Hold(Gate),
    /// Of a produce request: the same, and then it is answered with this error, and nothing of it is written. What is
    /// behind it passes.
    Refuse(Gate, i16),
    /// The line ends before it.
    Cut,
    /// The broker takes it, and the line ends in place of its answer.
    CutBehind,
    /// The broker takes it, and its answer is lost. What comes behind it is answered.
    Lose,
}

type Judge = dyn Fn(&Request<'_>) -> Act + Send + Sync;

/// A request as it stands on the line, without its length.
pub(crate) struct Request<'a> {
    body: &'a [u8],
    /// Counted from one.
    connection: u64,
}

/// Opened once, from anywhere.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_open: bool,
    answer: Option<Vec<u8>>,
}

impl Gate {
    pub(crate) fn open_after(wait: Duration) -> Gate {
        let gate = Gate::default();
        let opened = gate.clone();
        thread::spawn(move || {
            thread::sleep(wait);
            opened.release();
        });
        gate
    }

    pub(crate) fn release(&self) {
        self.state().is_open = true;
        self.0.1.notify_all();
    }

    /// The error of the answer to the end of a transaction that was held, once the broker has given it.
    pub(crate) fn error(&self, patience: Duration) -> Option<i16> {
        let state = self.state();
        let waited = self.0.1.wait_timeout_while(state, patience, |state| state.answer.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let answer = state.answer.as_ref()?;
        // Before the error stands how long to wait.
        Some(i16::from_be_bytes([answer[4], answer[5]]))
    }

    pub(crate) fn wait(&self, patience: Duration) {
        let state = self.state();
        drop(self.0.1.wait_timeout_while(state, patience, |state| !state.is_open));
    }

    /// Whether the broker has answered to what was held.
    pub(crate) fn is_answered(&self) -> bool {
        self.state().answer.is_some()
    }

    fn answer(&self, answer: &[u8]) {
        self.state().answer = Some(answer.to_vec());
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request<'_> {
    pub(crate) fn api(&self) -> i16 {
        i16::from_be_bytes([self.body[0], self.body[1]])
    }

    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    fn number(&self) -> [u8; 4] {
        self.body[4..8].try_into().expect("four bytes")
    }

    /// Behind the header, whose newer form ends with tags.
    fn fields(&self) -> usize {
        let client = i16::from_be_bytes([self.body[8], self.body[9]]).max(0) as usize;
        10 + client + usize::from(self.is_flexible())
    }

    fn is_flexible(&self) -> bool {
        let version = i16::from_be_bytes([self.body[2], self.body[3]]);
        match self.api() {
            PRODUCE => version >= 9,
            OFFSET_COMMIT => version >= 8,
            TXN_OFFSET_COMMIT => version >= 3,
            END_TXN => version >= 3,
            SASL_AUTHENTICATE => version >= 2,
            api => panic!("nobody has asked for the fields of {api}"),
        }
    }

    /// Behind a text, which may be none; and whether there is one.
    fn behind_text(&self, mut at: usize) -> (usize, bool) {
        if self.is_flexible() {
            let length = number(self.body, &mut at);
            return (at + length.saturating_sub(1), length > 1);
        }
        let length = i16::from_be_bytes([self.body[at], self.body[at + 1]]).max(0) as usize;
        (at + 2 + length, length > 0)
    }

    /// Of a produce request: where `acks` stands, behind the transactional id.
    fn acks(&self) -> usize {
        self.behind_text(self.fields()).0
    }

    /// Of a produce request: the one topic and partition that librdkafka sends at a time.
    pub(crate) fn place(&self) -> (String, i32) {
        assert!(self.is_flexible(), "an older request than any client here makes");
        let mut at = self.acks() + 6;
        assert_eq!(number(self.body, &mut at), 2, "one topic");
        let length = number(self.body, &mut at) - 1;
        let name = String::from_utf8_lossy(&self.body[at..at + length]).into_owned();
        at += length;
        assert_eq!(number(self.body, &mut at), 2, "one partition");
        (name, i32::from_be_bytes(self.body[at..at + 4].try_into().expect("four bytes")))
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.behind_text(self.fields()).1
    }

    /// Of a request to end a transaction: whether to commit it.
    pub(crate) fn commits(&self) -> bool {
        // The producer's id and epoch stand between.
        self.body[self.behind_text(self.fields()).0 + 10] != 0
    }

    /// Of a plain offset commit: whose.
    pub(crate) fn group(&self) -> String {
        let (at, end) = (self.fields(), self.behind_text(self.fields()).0);
        let prefix = if self.is_flexible() { 1 } else { 2 };
        String::from_utf8_lossy(&self.body[at + prefix..end]).into_owned()
    }

    /// Of the end of a transaction, or of its offsets: the producer's epoch, behind its id.
    pub(crate) fn epoch(&self) -> i16 {
        let mut at = self.behind_text(self.fields()).0;
        if self.api() == TXN_OFFSET_COMMIT {
            at = self.behind_text(at).0;
        }
        i16::from_be_bytes([self.body[at + 8], self.body[at + 9]])
    }

    /// Of a request to sign in: what the mechanism says.
    pub(crate) fn proof(&self) -> &str {
        assert!(!self.is_flexible(), "a newer request than any client here makes");
        // Its length stands before it.
        std::str::from_utf8(&self.body[self.fields() + 4..]).expect("tokens are text")
    }

    /// The same with another proof.
    pub(crate) fn proving(&self, proof: &str) -> Vec<u8> {
        let length = (proof.len() as u32).to_be_bytes();
        [&self.body[..self.fields()], &length, proof.as_bytes()].concat()
    }

    /// Brokers refuse two acknowledgements at once, whatever else is in the request.
    fn refusable(&self) -> Vec<u8> {
        let (mut body, at) = (self.body.to_vec(), self.acks());
        body[at..at + 2].copy_from_slice(&2i16.to_be_bytes());
        body
    }
}

/// A number of variable length.
fn number(bytes: &[u8], at: &mut usize) -> usize {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at] as usize;
        *at += 1;
        number |= (byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return number;
        }
    }
}

/// Puts another error into the answer to a produce request that was refused.
fn refused(answer: &mut [u8], error: i16) {
    let mut at = 5;
    assert_eq!(number(answer, &mut at), 2, "one topic");
    let length = number(answer, &mut at) - 1;
    at += length;
    assert_eq!(number(answer, &mut at), 2, "one partition");
    let error_at = at + 4..at + 6;
    assert_eq!(answer[error_at.clone()], INVALID_REQUIRED_ACKS.to_be_bytes());
    answer[error_at].copy_from_slice(&error.to_be_bytes());
}

/// Listens on the port and speaks to the broker, for as long as the process lives.
pub(crate) fn proxy(port: &Port, broker: u16, judge: impl Fn(&Request<'_>) -> Act + Send + Sync + 'static) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).expect("the port is ours");
    let judge: Arc<Judge> = Arc::new(judge);
    thread::spawn(move || {
        for (client, connection) in listener.incoming().flatten().zip(1..) {
            let judge = Arc::clone(&judge);
            // A broker that is away is a connection that ends.
            thread::spawn(move || serve(client, connection, broker, &*judge));
        }
    });
}

/// What to do with answers, by the number of their request.
#[derive(Clone, Default)]
struct Expected(Arc<Mutex<HashMap<[u8; 4], Answer>>>);

enum Answer {
    /// Without the header, which is so long.
    Tell(Gate, usize),
    Refuse(i16),
    Cut,
    Lose,
}

impl Expected {
    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 4], Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(600);

fn serve(mut client: TcpStream, connection: u64, broker: u16, judge: &Judge) -> io::Result<()> {
    let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, broker))?;
    client.set_nodelay(true)?;
    to.set_nodelay(true)?;
    let expected = Expected::default();
    let (from, back, answers) = (to.try_clone()?, client.try_clone()?, expected.clone());
    thread::spawn(move || answer(from, back, &answers));
    while let Ok(body) = read(&mut client) {
        let request = Request { body: &body, connection };
        match judge(&request) {
            Act::Pass => write(&mut to, &body)?,
            Act::Cut => {
                client.shutdown(Shutdown::Both)?;
                break;
            }
            Act::CutBehind => {
                expected.all().insert(request.number(), Answer::Cut);
                write(&mut to, &body)?;
            }
            Act::Lose => {
                expected.all().insert(request.number(), Answer::Lose);
                write(&mut to, &body)?;
            }
            Act::Instead(other) => write(&mut to, &other)?,
            Act::Hold(gate) => {
                gate.wait(FOREVER);
                let body_at = if request.api() == END_TXN && request.is_flexible() { 5 } else { 4 };
                expected.all().insert(request.number(), Answer::Tell(gate, body_at));
                write(&mut to, &body)?;
            }
            Act::Refuse(gate, error) => {
                gate.wait(FOREVER);
                expected.all().insert(request.number(), Answer::Refuse(error));
                write(&mut to, &request.refusable())?;
            }
        }
    }
    // What was passed is still answered, and then the broker's end closes.
    to.shutdown(Shutdown::Write)
}

fn answer(mut from: TcpStream, mut client: TcpStream, expected: &Expected) {
    while let Ok(mut body) = read(&mut from) {
        match expected.all().remove(&body[..4]) {
            None => {}
            Some(Answer::Tell(gate, at)) => gate.answer(&body[at..]),
            Some(Answer::Refuse(error)) => refused(&mut body, error),
            Some(Answer::Cut) => break,
            Some(Answer::Lose) => continue,
        }
        if write(&mut client, &body).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn read(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn write(to: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let frame = [&(body.len() as u32).to_be_bytes()[..], body].concat();
    to.write_all(&frame)
}
