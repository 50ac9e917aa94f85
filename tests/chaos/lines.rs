//! The lines between clients and brokers, each of which may be cut, lose answers, or be late with the end of a
//! transaction.

use crate::servers::ports::Port;
use crate::servers::proxy::{Act, END_TXN, Gate, Request, proxy};
use crate::servers::{Kafka, Setup};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Whole,
    /// Every connection ends at its next request.
    Cut,
    /// Brokers do what they are asked, and nobody hears of it.
    Mute,
    /// Ends of transactions wait until the line is whole again: their senders have sent them again by then.
    Late,
}

/// To one broker, for all clients.
pub(crate) struct Line {
    shared: Arc<Mutex<(State, Gate)>>,
    _port: Port,
}

impl Line {
    fn new(broker: u16, port: Port) -> Line {
        let shared = Arc::new(Mutex::new((State::Whole, Gate::default())));
        let judged = Arc::clone(&shared);
        proxy(&port, broker, move |request| judge(&locked(&judged), request));
        Line { shared, _port: port }
    }

    pub(crate) fn set(&self, state: State) {
        let mut now = locked(&self.shared);
        // What was held goes its way, late.
        now.1.release();
        *now = (state, Gate::default());
    }
}

fn judge((state, gate): &(State, Gate), request: &Request<'_>) -> Act {
    match state {
        State::Cut => Act::Cut,
        State::Mute => Act::Lose,
        State::Late if request.api() == END_TXN => Act::Hold(gate.clone()),
        State::Whole | State::Late => Act::Pass,
    }
}

fn locked(shared: &Mutex<(State, Gate)>) -> MutexGuard<'_, (State, Gate)> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brokers that clients can only reach through lines of ours.
pub(crate) fn behind_lines(setup: Setup) -> (Kafka, Vec<Line>) {
    let ports: Vec<_> = setup.ports().iter().map(|_| Port::reserve()).collect();
    let numbers: Vec<_> = ports.iter().map(Port::number).collect();
    let brokers = setup.ports();
    let setup = setup.advertise(&numbers);
    let lines = brokers.into_iter().zip(ports).map(|(broker, port)| Line::new(broker, port)).collect();
    (setup.start(), lines)
}
