//! How a verb ends badly: one exit code and one sentence.

use std::fmt;
use std::io;

/// A bad end. Verbs return it, `cli::main` prints the message and exits with the code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: u8,
    /// For people, on standard error. Empty: all was said already.
    pub(super) message: String,
}

impl Exit {
    const FAILED: u8 = 1;
    const USAGE: u8 = 2;
    const CASES: u8 = 3;
    const DRIFT: u8 = 4;
    const AWAY: u8 = 75;
    const INVALID: u8 = 78;

    fn new(code: u8, message: impl fmt::Display) -> Self {
        Exit { code, message: message.to_string() }
    }

    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Exit::new(Exit::FAILED, message)
    }

    /// Asked for something that cannot be asked for.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Exit::new(Exit::USAGE, message)
    }

    /// A case of the user's `cases.yaml` does not hold.
    pub(super) fn cases(message: impl fmt::Display) -> Self {
        Exit::new(Exit::CASES, message)
    }

    /// What stands there is not what the events say.
    pub(super) fn drift(message: impl fmt::Display) -> Self {
        Exit::new(Exit::DRIFT, message)
    }

    /// A dependency is away or a directory is locked: the same command may work later.
    pub(super) fn away(message: impl fmt::Display) -> Self {
        Exit::new(Exit::AWAY, message)
    }

    /// A file is not what it must be.
    pub(super) fn invalid(message: impl fmt::Display) -> Self {
        Exit::new(Exit::INVALID, message)
    }

    /// Stopped by a signal, as shells count it.
    pub(super) fn signal(signal: i32) -> Self {
        Exit { code: u8::try_from(128 + signal).unwrap_or(u8::MAX), message: String::new() }
    }
}

/// Standard output could not be written. Files have sentences of their own, with their path.
impl From<io::Error> for Exit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read us has seen enough (`thalweg metrics … | head`): a normal end.
            io::ErrorKind::BrokenPipe => Exit { code: 0, message: String::new() },
            _ => Exit::failed(format_args!("cannot write standard output: {error}")),
        }
    }
}
