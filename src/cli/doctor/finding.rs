//! What a check found, how it is printed, and what all of them mean together. Pure but for the printing.

use crate::cli::args::Output;
use crate::cli::exit::Exit;
use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};
use std::io::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    /// It works, and something is given up.
    Weak,
    /// A role would not start, or would halt.
    Missing,
    /// A dependency does not answer; it may later.
    Away,
    Unknown,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Weak => "weak",
            State::Missing | State::Away => "missing",
            State::Unknown => "unknown",
        }
    }
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) fact: String,
    /// What to do; none if it is fine.
    pub(super) advice: Option<String>,
    /// Role, operation and the like, for programs.
    pub(super) facts: Vec<(&'static str, Value)>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, fact: impl Into<String>) -> Finding {
        Finding { check, state: State::Ok, fact: fact.into(), advice: None, facts: Vec::new() }
    }

    pub(super) fn new(
        check: &'static str,
        state: State,
        fact: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        let advice = Some(advice.into()).filter(|_| state != State::Ok);
        Finding { check, state, fact: fact.into(), advice, facts: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Finding {
        self.facts.push((name, value.into()));
        self
    }

    fn as_json(&self) -> Value {
        let mut line = json!({
            "state": self.state.word(),
            "check": self.check,
            "fact": self.fact,
            "advice": self.advice,
            "is_away": self.state == State::Away,
        });
        for (name, value) in &self.facts {
            line[*name] = value.clone();
        }
        line
    }
}

pub(super) fn print(findings: &[Finding], output: Output, out: &mut dyn Write) -> Result<(), Exit> {
    match output {
        Output::Json => findings.iter().try_for_each(|finding| Ok(writeln!(out, "{}", finding.as_json())?)),
        Output::Text => print_table(findings, out),
    }
}

/// Commands are longer than a line of a table may be, so what to do stands below.
fn print_table(findings: &[Finding], out: &mut dyn Write) -> Result<(), Exit> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["state", "check", "fact"]);
    for Finding { check, state, fact, .. } in findings {
        table.add_row([state.word(), *check, fact.as_str()]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    let mut is_first = true;
    for Finding { check, state, fact, advice, .. } in findings {
        let Some(advice) = advice else { continue };
        if std::mem::take(&mut is_first) {
            writeln!(out, "\nwhat to do:")?;
        }
        writeln!(out, "{} {check}: {fact}\n    {advice}", state.word())?;
    }
    Ok(())
}

/// What is missing outweighs what is away: that may pass by itself.
pub(super) fn verdict(findings: &[Finding]) -> Result<(), Exit> {
    let count = |state: State| findings.iter().filter(|finding| finding.state == state).count();
    match (count(State::Missing), count(State::Away)) {
        (0, 0) => Ok(()),
        (0, _) => Err(Exit::away("not all could be reached; what could not is marked as missing")),
        (1, _) => Err(Exit::drift("1 thing is missing or wrong")),
        (missing, _) => Err(Exit::drift(format_args!("{missing} things are missing or wrong"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(state: State) -> Finding {
        Finding::new("brokers", state, "a fact", "do this")
    }

    fn code(states: &[State]) -> u8 {
        let findings: Vec<_> = states.iter().copied().map(finding).collect();
        verdict(&findings).map_or_else(|exit| exit.code, |()| 0)
    }

    #[test]
    fn what_is_missing_outweighs_what_is_away_and_weakness_stops_nobody() {
        use State::{Away, Missing, Ok, Unknown, Weak};

        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[Ok, Weak, Unknown]), 0);
        assert_eq!(code(&[Ok, Away, Unknown]), 75);
        assert_eq!(code(&[Away, Missing, Ok]), 4);
        assert_eq!(code(&[Missing]), 4);
    }

    #[test]
    fn people_see_every_fact_and_below_what_to_do() {
        let findings = [Finding::ok("store", "creates"), finding(State::Missing), finding(State::Away)];

        let mut out = Vec::new();
        print(&findings, Output::Text, &mut out).unwrap();

        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("a fact")).count(), 4, "{text}");
        assert_eq!(text.matches("    do this\n").count(), 2, "{text}");
        assert_eq!(text.matches("creates").count(), 1, "{text}");
    }

    #[test]
    fn programs_get_one_object_a_line() {
        let findings = [Finding::ok("store", "creates"), finding(State::Away).with("role", "lake")];

        let mut out = Vec::new();
        print(&findings, Output::Json, &mut out).unwrap();

        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["state"], "ok");
        assert_eq!(lines[0]["advice"], Value::Null);
        assert_eq!(lines[1]["state"], "missing");
        assert_eq!((&lines[1]["is_away"], &lines[1]["role"]), (&true.into(), &"lake".into()));
    }
}
