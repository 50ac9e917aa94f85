//! `topics TOPOLOGY --config FILE`: which topics a deployment needs, what the brokers have, and the way there.

use super::args::{Output, Topics};
use super::exit::Exit;
use super::files;
use super::remote::Remote;
use super::{say, topic};
use crate::kafka::rights;
use crate::kafka::topics::{self, Admin, Difference, Present, Remedy, Wanted};
use crate::model::Role;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

pub(super) fn topics(arguments: &Topics, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let remote = Remote::open(topology, &arguments.config)?;
    let replication = arguments.replication.unwrap_or(remote.replication());
    let admin = admin(&remote)?;
    let mut found = Found::look(&remote, &admin, replication)?;
    check_brokers(&found, &admin, replication)?;
    if arguments.apply {
        found.apply(&remote, &admin, replication)?;
        found = Found::look(&remote, &admin, replication)?;
    }
    match arguments.output {
        Output::Text => found.print(out)?,
        Output::Json => found.print_json(out)?,
    }
    found.judge(arguments.apply)
}

/// Before roles start: every topic is there, and as the protocols need it.
pub(super) fn check_before_start(remote: &Remote, roles: &[Role]) -> Result<(), Exit> {
    let found = Found::look_for(remote, &admin(remote)?, remote.replication(), roles)?;
    if let Some(missing) = found.missing() {
        return Err(Exit::failed(missing));
    }
    if let Some(State { name, present: None, .. }) = &found.raw {
        return Err(Exit::failed(format_args!("the raw topic {name} is missing; its producers make it")));
    }
    let mut problems = Vec::new();
    for State { name, present, differences, .. } in found.all() {
        let is_seen = present.as_ref().is_none_or(|present| present.settings.is_some());
        if !is_seen {
            say(format_args!(
                "weak: how topic {name} is set is not checked: no right to describe its configuration"
            ));
        }
        problems.extend(differences.iter().filter(|one| one.is_unsafe).map(|one| sentence(name, one)));
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.iter().for_each(|problem| say(format_args!("{problem}")));
    Err(Exit::drift(
        "topics are not as the protocols need them, so nothing was started; `thalweg topics` shows all of it, and \
         --apply mends what can be mended",
    ))
}

fn admin(remote: &Remote) -> Result<Admin, Exit> {
    let admin = Admin::new(remote.log().settings()).map_err(|error| topic::failed(error.into()))?;
    // Whether brokers answer at all, before anything is called missing.
    admin.brokers().map_err(|error| topic::failed(error.into()))?;
    Ok(admin)
}

/// A copy needs a broker of its own.
fn check_brokers(found: &Found, admin: &Admin, replication: u32) -> Result<(), Exit> {
    if replication < 3 {
        let copies = if replication == 1 { "copy" } else { "copies" };
        say(format_args!(
            "weak: {replication} {copies} of each partition: a broker that is lost may take acknowledged records \
             with it, and nobody can write while it is away"
        ));
    }
    let brokers = admin.brokers().map_err(|error| topic::failed(error.into()))?;
    if found.own.iter().any(|state| state.present.is_none()) && brokers < replication as usize {
        let plural = if brokers == 1 { "" } else { "s" };
        return Err(Exit::failed(format_args!(
            "{replication} copies of each partition are asked for, and the cluster has {brokers} broker{plural}; \
             `--replication {brokers}`, or `kafka.replication: {brokers}` in the configuration, says that fewer are meant"
        )));
    }
    Ok(())
}

/// A topic as it stands against what it must be.
pub(super) struct State {
    pub(super) name: String,
    /// `None`: it is missing.
    pub(super) present: Option<Present>,
    pub(super) differences: Vec<Difference>,
}

impl State {
    pub(super) fn of(admin: &Admin, one: &Wanted, replication: u32) -> Result<State, crate::kafka::Error> {
        let present = admin.look(&one.name)?;
        let differences = present.as_ref().map(|have| topics::differences(one, replication, have));
        Ok(State { name: one.name.clone(), present, differences: differences.unwrap_or_default() })
    }

    pub(super) fn of_raw(
        admin: &Admin,
        remote: &Remote,
        replication: u32,
    ) -> Result<State, crate::kafka::Error> {
        let name = remote.log().settings().raw_topic.clone();
        let present = admin.look(&name)?;
        let differences = present.as_ref().map(|have| remote.raw_differences(replication, have));
        Ok(State { name, present, differences: differences.unwrap_or_default() })
    }
}

struct Found {
    own: Vec<State>,
    wanted: Vec<Wanted>,
    /// `None`: hidden from us, and of no use to us.
    raw: Option<State>,
}

impl Found {
    fn look(remote: &Remote, admin: &Admin, replication: u32) -> Result<Found, Exit> {
        Self::look_for(remote, admin, replication, &[Role::Route, Role::Aggregate, Role::Lake])
    }

    /// Passes over what brokers hide from us, if these roles have nothing to do with it: a role has rights of its own.
    fn look_for(remote: &Remote, admin: &Admin, replication: u32, roles: &[Role]) -> Result<Found, Exit> {
        let used = rights::topics(remote.log().settings(), roles);
        let failed = |error: crate::kafka::Error| topic::failed(error.into());
        let (mut own, mut wanted) = (Vec::new(), Vec::new());
        for one in remote.wanted(replication) {
            match State::of(admin, &one, replication) {
                Err(error) if error.is_hidden_topic() && !used.contains(&one.name) => continue,
                state => own.push(state.map_err(failed)?),
            }
            wanted.push(one);
        }
        let raw = match State::of_raw(admin, remote, replication) {
            Err(error) if error.is_hidden_topic() && !used.contains(&remote.log().settings().raw_topic) => {
                None
            }
            state => Some(state.map_err(failed)?),
        };
        Ok(Found { own, wanted, raw })
    }

    fn all(&self) -> impl Iterator<Item = &State> {
        self.own.iter().chain(&self.raw)
    }

    fn apply(&self, remote: &Remote, admin: &Admin, replication: u32) -> Result<(), Exit> {
        let failed = |error: crate::kafka::Error| topic::failed(error.into());
        let states = || self.own.iter().zip(&self.wanted);
        let missing = states().filter(|(state, _)| state.present.is_none()).map(|(_, wanted)| wanted.clone());
        let missing: Vec<Wanted> = missing.collect();
        if !missing.is_empty() {
            let made = topics::create(remote.log().settings(), &missing, replication).map_err(failed)?;
            made.iter().for_each(|name| say(format_args!("{name}: made")));
        }
        for (state, _) in states() {
            let Some(present) = &state.present else { continue };
            let ours = state.differences.iter().filter(|one| one.remedy == Remedy::Set);
            let change: BTreeMap<&str, &str> =
                ours.map(|one| (one.setting.as_str(), one.want.as_str())).collect();
            if !change.is_empty() {
                admin.alter(&state.name, present, &change).map_err(failed)?;
                let names = change.keys().copied().collect::<Vec<_>>().join(", ");
                say(format_args!("{}: set {names}", state.name));
            }
        }
        Ok(())
    }

    fn print(&self, out: &mut dyn Write) -> Result<(), Exit> {
        for (place, state) in self.all().enumerate() {
            let State { name, present, differences } = state;
            match present {
                None if place < self.wanted.len() => {
                    writeln!(out, "{name}: is missing")?;
                    for (setting, value) in &self.wanted[place].settings {
                        writeln!(out, "    {setting}={value}")?;
                    }
                }
                None => writeln!(out, "{name}: is missing; its producers make it")?,
                Some(Present { partitions, replication, settings, .. }) => {
                    let is = match (differences.is_empty(), settings) {
                        (false, _) => "differs",
                        (true, Some(_)) => "is as it should be",
                        (true, None) => "is there, and how it is set is hidden from us",
                    };
                    writeln!(out, "{name}: {is}, partitions={partitions}, replication={replication}")?;
                    for one in differences {
                        let Difference { setting, have, want, .. } = one;
                        writeln!(out, "    {setting}={have}, should be {want}{}", remedy(one))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn print_json(&self, out: &mut dyn Write) -> Result<(), Exit> {
        for State { name, present, differences } in self.all() {
            let differences: Vec<Value> = differences
                .iter()
                .map(|one| {
                    json!({
                        "setting": one.setting,
                        "have": one.have,
                        "want": one.want,
                        "is_unsafe": one.is_unsafe,
                        "is_mended_by_apply": one.remedy == Remedy::Set,
                    })
                })
                .collect();
            let line = json!({
                "topic": name,
                "is_missing": present.is_none(),
                "partitions": present.as_ref().map(|present| present.partitions),
                "replication": present.as_ref().map(|present| present.replication),
                "differences": differences,
                "is_hidden": present.as_ref().is_some_and(|present| present.settings.is_none()),
            });
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// Of ours; the raw topic may come later.
    fn missing(&self) -> Option<String> {
        let is_missing = |state: &&State| state.present.is_none();
        let own: Vec<&str> = self.own.iter().filter(is_missing).map(|state| state.name.as_str()).collect();
        (!own.is_empty()).then(|| format!("missing: {}; `thalweg topics --apply` makes them", own.join(", ")))
    }

    fn judge(&self, was_applied: bool) -> Result<(), Exit> {
        let differences = self.all().map(|state| state.differences.len()).sum::<usize>();
        match (self.missing(), differences) {
            (None, 0) => Ok(()),
            (Some(missing), _) => Err(Exit::drift(missing)),
            (None, 1..) if was_applied => Err(Exit::drift(format_args!(
                "{differences} differences are left, which only a person may mend"
            ))),
            (None, 1..) => {
                Err(Exit::drift(format_args!("{differences} differences; --apply mends those it may")))
            }
        }
    }
}

pub(super) fn remedy(difference: &Difference) -> String {
    match difference.remedy {
        Remedy::Set => String::new(),
        Remedy::Person(what) => format!(": {what}"),
    }
}

fn sentence(name: &str, difference: &Difference) -> String {
    let Difference { setting, have, want, .. } = difference;
    format!("topic {name}: {setting} is {have} and should be {want}{}", remedy(difference))
}
