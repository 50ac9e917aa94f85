//! A proxy before an S3 server, which knows where HTTP's requests begin and end: a test says of each what becomes of it
//! and what its sender hears, and can read afterwards what was asked and what the server really did.
//!
//! Promised: a request that the server gets, it gets as it was signed, and once. Each has a connection of its own to the
//! server, which ends with the answer. Never: an answer of the server's own that is changed; it is passed, cut or left out.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// It waits so long first.
    Slow(Duration),
    /// The server never hears of it; its sender hears this status.
    Refused(u16),
    /// Nor here; its sender hears 200, and an error where the answer should be.
    FalselyFine,
    /// The server takes it, and its sender hears nothing: the line ends.
    Unheard,
    /// The line ends at once, and the server takes it so much later.
    Late(Duration),
    /// The server takes it, and its sender hears 500.
    TakenAndDenied,
    /// Half of the server's answer, and the line ends.
    Half,
}

/// One request, and what the server said to it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the bucket, without parameters.
    pub(crate) path: String,
    pub(crate) is_create_only: bool,
    /// `None` while it is on its way, or if the server never got it.
    pub(crate) status: Option<u16>,
    /// How many requests there were when the server's answer came.
    pub(crate) answered_at: usize,
}

type Judge = dyn FnMut(&Asked) -> Fate + Send;

struct State {
    asked: Vec<Asked>,
    judge: Box<Judge>,
}

#[derive(Clone)]
pub(crate) struct StoreProxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl StoreProxy {
    /// Before the server at this port, for as long as the process lives.
    pub(crate) fn before(server: u16, judge: impl FnMut(&Asked) -> Fate + Send + 'static) -> StoreProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State { asked: Vec::new(), judge: Box::new(judge) }));
        let proxy = StoreProxy { port, state };
        let serving = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = serving.clone();
                // Whoever goes away in the middle is no news.
                thread::spawn(move || serving.serve(client, server));
            }
        });
        proxy
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All of them so far, in their order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut client: TcpStream, server: u16) -> io::Result<()> {
        let Some(request) = Request::read(&mut client)? else { return Ok(()) };
        let (number, fate) = {
            let mut state = self.state();
            let fate = (state.judge)(&request.asked);
            state.asked.push(request.asked.clone());
            (state.asked.len() - 1, fate)
        };
        match fate {
            Fate::Refused(status) => return answer(&mut client, status, "ServiceUnavailable"),
            Fate::FalselyFine => return answer(&mut client, 200, "InternalError"),
            Fate::Slow(wait) => thread::sleep(wait),
            Fate::Late(wait) => {
                client.shutdown(Shutdown::Both)?;
                thread::sleep(wait);
            }
            Fate::Pass | Fate::Unheard | Fate::TakenAndDenied | Fate::Half => {}
        }
        let told = request.ask(server)?;
        let mut state = self.state();
        let (status, at) = (status(&told), state.asked.len());
        (state.asked[number].status, state.asked[number].answered_at) = (status, at);
        drop(state);
        match fate {
            Fate::Unheard | Fate::Late(_) => client.shutdown(Shutdown::Both),
            Fate::TakenAndDenied => answer(&mut client, 500, "InternalError"),
            Fate::Half => client.write_all(&told[..told.len() / 2]),
            _ => client.write_all(&told),
        }
    }
}

struct Request {
    asked: Asked,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    /// `None`: the line ended without one.
    fn read(from: &mut TcpStream) -> io::Result<Option<Request>> {
        let (mut bytes, mut part) = (Vec::new(), [0; 16 << 10]);
        let head_ends = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            match from.read(&mut part)? {
                0 => return Ok(None),
                count => bytes.extend_from_slice(&part[..count]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_ends]);
        let head: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        let header = |name: &str| {
            let found = head
                .iter()
                .find_map(|line| line.split_once(':').filter(|(own, _)| own.eq_ignore_ascii_case(name)));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let len = header("content-length").map_or(0, |len| len.parse().expect("a length is a number"));
        let mut body = bytes.split_off(head_ends + 4);
        let have = body.len();
        body.resize(len, 0);
        from.read_exact(&mut body[have..])?;
        let mut words = head[0].split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let is_create_only = header("if-none-match").as_deref() == Some("*");
        Ok(Some(Request {
            asked: Asked { method, path, is_create_only, status: None, answered_at: 0 },
            head,
            body,
        }))
    }

    /// The server's whole answer, which ends with its line.
    fn ask(&self, server: u16) -> io::Result<Vec<u8>> {
        let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
        let is_own = |line: &&String| !line.to_ascii_lowercase().starts_with("connection:");
        // Not a part of any signature.
        let head: Vec<&str> = self.head.iter().filter(is_own).map(String::as_str).collect();
        to.write_all(format!("{}\r\nConnection: close\r\n\r\n", head.join("\r\n")).as_bytes())?;
        to.write_all(&self.body)?;
        let mut told = Vec::new();
        to.read_to_end(&mut told)?;
        Ok(told)
    }
}

fn status(told: &[u8]) -> Option<u16> {
    str::from_utf8(told.get(9..12)?).ok()?.parse().ok()
}

fn answer(client: &mut TcpStream, status: u16, code: &str) -> io::Result<()> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    let len = body.len();
    let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
    client.write_all(format!("{head}{body}").as_bytes())
}
