//! Brokers, topics, rights, and what the newest record says of our clock.

use super::finding::{Finding, State};
use super::{clock, listed};
use crate::cli::args;
use crate::cli::remote::Remote;
use crate::cli::river::block_on;
use crate::cli::topics::{self, State as TopicState};
use crate::config::Sasl;
use crate::kafka::rights::{self, Answer, Need, Operation, Resource, Verdict};
use crate::kafka::topics::{Admin, Present};
use crate::kafka::{Error, Settings};
use crate::model::{LogTime, NextOffset, Partition, Role, Topic, TopicPartition};
use crate::port::{Failure, Log, Reader};
use crate::watch;
use crate::worker::behind_last_record;

const BROKERS: &str = "brokers";
const TOPICS: &str = "topics";
const RIGHTS: &str = "rights";
/// A link goes to every target within seconds, so a few of them know the time as well as all.
const ASKED_FOR_TIME: u32 = 4;
const READ_BYTES: usize = 1 << 16;

pub(super) fn check(remote: &Remote, roles: &[Role], arguments: &args::Doctor) -> Vec<Finding> {
    let (mut all, is_there) = reach(remote);
    if !is_there {
        for check in [TOPICS, RIGHTS] {
            let fact = "not asked: the brokers do not talk to us";
            all.push(Finding::new(check, State::Unknown, fact, "mend what stands under brokers first"));
        }
        return all;
    }
    if arguments.verb == Some(args::VerbName::Redrive) {
        all.extend(rights(remote, &rights::redrive_needs(remote.log().settings())));
        return all;
    }
    all.extend(topics(remote, roles, arguments));
    all.extend(rights(remote, &rights::needs(remote.log().settings(), roles)));
    if roles.iter().any(|role| matches!(role, Role::Route | Role::Aggregate)) {
        all.push(time(remote));
    }
    all
}

/// Whether they answer and know us.
fn reach(remote: &Remote) -> (Vec<Finding>, bool) {
    let given = &remote.log().settings().brokers;
    let copies = remote.replication() as usize;
    let answer = match remote.log().greet() {
        Ok(count) if count < copies => Finding::new(
            BROKERS,
            State::Weak,
            format!("{count} answer at {given}, and each partition shall have {copies} copies"),
            "look which brokers are away; on a small cluster `kafka.replication` says that fewer copies are meant",
        ),
        Ok(count) => Finding::ok(BROKERS, format!("{count} answer at {given}, and know us")),
        Err(error @ (Error::Refused { .. } | Error::Settings(_))) => {
            let advice = "mend `kafka.security`, or what the brokers know of us";
            return (vec![Finding::new(BROKERS, State::Missing, error.to_string(), advice)], false);
        }
        Err(error) => {
            let advice = "see from this machine whether the name resolves, the port is open, and the protocol is \
                          theirs: a broker that speaks TLS to a client that does not looks like silence";
            let fact = format!("nobody answers at {given}: {error}");
            return (vec![Finding::new(BROKERS, State::Away, fact, advice)], false);
        }
    };
    (vec![answer], true)
}

/// Every topic that these roles have to do with.
fn topics(remote: &Remote, roles: &[Role], arguments: &args::Doctor) -> Vec<Finding> {
    let settings = remote.log().settings();
    let admin = match Admin::new(settings) {
        Ok(admin) => admin,
        Err(error) => return vec![unasked(TOPICS, &error)],
    };
    let (replication, used) = (remote.replication(), rights::topics(settings, roles));
    let apply = format!(
        "thalweg topics {} --config {} --apply",
        arguments.topology.display(),
        arguments.config.display()
    );
    let mend = format!("{apply} sets what may be set; the rest is a person's to change");
    let own = remote.wanted(replication);
    let own = own
        .iter()
        .filter(|one| used.contains(&one.name))
        .map(|one| topic(&one.name, TopicState::of(&admin, one, replication), (&apply, &mend)));
    let mut all: Vec<Finding> = own.collect();
    if used.contains(&settings.raw_topic) {
        let state = TopicState::of_raw(&admin, remote, replication);
        let make = "whoever produces to it makes it; a wrong name is mended in the topology's `events.topic`";
        all.push(topic(&settings.raw_topic, state, (make, "its owner has to change it")));
    }
    all
}

/// `to_make` and `to_mend` say what to do where it is not there, and where it is set otherwise.
fn topic(name: &str, looked: Result<TopicState, Error>, (to_make, to_mend): (&str, &str)) -> Finding {
    let state = match looked {
        Ok(state) => state,
        Err(error) if error.is_hidden_topic() => {
            let fact = format!("{name} is hidden from us: whether it is there, nobody may tell us");
            return Finding::new(
                TOPICS,
                State::Missing,
                fact,
                "grant what stands under rights, and ask again",
            );
        }
        Err(error) => return unasked(TOPICS, &error),
    };
    let Some(Present { partitions, replication, settings, .. }) = &state.present else {
        return Finding::new(TOPICS, State::Missing, format!("{name} is not there"), to_make);
    };
    let fact = format!("{name}: partitions={partitions}, replication={replication}");
    if !state.differences.is_empty() {
        let found = state.differences.iter().map(|one| {
            let (setting, have, want) = (&one.setting, &one.have, &one.want);
            format!("{setting}={have}, should be {want}{}", topics::remedy(one))
        });
        let found = found.collect::<Vec<_>>().join("; ");
        let is_unsafe = state.differences.iter().any(|one| one.is_unsafe);
        let weight = if is_unsafe { State::Missing } else { State::Weak };
        return Finding::new(TOPICS, weight, format!("{name}: {found}"), to_mend);
    }
    match settings {
        Some(_) => Finding::ok(TOPICS, format!("{fact}, set as it must be")),
        None => {
            let fact = format!("{fact}; how it is set is hidden from us");
            Finding::new(TOPICS, State::Unknown, fact, "grant DescribeConfigs, as it stands under rights")
        }
    }
}

fn rights(remote: &Remote, needs: &[Need]) -> Vec<Finding> {
    let settings = remote.log().settings();
    let answers = match rights::ask(settings, needs) {
        Ok(answers) => answers,
        Err(error) => return vec![unasked(RIGHTS, &error)],
    };
    let principal = principal(remote);
    let unasked = Answer::Unknown("it was not answered".into());
    let judged = needs.iter().map(|need| {
        let answer = answers.get(&need.resource).unwrap_or(&unasked);
        right(need, answer, settings, principal)
    });
    judged.collect()
}

fn right(need: &Need, answer: &Answer, settings: &Settings, principal: Option<&str>) -> Finding {
    let Need { roles, operation, resource, is_required } = need;
    let who = if roles.is_empty() { "redrive".to_owned() } else { listed(roles) };
    let what = format!("{} on {}", operation.name(), resource.name());
    let command = rights::command(need, &settings.brokers, principal);
    let finding = match rights::judge(need, answer) {
        Verdict::Granted => Finding::ok(RIGHTS, format!("{who}: {what}")),
        Verdict::Missing if *is_required => {
            let hidden = match (answer, resource) {
                (Answer::Hidden, Resource::Topic(_)) => {
                    "; brokers hide the topic from us, as if it were not there"
                }
                _ => "",
            };
            let fact = format!("{who}: no {what}{hidden}");
            Finding::new(RIGHTS, State::Missing, fact, &command).with("command", command.clone())
        }
        Verdict::Missing => {
            let so = match operation {
                Operation::DescribeConfigs => "nobody checks how it is set",
                Operation::Read | Operation::Write => "the clock of its machine says what is late",
            };
            let fact = format!("{who}: no {what}, so {so}");
            Finding::new(RIGHTS, State::Weak, fact, &command).with("command", command.clone())
        }
        Verdict::Wrong(why) => {
            let advice =
                "lower `kafka.timeouts.transaction`, or raise the brokers' transaction.max.timeout.ms";
            Finding::new(RIGHTS, State::Missing, format!("{who}: {what}: {why}"), advice)
        }
        Verdict::Unknown(why) => {
            let fact = format!("{who}: {what}: {why}");
            Finding::new(RIGHTS, State::Unknown, fact, "ask again once the rest is mended")
        }
    };
    let roles: Vec<&str> = roles.iter().map(|&role| watch::name(role)).collect();
    finding.with("roles", roles).with("operation", operation.name()).with("resource", resource.name())
}

/// Our name to the brokers, as far as we know it.
fn principal(remote: &Remote) -> Option<&str> {
    let security = &remote.config().kafka.security;
    match &security.sasl {
        Some(Sasl::Password { username, .. }) => Some(username),
        Some(Sasl::Token { .. } | Sasl::AwsMskIam { .. }) => None,
        // Brokers take it from the certificate, by rules of their own.
        None if security.tls.as_ref().is_some_and(|tls| tls.identity.is_some()) => None,
        None => Some("ANONYMOUS"),
    }
}

/// Brokers stamp what we write: a record from the future proves that our clock is behind theirs.
fn time(remote: &Remote) -> Finding {
    let mut reader = remote.log().reader();
    match newest(&mut *reader) {
        Ok(newest) => clock::of_records(newest, clock::now()),
        Err(failure) => {
            let fact = format!("the newest record cannot be read: {failure}");
            Finding::new(clock::CHECK, State::Unknown, fact, "ask again once the rest is mended")
        }
    }
}

/// Append time of the newest record between route and aggregate.
fn newest(reader: &mut dyn Reader) -> Result<Option<LogTime>, Failure> {
    let topic = Topic::Repartition;
    let partitions = block_on(reader.facts(topic))?.partitions;
    let mut newest = None;
    for partition in (0..partitions.min(ASKED_FOR_TIME)).map(Partition) {
        let at = TopicPartition { topic, partition };
        let behind = block_on(behind_last_record(reader, at))?;
        let Some(last) = behind.0.checked_sub(1).map(NextOffset) else { continue };
        let batch = match block_on(reader.read(at, last, READ_BYTES)) {
            Ok(batch) => batch,
            // Nothing is left of this partition.
            Err(_) => continue,
        };
        newest = newest.max(batch.records.iter().map(|record| record.time).max());
    }
    Ok(newest)
}

fn unasked(check: &'static str, error: &Error) -> Finding {
    Finding::new(check, State::Unknown, error.to_string(), "ask again once the rest is mended")
}
