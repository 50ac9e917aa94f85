//! The least that each role must be allowed, as a table, and what an answer means for it. Pure.

use crate::kafka::settings::Settings;
use crate::model::{Role, Topic};
use std::collections::BTreeSet;

/// What may be done with a resource, of all that brokers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    DescribeConfigs,
}

impl Operation {
    const ALL: [Operation; 3] = [Operation::Read, Operation::Write, Operation::DescribeConfigs];

    /// As Kafka's own tool spells it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::DescribeConfigs => "DescribeConfigs",
        }
    }

    /// Its number in Kafka's protocol.
    fn code(self) -> u32 {
        match self {
            Operation::Read => 3,
            Operation::Write => 4,
            Operation::DescribeConfigs => 10,
        }
    }

    /// Those of a list of numbers that somebody here needs.
    pub(super) fn of(codes: &[u32]) -> BTreeSet<Operation> {
        Self::ALL.into_iter().filter(|operation| codes.contains(&operation.code())).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Topic(String),
    Group(String),
    /// All that begin so: each worker has one of its own.
    TransactionalIds(String),
}

impl Resource {
    /// For people.
    pub fn name(&self) -> String {
        match self {
            Resource::Topic(name) => format!("topic {name}"),
            Resource::Group(name) => format!("group {name}"),
            Resource::TransactionalIds(prefix) => format!("transactional ids {prefix}*"),
        }
    }
}

/// One right, and who needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub roles: Vec<Role>,
    pub operation: Operation,
    pub resource: Resource,
    /// Else the roles run, and something is not checked.
    pub is_required: bool,
}

/// What a role works on.
#[derive(Debug, Clone, Copy)]
enum What {
    Topic(Topic),
    Histories,
    Group,
    TransactionalIds,
}

/// Rights that imply others stand alone here: whoever may read or write may also describe.
const TABLE: &[(Role, Operation, What)] = {
    use Operation::{Read, Write};
    use Role::{Aggregate, Lake, Route};
    use What::{Group, Histories, TransactionalIds};
    &[
        (Route, Read, What::Topic(Topic::Raw)),
        // A partition without a position asks whether it was routed before.
        (Route, Read, What::Topic(Topic::Repartition)),
        (Route, Write, What::Topic(Topic::Repartition)),
        (Route, Write, What::Topic(Topic::DeadLetters)),
        (Route, Read, Group),
        (Aggregate, Read, What::Topic(Topic::Repartition)),
        (Aggregate, Read, What::Topic(Topic::State)),
        (Aggregate, Write, What::Topic(Topic::State)),
        (Aggregate, Write, What::Topic(Topic::Metrics)),
        (Aggregate, Write, What::Topic(Topic::SetAside)),
        (Aggregate, Write, Histories),
        (Aggregate, Read, Group),
        (Aggregate, Write, TransactionalIds),
        (Lake, Read, What::Topic(Topic::Raw)),
        (Lake, Read, Group),
    ]
};

/// What roles of a deployment need, each right once.
pub fn needs(settings: &Settings, roles: &[Role]) -> Vec<Need> {
    let mut all: Vec<Need> = Vec::new();
    let mut add = |role: Role, operation: Operation, resource: Resource, is_required: bool| {
        let known = all.iter_mut().find(|need| need.operation == operation && need.resource == resource);
        match known {
            Some(need) if !need.roles.contains(&role) => need.roles.push(role),
            Some(_) => {}
            None => all.push(Need { roles: vec![role], operation, resource, is_required }),
        }
    };
    let rows = || TABLE.iter().filter(|(role, ..)| roles.contains(role));
    for &(role, operation, what) in rows() {
        for resource in resources(settings, role, what) {
            add(role, operation, resource, true);
        }
    }
    // Every start looks at how topics are set; whoever may not see it runs unawares.
    for &(role, _, what) in rows() {
        for resource in resources(settings, role, what) {
            if matches!(resource, Resource::Topic(_)) {
                add(role, Operation::DescribeConfigs, resource, false);
            }
        }
    }
    all
}

/// What `dead-letters redrive` needs: the rights of no role, and so none is named.
pub fn redrive_needs(settings: &Settings) -> Vec<Need> {
    let topic = |topic| Resource::Topic(settings.topic(topic));
    let need = |operation, resource| Need { roles: Vec::new(), operation, resource, is_required: true };
    vec![
        need(Operation::Read, topic(Topic::DeadLetters)),
        need(Operation::Write, topic(Topic::DeadLetters)),
        need(Operation::Write, topic(Topic::Raw)),
        need(Operation::Write, Resource::TransactionalIds(settings.redriving())),
        // How far time has come: without it this machine's clock says what is late.
        Need { is_required: false, ..need(Operation::Read, topic(Topic::Metrics)) },
    ]
}

/// The names of all topics that these roles have to do with.
pub fn topics(settings: &Settings, roles: &[Role]) -> BTreeSet<String> {
    let names = needs(settings, roles).into_iter().filter_map(|need| match need.resource {
        Resource::Topic(name) => Some(name),
        Resource::Group(_) | Resource::TransactionalIds(_) => None,
    });
    names.collect()
}

fn resources(settings: &Settings, role: Role, what: What) -> Vec<Resource> {
    let topic = |topic| Resource::Topic(settings.topic(topic));
    match what {
        What::Topic(one) => vec![topic(one)],
        What::Histories => {
            let count = u16::try_from(settings.histories.len()).expect("a topology has few histories");
            (0..count).map(|place| topic(Topic::History(place))).collect()
        }
        What::Group => vec![Resource::Group(settings.group(role))],
        What::TransactionalIds => vec![Resource::TransactionalIds(settings.transactional_ids())],
    }
}

/// What brokers say of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    May(BTreeSet<Operation>),
    /// Not even whether it is there.
    Hidden,
    Absent,
    /// Whatever we may do, it would not work: the reason.
    Wrong(String),
    /// Nobody said it: the reason.
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    Missing,
    Wrong(String),
    Unknown(String),
}

pub fn judge(need: &Need, answer: &Answer) -> Verdict {
    match answer {
        Answer::May(operations) if operations.contains(&need.operation) => Verdict::Granted,
        Answer::May(_) | Answer::Hidden => Verdict::Missing,
        Answer::Absent => {
            Verdict::Unknown("it is not there, and brokers tell rights only of what is there".into())
        }
        Answer::Wrong(why) => Verdict::Wrong(why.clone()),
        Answer::Unknown(why) => Verdict::Unknown(why.clone()),
    }
}

/// The command of Kafka's own tool that grants it. `principal` is our name to the brokers, if it is known.
pub fn command(need: &Need, brokers: &str, principal: Option<&str>) -> String {
    let resource = match &need.resource {
        Resource::Topic(name) => format!("--topic {name}"),
        Resource::Group(name) => format!("--group {name}"),
        Resource::TransactionalIds(prefix) => {
            format!("--transactional-id {prefix} --resource-pattern-type prefixed")
        }
    };
    let principal = quoted(&format!("User:{}", principal.unwrap_or("<principal>")));
    let operation = need.operation.name();
    format!(
        "kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal {principal} --operation {operation} {resource}"
    )
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '@' | '/' | '=' | ',');
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Role; 3] = [Role::Route, Role::Aggregate, Role::Lake];

    fn settings() -> Settings {
        let mut settings = Settings::new("a:1,b:2", "shop", "orders.v1");
        settings.histories = vec!["orders".into(), "refunds".into()];
        settings
    }

    /// `Operation resource`, sorted, without those that only a check needs.
    fn required(roles: &[Role]) -> Vec<String> {
        let needs = needs(&settings(), roles).into_iter().filter(|need| need.is_required);
        let mut all: Vec<_> =
            needs.map(|need| format!("{} {}", need.operation.name(), need.resource.name())).collect();
        all.sort();
        all
    }

    #[test]
    fn each_role_needs_what_it_works_on_and_nothing_else() {
        assert_eq!(
            required(&[Role::Route]),
            [
                "Read group shop-route",
                "Read topic orders.v1",
                "Read topic shop.repartition",
                "Write topic shop.dead-letters",
                "Write topic shop.repartition",
            ]
        );
        assert_eq!(
            required(&[Role::Aggregate]),
            [
                "Read group shop-aggregate",
                "Read topic shop.repartition",
                "Read topic shop.state",
                "Write topic shop.history.orders",
                "Write topic shop.history.refunds",
                "Write topic shop.metrics",
                "Write topic shop.set-aside",
                "Write topic shop.state",
                "Write transactional ids shop-aggregate-*",
            ]
        );
        assert_eq!(required(&[Role::Lake]), ["Read group shop-lake", "Read topic orders.v1"]);
    }

    #[test]
    fn a_right_that_several_roles_need_is_asked_for_once_and_names_them() {
        let all = needs(&settings(), &ALL);

        let raw = Resource::Topic("orders.v1".into());
        let read: Vec<_> =
            all.iter().filter(|need| need.resource == raw && need.operation == Operation::Read).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].roles, [Role::Route, Role::Lake]);
        let distinct: BTreeSet<_> = all.iter().map(|need| (need.operation, &need.resource)).collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn sending_letters_again_needs_these_and_no_group() {
        let all = redrive_needs(&settings());

        let told = |is_required| {
            let these = all.iter().filter(move |need| need.is_required == is_required);
            these
                .map(|need| format!("{} {}", need.operation.name(), need.resource.name()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(true),
            [
                "Read topic shop.dead-letters",
                "Write topic shop.dead-letters",
                "Write topic orders.v1",
                "Write transactional ids shop-redrive*",
            ]
        );
        assert_eq!(told(false), ["Read topic shop.metrics"]);
    }

    #[test]
    fn nobody_needs_to_write_what_others_own() {
        let writes = |role: Role, topic: Topic| {
            let resource = Resource::Topic(settings().topic(topic));
            let all = needs(&settings(), &[role]);
            all.iter().any(|need| need.operation == Operation::Write && need.resource == resource)
        };
        for role in ALL {
            assert!(!writes(role, Topic::Raw));
        }
        assert!(needs(&settings(), &[Role::Lake]).iter().all(|need| need.operation != Operation::Write));
        assert!(!writes(Role::Aggregate, Topic::Repartition) && !writes(Role::Route, Topic::State));
    }

    #[test]
    fn how_topics_are_set_is_looked_at_if_that_may_be() {
        let all = needs(&settings(), &[Role::Lake]);

        let check: Vec<_> = all.iter().filter(|need| !need.is_required).collect();
        assert_eq!(check.len(), 1);
        assert_eq!(check[0].operation, Operation::DescribeConfigs);
        assert_eq!(check[0].resource, Resource::Topic("orders.v1".into()));
    }

    #[test]
    fn what_brokers_hide_is_missing_and_what_is_not_there_is_unknown() {
        let need = &needs(&settings(), &[Role::Lake])[0];
        let may = |codes: &[u32]| judge(need, &Answer::May(Operation::of(codes)));

        assert_eq!(may(&[3, 8]), Verdict::Granted);
        assert_eq!(may(&[4, 8, 10]), Verdict::Missing);
        assert_eq!(may(&[]), Verdict::Missing);
        assert_eq!(judge(need, &Answer::Hidden), Verdict::Missing);
        assert!(matches!(judge(need, &Answer::Absent), Verdict::Unknown(_)));
        assert_eq!(judge(need, &Answer::Unknown("why".into())), Verdict::Unknown("why".into()));
    }

    #[test]
    fn the_command_grants_that_right_to_that_name() {
        let all = needs(&settings(), &ALL);
        let of = |operation: Operation, resource: Resource| {
            let need = all.iter().find(|need| need.operation == operation && need.resource == resource);
            command(need.unwrap(), "a:1,b:2", Some("thalweg"))
        };

        let begin = "kafka-acls.sh --bootstrap-server a:1,b:2 --add --allow-principal User:thalweg";
        assert_eq!(
            of(Operation::Write, Resource::Topic("shop.state".into())),
            format!("{begin} --operation Write --topic shop.state")
        );
        assert_eq!(
            of(Operation::Read, Resource::Group("shop-lake".into())),
            format!("{begin} --operation Read --group shop-lake")
        );
        assert_eq!(
            of(Operation::Write, Resource::TransactionalIds("shop-aggregate-".into())),
            format!(
                "{begin} --operation Write --transactional-id shop-aggregate- --resource-pattern-type prefixed"
            )
        );
    }

    #[test]
    fn a_name_that_a_shell_would_take_apart_is_quoted() {
        let need = &needs(&settings(), &[Role::Lake])[0];

        assert!(command(need, "a:1", Some("CN=me,O=it's")).contains(r" 'User:CN=me,O=it'\''s' "));
        assert!(command(need, "a:1", None).contains(" 'User:<principal>' "));
    }
}
