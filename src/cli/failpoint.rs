//! `THALWEG_FAILPOINT=LakePlanned:2:kill`: this process ends, or stops, when it reaches a place for the second time.
//!
//! For tests alone, so it is in no release: see [`failpoint`]. The end is SIGKILL from within, at that very
//! instruction, and `stop` is SIGSTOP: the process is a zombie until somebody sends SIGCONT.

use super::exit::Exit;
use super::{Weight, say_as};
use crate::model::failpoint::{self, Failpoint};
use signal_hook::consts::signal::{SIGKILL, SIGSTOP};
use signal_hook::low_level::raise;
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "THALWEG_FAILPOINT";

/// Does nothing unless the variable is set.
pub(super) fn arm() -> Result<(), Exit> {
    let Ok(text) = env::var(VARIABLE) else { return Ok(()) };
    let (place, nth, signal) = parse(&text).ok_or_else(|| {
        let names = Failpoint::ALL.map(|point| format!("{point:?}")).join(", ");
        Exit::usage(format_args!(
            "{VARIABLE} is `{text}`, and not PLACE:NTH:kill|stop with a place of {names}"
        ))
    })?;
    let hits = AtomicU64::new(0);
    failpoint::arm(move |at| {
        if at == place && hits.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            say_as(Weight::Warn, format_args!("failpoint reached: {text}"));
            // Nobody can refuse either signal.
            let _ = raise(signal);
        }
    });
    Ok(())
}

fn parse(text: &str) -> Option<(Failpoint, u64, i32)> {
    let mut parts = text.split(':');
    let place = Failpoint::named(parts.next()?)?;
    let nth = parts.next()?.parse().ok().filter(|&nth| nth > 0)?;
    let signal = match parts.next()? {
        "kill" => SIGKILL,
        "stop" => SIGSTOP,
        _ => return None,
    };
    parts.next().is_none().then_some((place, nth, signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_a_number_and_an_act_are_understood_and_nothing_else() {
        let fine = Some((Failpoint::LakePlanned, 2, SIGKILL));
        assert_eq!(parse("LakePlanned:2:kill"), fine);
        let wrong = [
            "",
            "LakePlanned",
            "LakePlanned:2",
            "LakePlanned:0:kill",
            "Nowhere:1:kill",
            "LakePlanned:1:kill:1",
        ];
        assert!(wrong.into_iter().all(|text| parse(text).is_none()));
    }
}
