//! Environment variables, laid over the file: `THALWEG__KAFKA__BROKERS` is `kafka.brokers`.
//!
//! Two underscores separate levels, letters may be large or small, and the environment wins. Variables with
//! another prefix are not ours: Kubernetes itself makes `THALWEG_PORT` for a service of that name.

use super::problem::variable;
use crate::yaml::{Kind, Member, Node, Place, Problems, shorten};
use std::collections::BTreeMap;

const PREFIX: &str = "THALWEG__";
/// Deeper than any key; the tree is dropped by recursion.
const LEVELS_MAX: usize = 4;

/// Puts every variable of ours into the tree. Returns their names: number *n* is that of [`variable`] *n*.
pub(super) fn lay_over(
    root: &mut Node,
    variables: &[(String, String)],
    problems: &mut Problems,
) -> Vec<String> {
    let mut ours: Vec<&(String, String)> = variables.iter().filter(|(name, _)| is_ours(name)).collect();
    // A process has no order of variables; problems should have one.
    ours.sort();
    let mut seen: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    for (number, (name, value)) in ours.iter().enumerate() {
        let at = variable(number);
        let path = path(name);
        if let Some(first) = seen.get(&path) {
            problems.add(at, format!("`{}` says the same key; give it once", shorten(first)));
            continue;
        }
        if let Err(why) = set(root, &path, value, at) {
            problems.add(at, why);
        }
        seen.insert(path, name);
    }
    ours.iter().map(|(name, _)| shorten(name)).collect()
}

fn is_ours(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn path(name: &str) -> Vec<String> {
    let mut path: Vec<String> =
        name[PREFIX.len()..].to_ascii_lowercase().split("__").map(str::to_owned).collect();
    // The client's settings have points in their names, and a shell's variables cannot.
    if let [kafka, client, setting] = &mut path[..]
        && (kafka.as_str(), client.as_str()) == ("kafka", "client")
    {
        *setting = setting.replace('_', ".");
    }
    path
}

fn set(node: &mut Node, path: &[String], value: &str, at: Place) -> Result<(), String> {
    if path.len() > LEVELS_MAX {
        return Err(format!("no key is deeper than {LEVELS_MAX} levels, which two underscores separate"));
    }
    let Some((key, rest)) = path.split_first() else {
        return put(node, value, at);
    };
    if key.is_empty() {
        return Err("a name is missing beside two underscores, which separate levels".into());
    }
    if matches!(node.kind, Kind::Null) {
        node.kind = Kind::Map(Vec::new());
    }
    let Kind::Map(members) = &mut node.kind else {
        return Err(format!("`{}` has no place: above it stands no map", shorten(key)));
    };
    let found = members.iter().position(|member| member.key == *key).unwrap_or_else(|| {
        members.push(Member { key: key.clone(), place: at, value: Node { place: at, kind: Kind::Null } });
        members.len() - 1
    });
    set(&mut members[found].value, rest, value, at)
}

/// Always as text: what a number or a list is, the key decides.
fn put(node: &mut Node, value: &str, at: Place) -> Result<(), String> {
    if matches!(node.kind, Kind::Map(_)) {
        return Err("this is a map: name one of its keys behind two more underscores".into());
    }
    if value.is_empty() {
        return Err("it is empty; give it a value, or unset it".into());
    }
    *node = Node { place: at, kind: Kind::Scalar(value.into()) };
    Ok(())
}
