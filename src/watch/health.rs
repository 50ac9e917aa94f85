//! Does the process live, and does it do its work? Each answer with the sentence for whoever asks.

use super::name;
use super::row::{Look, State};
use crate::model::{Partition, Role};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// A loop that has neither begun nor ended a call for `limit` hangs: the process is of no use any more, and killing it is
/// safe. What it waits for is none of this: brokers that are away make nobody dead.
pub fn is_alive(looks: &[Look], limit: Duration) -> Result<String, String> {
    let hangs = |look: &&Look| look.quiet > limit && !matches!(look.state, State::Left | State::Ended);
    let mut text = String::new();
    for look in looks.iter().filter(hangs) {
        let doing = look.doing.map_or("between two calls".into(), |doing| format!("in `{doing}`"));
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{} has stood still for {} s, {doing}", name(look.role), look.quiet.as_secs());
    }
    if text.is_empty() { Ok("alive\n".into()) } else { Err(text) }
}

/// Every role is a member of its group and reads what it was given. A partition that is halted counts as such: it waits
/// for a person and not for us, and the answer names it.
pub fn is_ready(
    looks: &[Look],
    halted: &BTreeSet<(Role, Partition)>,
    is_draining: bool,
) -> Result<String, String> {
    if is_draining {
        return Err("draining\n".into());
    }
    let waits: String = looks.iter().filter_map(|look| waits_for(look, halted)).collect();
    if !waits.is_empty() {
        return Err(waits);
    }
    let line =
        |(role, partition): &(Role, Partition)| format!("{} partition {partition} is halted\n", name(*role));
    Ok("ready\n".to_owned() + &halted.iter().map(line).collect::<String>())
}

fn waits_for(look: &Look, halted: &BTreeSet<(Role, Partition)>) -> Option<String> {
    let what = match &look.state {
        State::Starting => "brokers and store".into(),
        State::Joining => "its group to say which partitions are its own".into(),
        State::Opening(partitions) => {
            let open = partitions.iter().filter(|&&partition| !halted.contains(&(look.role, partition)));
            let open: Vec<String> = open.map(ToString::to_string).collect();
            match (open.is_empty(), look.role) {
                (true, _) => return None,
                (false, Role::Aggregate) => format!("the state of partition {}", open.join(", ")),
                (false, Role::Route | Role::Lake) => format!("the position of partition {}", open.join(", ")),
            }
        }
        State::Reading | State::Ended => return None,
        State::Left => "its end".into(),
    };
    let failed = |(call, reaction)| format!("; `{call}` failed last ({reaction}), see the log");
    let trouble = look.trouble.map(failed);
    Some(format!("{} waits for {what}{}\n", name(look.role), trouble.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(role: Role, state: State) -> Look {
        Look { role, state, quiet: Duration::ZERO, doing: None, trouble: None }
    }

    #[test]
    fn a_role_that_hangs_is_named_with_the_call_it_hangs_in() {
        let quiet = Duration::from_secs(151);
        let hangs = Look { quiet, doing: Some("commit"), ..look(Role::Aggregate, State::Reading) };
        let looks = [look(Role::Route, State::Reading), hangs];

        assert_eq!(is_alive(&looks, Duration::from_secs(151)), Ok("alive\n".into()));
        let dead = is_alive(&looks, Duration::from_secs(150));

        assert_eq!(dead, Err("aggregate has stood still for 151 s, in `commit`\n".into()));
    }

    #[test]
    fn a_role_that_has_ended_does_not_hang() {
        let quiet = Duration::from_secs(9_000);
        let looks = [State::Left, State::Ended].map(|state| Look { quiet, ..look(Role::Lake, state) });

        assert!(is_alive(&looks, Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn whoever_waits_says_for_what() {
        let opening = State::Opening([Partition(1), Partition(3)].into());
        let looks = [
            look(Role::Route, State::Reading),
            look(Role::Aggregate, opening),
            Look { trouble: Some(("poll", "retry")), ..look(Role::Lake, State::Joining) },
        ];

        let waits = is_ready(&looks, &BTreeSet::new(), false);

        assert_eq!(
            waits,
            Err("aggregate waits for the state of partition 1, 3\nlake waits for its group to say which \
                 partitions are its own; `poll` failed last (retry), see the log\n"
                .into())
        );
        assert!(is_ready(&looks[..1], &BTreeSet::new(), false).is_ok());
        assert_eq!(is_ready(&looks[..1], &BTreeSet::new(), true), Err("draining\n".into()));
    }

    #[test]
    fn a_halted_partition_keeps_nobody_from_being_ready_and_is_named() {
        let looks = [look(Role::Aggregate, State::Opening([Partition(1)].into()))];
        let halted = BTreeSet::from([(Role::Aggregate, Partition(1))]);

        assert_eq!(is_ready(&looks, &halted, false), Ok("ready\naggregate partition 1 is halted\n".into()));
    }
}
