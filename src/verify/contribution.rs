//! What one event adds to which keys, by the topology's sentences read one after another.

use super::event::Event;
use super::value::{Value, multiply, passes};
use crate::topology::{Aggregate, Condition, Expression, Input, Topology};
use std::collections::BTreeMap;

/// One element's values, by the aggregate's columns.
pub(super) type Element = Vec<Option<Value>>;

/// All elements of one event for one key of one aggregate, with their numbers in the event.
#[derive(Debug)]
pub(super) struct Contribution {
    /// The row key up to and with `by`.
    pub prefix: String,
    pub elements: Vec<(u32, Element)>,
}

pub(super) fn contributions(topology: &Topology, aggregate: &Aggregate, event: &Event) -> Vec<Contribution> {
    let taken = aggregate.inputs.iter().find(|input| holds(&input.when, &event.fields));
    let Some(input) = taken else { return Vec::new() };
    let mut keys: BTreeMap<String, Vec<(u32, Element)>> = BTreeMap::new();
    for (number, element) in (0u32..).zip(elements(input, topology, event)) {
        if let Some(prefix) = prefix(aggregate, &event.tenant, &element) {
            keys.entry(prefix).or_default().push((number, element));
        }
    }
    keys.into_iter().map(|(prefix, elements)| Contribution { prefix, elements }).collect()
}

/// Any group of which all tests hold; no group at all: always.
pub(super) fn holds(condition: &Condition, columns: &[Option<Value>]) -> bool {
    let test = |test: &crate::topology::Test| passes(columns[test.column].as_ref(), &test.check);
    condition.any.is_empty() || condition.any.iter().any(|group| group.iter().all(test))
}

fn elements(input: &Input, topology: &Topology, event: &Event) -> Vec<Element> {
    let evaluate = |item: &Item<'_>| {
        let source =
            |source: &Option<Expression>| source.as_ref().and_then(|source| value(source, event, item));
        input.sources.iter().map(source).collect::<Element>()
    };
    let Some(each) = input.each else { return vec![evaluate(&Item::None)] };
    debug_assert!(each < topology.events.fields.len());
    match &event.fields[each] {
        None => Vec::new(),
        Some(Value::List(items)) => {
            items.iter().enumerate().map(|(index, item)| evaluate(&Item::List(index, item))).collect()
        }
        Some(Value::Map(members)) => {
            let member =
                |(index, (key, value)): (usize, &(String, Value))| evaluate(&Item::Map(index, key, value));
            members.iter().enumerate().map(member).collect()
        }
        Some(_) => unreachable!("`each` names a list or a map"),
    }
}

enum Item<'a> {
    None,
    List(usize, &'a [Option<Value>]),
    Map(usize, &'a str, &'a Value),
}

fn value(expression: &Expression, event: &Event, item: &Item<'_>) -> Option<Value> {
    match (expression, item) {
        (Expression::Field(field), _) => event.fields[*field].clone(),
        (Expression::Multiply(left, right), item) => {
            multiply(&value(left, event, item)?, &value(right, event, item)?)
        }
        (Expression::Item(place), Item::List(_, members)) => members.get(*place)?.clone(),
        (Expression::MapKey, Item::Map(_, key, _)) => Some(Value::Text((*key).to_string())),
        (Expression::MapValue, Item::Map(_, _, value)) => Some((*value).clone()),
        (Expression::Index, Item::List(index, _) | Item::Map(index, ..)) => {
            Some(Value::Number(*index as i128, 0))
        }
        _ => None,
    }
}

/// `None` where a `by` column is absent.
fn prefix(aggregate: &Aggregate, tenant: &str, element: &Element) -> Option<String> {
    let quoted = |text: &str| serde_json::to_string(text).expect("text makes JSON");
    let mut by = Vec::new();
    for &column in &aggregate.by {
        let text = element[column].as_ref()?.text();
        by.push(format!("{}:{}", quoted(&aggregate.columns[column].name), quoted(&text)));
    }
    let (name, tenant, by) = (quoted(&aggregate.name), quoted(tenant), by.join(","));
    Some(format!("{{\"aggregate\":{name},\"tenant_id\":{tenant},\"by\":{{{by}}}"))
}
