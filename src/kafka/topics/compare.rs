//! What stands between a topic as it must be and as it is. Pure.

use super::{Present, Wanted};
use std::collections::BTreeSet;
use std::time::Duration;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting's name; `partitions` and `replication` are no settings of brokers, and stand here too.
    pub setting: String,
    pub have: String,
    pub want: String,
    pub remedy: Remedy,
    /// A protocol leans on it: no role starts.
    pub is_unsafe: bool,
}

/// What may be done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Setting it is enough.
    Set,
    /// It is not ours to change, or changing it would not bring back what it has done: a sentence for people.
    Person(&'static str),
}

/// How a value that is there is held against the one that is wanted.
enum Rule {
    Same,
    /// A larger number is as good; -1 is without limit.
    AtLeast,
    AtMost,
    /// The same words in any order.
    Words,
}

const RECREATE: &str =
    "fixed for a topic's life: keys would move to other partitions. Deploy under another `deployment` name";
const REASSIGN: &str = "reassign its partitions with kafka-reassign-partitions.sh";
const DELETED: &str =
    "what it has deleted already does not come back: look what is missing before you change it";
const PRODUCERS: &str = "the topic is its producers': its owner has to change it";

/// The rule of a setting, and whether a protocol leans on it.
fn rule(setting: &str) -> (Rule, bool) {
    match setting {
        "cleanup.policy" => (Rule::Words, true),
        "message.timestamp.type" | "unclean.leader.election.enable" => (Rule::Same, true),
        "retention.ms" | "delete.retention.ms" | "max.message.bytes" | "min.insync.replicas" => {
            (Rule::AtLeast, true)
        }
        "min.compaction.lag.ms" => (Rule::AtLeast, false),
        "max.compaction.lag.ms" | "min.cleanable.dirty.ratio" | "segment.bytes" | "segment.ms" => {
            (Rule::AtMost, false)
        }
        _ => (Rule::Same, false),
    }
}

/// Empty: the topic is as it must be, as far as we may see.
pub fn differences(wanted: &Wanted, replication: u32, present: &Present) -> Vec<Difference> {
    let mut all = Vec::new();
    if present.partitions != wanted.partitions {
        all.push(Difference {
            setting: "partitions".into(),
            have: present.partitions.to_string(),
            want: wanted.partitions.to_string(),
            remedy: Remedy::Person(RECREATE),
            is_unsafe: true,
        });
    }
    all.extend(copies(replication, present, false));
    for (&setting, want) in &wanted.settings {
        let remedy = match setting {
            "cleanup.policy" => Remedy::Person(DELETED),
            _ => Remedy::Set,
        };
        all.extend(difference(setting, want, present, remedy));
    }
    all
}

/// The raw topic is checked and never set.
pub fn raw_differences(replication: u32, retention: Duration, present: &Present) -> Vec<Difference> {
    let mut all = copies(replication, present, true);
    let wanted = [
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention.as_millis().to_string()),
        ("min.insync.replicas", in_sync(replication).to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ];
    let settings = wanted
        .iter()
        .filter_map(|(setting, want)| difference(setting, want, present, Remedy::Person(PRODUCERS)));
    all.extend(settings);
    all
}

/// One copy may be away while writes go on.
pub(super) fn in_sync(replication: u32) -> u32 {
    replication.saturating_sub(1).max(1)
}

/// Fewer copies lose a partition with its brokers; nothing that is there is wrong because of it.
fn copies(replication: u32, present: &Present, is_raw: bool) -> Vec<Difference> {
    if present.replication >= replication {
        return Vec::new();
    }
    vec![Difference {
        setting: "replication".into(),
        have: present.replication.to_string(),
        want: replication.to_string(),
        remedy: Remedy::Person(if is_raw { PRODUCERS } else { REASSIGN }),
        is_unsafe: true,
    }]
}

fn difference(setting: &str, want: &str, present: &Present, remedy: Remedy) -> Option<Difference> {
    let have = present.settings.as_ref()?.get(setting)?;
    let (rule, is_unsafe) = rule(setting);
    if is_met(&rule, have, want) {
        return None;
    }
    let (setting, have, want) = (setting.to_owned(), have.clone(), want.to_owned());
    Some(Difference { setting, have, want, remedy, is_unsafe })
}

fn is_met(rule: &Rule, have: &str, want: &str) -> bool {
    let numbers = || Some((have.parse::<f64>().ok()?, want.parse::<f64>().ok()?));
    match rule {
        Rule::Same => have.eq_ignore_ascii_case(want),
        Rule::AtLeast => have == "-1" || numbers().is_some_and(|(have, want)| have >= want),
        Rule::AtMost => numbers().is_some_and(|(have, want)| have <= want),
        Rule::Words => words(have) == words(want),
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;

    fn wanted(settings: &[(&'static str, &str)]) -> Wanted {
        let settings = settings.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Wanted { topic: Topic::State, name: "shop.state".into(), partitions: 4, settings }
    }

    fn present(settings: &[(&str, &str)]) -> Present {
        let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Present { partitions: 4, replication: 3, settings: Some(settings), ..Present::default() }
    }

    fn found(want: (&'static str, &str), have: &str) -> Vec<Difference> {
        differences(&wanted(&[want]), 3, &present(&[(want.0, have)]))
    }

    #[test]
    fn more_is_as_good_where_a_protocol_needs_at_least_so_much() {
        for good in ["86400000", "86400001", "-1"] {
            assert_eq!(found(("retention.ms", "86400000"), good), [], "{good}");
        }
        let less = found(("retention.ms", "86400000"), "86399999");
        assert!(less[0].is_unsafe && less[0].remedy == Remedy::Set);
    }

    #[test]
    fn pace_of_compaction_is_set_and_stops_nobody() {
        assert_eq!(found(("min.cleanable.dirty.ratio", "0.3"), "0.3"), []);
        let lazy = found(("min.cleanable.dirty.ratio", "0.3"), "0.5");
        assert!(!lazy[0].is_unsafe && lazy[0].remedy == Remedy::Set);
    }

    #[test]
    fn a_policy_is_a_set_of_words_and_a_persons_to_change() {
        assert_eq!(found(("cleanup.policy", "compact,delete"), "delete, compact"), []);
        let wrong = found(("cleanup.policy", "compact"), "delete");
        assert_eq!(wrong[0].remedy, Remedy::Person(DELETED));
        assert!(wrong[0].is_unsafe);
    }

    #[test]
    fn another_count_of_partitions_or_fewer_copies_stop_every_role() {
        let few = Present { partitions: 6, replication: 1, ..present(&[]) };
        let names: Vec<_> = differences(&wanted(&[]), 3, &few)
            .into_iter()
            .map(|one| (one.setting, one.have, one.want, one.is_unsafe))
            .collect();
        let text = |setting: &str, have: &str, want: &str| (setting.into(), have.into(), want.into(), true);
        assert_eq!(names, [text("partitions", "6", "4"), text("replication", "1", "3")]);
        assert_eq!(differences(&wanted(&[]), 1, &Present { partitions: 4, ..few }), []);
    }

    #[test]
    fn what_we_may_not_see_is_no_difference() {
        let unseen = Present { settings: None, ..present(&[]) };
        assert_eq!(differences(&wanted(&[("cleanup.policy", "compact")]), 3, &unseen), []);
    }

    #[test]
    fn a_raw_topic_that_compacts_forgets_or_elects_uncleanly_is_named() {
        let good = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "604800000"),
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
        ];
        let day = Duration::from_secs(86_400);
        assert_eq!(raw_differences(3, day, &present(&good)), []);
        for (place, bad) in [(0, "compact"), (1, "3600000"), (2, "1"), (3, "true")] {
            let mut settings = good;
            settings[place].1 = bad;
            let found = raw_differences(3, day, &present(&settings));
            assert_eq!(found.len(), 1, "{bad}");
            assert!(found[0].is_unsafe && found[0].remedy == Remedy::Person(PRODUCERS), "{bad}");
        }
    }
}
