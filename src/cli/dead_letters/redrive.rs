//! `dead-letters redrive TOPOLOGY`: which letters would be sent again and what would become of them; and sending them.

use super::judge::{Fate, Judge};
use crate::cli::args::{Output, Redrive as Arguments};
use crate::cli::exit::Exit;
use crate::cli::progress::grouped;
use crate::cli::river::block_on;
use crate::cli::{files, say, topic, when};
use crate::model::{Coordinate, LogTime, Rejection};
use crate::port::{Failure, Reader};
use crate::topology::Topology;
use crate::worker::redrive::{Letter, Letters, Redrive, read};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const SAY_EVERY: Duration = Duration::from_secs(2);
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// Of those that are not counted: how many are named in a text.
const NAMED: usize = 20;

pub(super) fn redrive(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Exit> {
    let wanted = Wanted::of(arguments)?;
    let topology = files::load(&arguments.topology)?;
    if arguments.apply {
        return apply(arguments, &wanted, topology, out);
    }
    let mut reader = arguments.place.open_to_read(&topology)?.reader;
    let letters = block_on(read(&mut *reader)).map_err(topic::failed)?;
    let plan = wanted.plan(&topology, &mut *reader, &letters)?;
    plan.tell(arguments.output, None, out)?;
    match plan.chosen.len() {
        0 => Ok(()),
        _ => Err(Exit::drift("nothing was done; --apply does it")),
    }
}

fn apply(
    arguments: &Arguments,
    wanted: &Wanted,
    topology: Topology,
    out: &mut dyn Write,
) -> Result<(), Exit> {
    let context = arguments.place.open_to_redrive(topology.clone())?;
    let mut redrive = block_on(Redrive::begin(&*context.log, &*context.clock)).map_err(broken)?;
    let plan = wanted.plan(&topology, &mut *context.log.reader(), redrive.letters())?;
    let mut progress = Progress::of(plan.chosen.len());
    let sent = block_on(redrive.send(&plan.chosen, arguments.rate, &mut |more| progress.add(more)));
    plan.tell(arguments.output, Some(sent.map_err(broken)?), out)
}

fn broken(failure: Failure) -> Exit {
    let exit = topic::failed(failure);
    let message = format!(
        "{}; run it again, and only one at a time: what was sent is marked, and is not sent twice",
        exit.message
    );
    Exit { message, ..exit }
}

/// Which letters, and what may become of them.
struct Wanted {
    reasons: Vec<String>,
    tenants: Vec<String>,
    coordinates: Vec<Coordinate>,
    from: Option<LogTime>,
    to: Option<LogTime>,
    late: bool,
    refused: bool,
}

impl Wanted {
    fn of(arguments: &Arguments) -> Result<Wanted, Exit> {
        for reason in &arguments.reasons {
            let mut known = Rejection::ALL.iter().map(|one| one.as_str());
            if !known.any(|known| known == reason) {
                let all: Vec<_> = Rejection::ALL.iter().map(|one| one.as_str()).collect();
                return Err(Exit::usage(format_args!(
                    "there is no reason `{reason}`: there is {}",
                    all.join(", ")
                )));
            }
        }
        let place = |text: &String| {
            text.parse()
                .map_err(|()| Exit::usage(format_args!("`{text}` is no coordinate as `ls` prints it")))
        };
        let time = |text: &Option<String>| text.as_deref().map(when::instant).transpose();
        Ok(Wanted {
            reasons: arguments.reasons.clone(),
            tenants: arguments.tenants.clone(),
            coordinates: arguments.coordinates.iter().map(place).collect::<Result<_, _>>()?,
            from: time(&arguments.from)?,
            to: time(&arguments.to)?,
            late: arguments.late,
            refused: arguments.refused,
        })
    }

    /// As far as its headers say.
    fn takes(&self, letter: &Letter) -> bool {
        let time = when::instant(&letter.header("thalweg.record_time")).ok();
        let reason = letter.header("thalweg.reason");
        (self.reasons.is_empty() || self.reasons.contains(&reason))
            && (self.coordinates.is_empty()
                || letter.place().is_some_and(|place| self.coordinates.contains(&place)))
            && self.from.is_none_or(|from| time.is_some_and(|time| from <= time))
            && self.to.is_none_or(|to| time.is_some_and(|time| time < to))
    }

    /// Whether that may become of it without another word.
    fn allows(&self, fate: &Fate) -> bool {
        match fate {
            Fate::Counted => true,
            Fate::Late(_) | Fate::Future => self.late,
            Fate::Refused(_) => self.refused,
            Fate::NotWhole(_) => false,
        }
    }

    fn plan(&self, topology: &Topology, reader: &mut dyn Reader, letters: &Letters) -> Result<Plan, Exit> {
        let mut judge = Judge::new(topology, reader)?;
        let mut plan = Plan { letters: letters.all.len(), ..Plan::default() };
        for (place, letter) in letters.all.iter().enumerate().filter(|(_, letter)| self.takes(letter)) {
            let verdict = judge.judge(letter)?;
            let is_theirs = verdict.tenant.as_ref().is_some_and(|tenant| self.tenants.contains(tenant));
            if !self.tenants.is_empty() && !is_theirs {
                continue;
            }
            if letters.redriven.contains(&letter.coordinate) {
                plan.redriven += 1;
                continue;
            }
            let is_chosen = self.allows(&verdict.fate);
            if is_chosen {
                plan.chosen.push(place);
            }
            plan.lines.push(Line {
                coordinate: letter.coordinate.clone(),
                reason: letter.header("thalweg.reason"),
                tenant: verdict.tenant,
                fate: verdict.fate,
                is_chosen,
            });
        }
        Ok(plan)
    }
}

/// What is to be done, or was.
#[derive(Default)]
struct Plan {
    /// In all, whether they are wanted or not.
    letters: usize,
    /// Wanted, but sent again before.
    redriven: usize,
    lines: Vec<Line>,
    /// Places in the list of letters.
    chosen: Vec<usize>,
}

struct Line {
    coordinate: String,
    reason: String,
    tenant: Option<String>,
    fate: Fate,
    is_chosen: bool,
}

/// In the order in which they are told: word, what it means, what would send it all the same.
const FATES: [(&str, &str, &str); 5] = [
    ("counted", "counted, or recognised as a repeat", ""),
    ("late", "late: set aside where their windows are closed", "--late"),
    ("future", "of the future: set aside", "--late"),
    ("refused", "refused again by this topology", "--refused"),
    ("not_whole", "not whole: they cannot be sent from here", ""),
];

impl Fate {
    fn number(&self) -> usize {
        match self {
            Fate::Counted => 0,
            Fate::Late(_) => 1,
            Fate::Future => 2,
            Fate::Refused(_) => 3,
            Fate::NotWhole(_) => 4,
        }
    }

    fn detail(&self) -> &str {
        match self {
            Fate::Counted | Fate::Future => "",
            Fate::Late(what) | Fate::Refused(what) | Fate::NotWhole(what) => what,
        }
    }
}

impl Plan {
    /// `done`: how many were sent; `None` before anything is.
    fn tell(&self, output: Output, done: Option<usize>, out: &mut dyn Write) -> Result<(), Exit> {
        match output {
            Output::Text => self.print(done, out)?,
            Output::Json => writeln!(out, "{}", self.json(done))?,
        }
        Ok(())
    }

    fn print(&self, done: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let wanted = self.lines.len() + self.redriven;
        writeln!(out, "{} of {} letters", grouped(wanted as u64), grouped(self.letters as u64))?;
        let mut line = |count: usize, what: &str| match count {
            0 => Ok(()),
            count => writeln!(out, "  {:>10}  {what}", grouped(count as u64)),
        };
        line(self.redriven, "redriven before: skipped")?;
        for (number, (_, what, flag)) in FATES.iter().enumerate() {
            let of = |is_chosen| {
                let these = self.lines.iter().filter(|line| line.fate.number() == number);
                these.filter(|line| line.is_chosen == is_chosen).count()
            };
            let verb = if done.is_some() { "sent" } else { "to be sent" };
            line(of(true), &format!("{verb}, and {what}"))?;
            let unless = if flag.is_empty() { String::new() } else { format!(" without {flag}") };
            line(of(false), &format!("{what}; not sent{unless}"))?;
        }
        let others: Vec<_> = self.lines.iter().filter(|line| line.fate != Fate::Counted).collect();
        for Line { coordinate, fate, tenant, .. } in others.iter().take(NAMED) {
            let tenant = tenant.as_ref().map_or(String::new(), |tenant| format!(", tenant {tenant}"));
            let (word, ..) = FATES[fate.number()];
            let detail = fate.detail();
            let colon = if detail.is_empty() { "" } else { ": " };
            writeln!(out, "  {coordinate}{tenant}: {word}{colon}{detail}")?;
        }
        if others.len() > NAMED {
            writeln!(out, "  and {} more; --output json names all", grouped((others.len() - NAMED) as u64))?;
        }
        match done {
            Some(sent) => writeln!(out, "redrive: {} sent", grouped(sent as u64)),
            None if self.chosen.is_empty() => writeln!(out, "redrive: nothing to send"),
            None => writeln!(out, "redrive: nothing was done yet"),
        }
    }

    fn json(&self, done: Option<usize>) -> Value {
        let line = |line: &Line| {
            json!({
                "coordinate": line.coordinate,
                "reason": line.reason,
                "tenant": line.tenant,
                "fate": FATES[line.fate.number()].0,
                "detail": line.fate.detail(),
                "is_chosen": line.is_chosen,
            })
        };
        json!({
            "done": done.is_some() || self.chosen.is_empty(),
            "letters": self.letters,
            "redriven_before": self.redriven,
            "to_send": self.chosen.len(),
            "sent": done.unwrap_or(0),
            "wanted": self.lines.iter().map(line).collect::<Vec<_>>(),
        })
    }
}

/// How far it is, on standard error.
struct Progress {
    done: usize,
    of: usize,
    is_watched: bool,
    said: Option<Instant>,
}

impl Progress {
    fn of(of: usize) -> Self {
        Progress { done: 0, of, is_watched: io::stderr().is_terminal(), said: None }
    }

    fn add(&mut self, more: usize) {
        self.done += more;
        let every = if self.is_watched { SHOW_EVERY } else { SAY_EVERY };
        let is_last = self.done >= self.of;
        if !is_last && self.said.is_some_and(|said| said.elapsed() < every) {
            return;
        }
        self.said = Some(Instant::now());
        let text = format!("redrive: {} of {} sent", grouped(self.done as u64), grouped(self.of as u64));
        match self.is_watched {
            true => {
                let end = if is_last { "\r\x1b[2K" } else { "" };
                let _ = write!(io::stderr().lock(), "\r\x1b[2K{text}{end}");
            }
            false => say(format_args!("{text}")),
        }
    }
}
