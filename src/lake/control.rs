//! The small objects beside the data: one chain of plans for each source, and the topologies that made them.
//!
//! All are create-only. They lie outside the tables' prefixes, because an engine reads all that lies there.

use super::json::{hex64, position};
use super::path::{decode_text, encode_text};
use crate::model::{CommittedOffset, NextOffset, Partition, Source};
use serde::{Deserialize, Serialize};

/// Where the chain of one source is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub topic: String,
    pub source: Source,
}

/// One object of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKey {
    Genesis,
    /// The slot of the plan that starts here.
    Plan(NextOffset),
    /// The plan that starts here can never be finished.
    Lost(NextOffset),
    Checkpoint(u64),
}

impl Chain {
    /// Folder of this chain. `prefix` is empty or ends in `/`.
    pub fn folder(&self, prefix: &str) -> String {
        let Source { incarnation, partition } = self.source;
        format!("{prefix}_control/v1/{}/{incarnation}/p{partition}/", encode_text(self.topic.as_bytes()))
    }

    pub fn path(&self, prefix: &str, key: ControlKey) -> String {
        let folder = self.folder(prefix);
        match key {
            ControlKey::Genesis => format!("{folder}genesis"),
            ControlKey::Plan(start) => format!("{folder}{:020}.plan", start.0),
            ControlKey::Lost(start) => format!("{folder}{:020}.lost", start.0),
            ControlKey::Checkpoint(k) => format!("{folder}cp/{k}"),
        }
    }

    /// Reads a path back; `None` for whatever [`Chain::path`] would not have written.
    pub fn parse(prefix: &str, path: &str) -> Option<(Chain, ControlKey)> {
        let rest = path.strip_prefix(prefix)?.strip_prefix("_control/v1/")?;
        let mut parts = rest.splitn(4, '/');
        let topic = String::from_utf8(decode_text(parts.next()?)?).ok()?;
        let incarnation = parts.next()?.parse().ok()?;
        let partition = Partition(parts.next()?.strip_prefix('p')?.parse().ok()?);
        let name = parts.next()?;
        let key = if name == "genesis" {
            ControlKey::Genesis
        } else if let Some(k) = name.strip_prefix("cp/") {
            ControlKey::Checkpoint(k.parse().ok()?)
        } else if let Some(start) = name.strip_suffix(".plan") {
            ControlKey::Plan(NextOffset(start.parse().ok()?))
        } else {
            ControlKey::Lost(NextOffset(name.strip_suffix(".lost")?.parse().ok()?))
        };
        let chain = Chain { topic, source: Source { incarnation, partition } };
        (chain.path(prefix, key) == path).then_some((chain, key))
    }
}

/// Where the topology with this configuration hash is kept.
pub fn config_path(prefix: &str, configuration: u64) -> String {
    format!("{prefix}_control/v1/config/{configuration:016x}.json")
}

/// Where a chain starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    #[serde(with = "position")]
    pub s: NextOffset,
}

/// The plan with index 1000k, so that nobody has to walk from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub n: u64,
    #[serde(with = "position")]
    pub s: NextOffset,
}

/// What can never be written, because the log lost the records: keys of the missing files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    #[serde(with = "position")]
    pub s: NextOffset,
    #[serde(with = "position")]
    pub e: NextOffset,
    pub missing: Vec<String>,
}

/// A topology as it was read, for whoever finishes or verifies a plan that it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTopology {
    #[serde(with = "hex64")]
    pub configuration: u64,
    pub text: String,
}

impl StoredTopology {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are JSON")
    }

    pub fn decode(bytes: &[u8]) -> Result<StoredTopology, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("damaged topology: {error}"))
    }
}

/// What rides in the metadata of an offset commit: the slot of the plan that ends at the offset.
#[derive(Serialize, Deserialize)]
struct Hint {
    #[serde(with = "position")]
    q: NextOffset,
}

/// The offset commit behind a finished plan. Only a hint: the next owner proves it by the slot.
pub fn hint(slot: NextOffset, next: NextOffset) -> CommittedOffset {
    let metadata = serde_json::to_string(&Hint { q: slot }).expect("a number is JSON");
    CommittedOffset { next, metadata }
}

/// The slot that a commit's metadata names; `None` for a commit that is not ours.
pub fn hinted_slot(committed: &CommittedOffset) -> Option<NextOffset> {
    serde_json::from_str(&committed.metadata).ok().map(|hint: Hint| hint.q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Incarnation;
    use proptest::prelude::*;

    fn chain() -> Chain {
        let source = Source { incarnation: Incarnation(0xabc), partition: Partition(3) };
        Chain { topic: "events.v1".into(), source }
    }

    #[test]
    fn control_objects_lie_where_the_layout_says() {
        let folder = "lake/_control/v1/events.v1/00000000000000000000000000000abc/p3/";
        let expected = [
            (ControlKey::Genesis, "genesis"),
            (ControlKey::Plan(NextOffset(1200)), "00000000000000001200.plan"),
            (ControlKey::Lost(NextOffset(1200)), "00000000000000001200.lost"),
            (ControlKey::Checkpoint(7), "cp/7"),
        ];
        for (key, name) in expected {
            let path = format!("{folder}{name}");
            assert_eq!(chain().path("lake/", key), path);
            assert_eq!(Chain::parse("lake/", &path), Some((chain(), key)));
        }
        assert_eq!(config_path("", 0xbeef), "_control/v1/config/000000000000beef.json");
        assert_eq!(Chain::parse("", &config_path("", 0xbeef)), None);
    }

    proptest! {
        #[test]
        fn a_control_path_gives_its_key_back(topic: String, incarnation: u128, partition: u32, at: u64, kind in 0..4) {
            let source = Source { incarnation: Incarnation(incarnation), partition: Partition(partition) };
            let key = match kind {
                0 => ControlKey::Genesis,
                1 => ControlKey::Plan(NextOffset(at)),
                2 => ControlKey::Lost(NextOffset(at)),
                _ => ControlKey::Checkpoint(at),
            };
            let chain = Chain { topic, source };
            prop_assert_eq!(Chain::parse("p/", &chain.path("p/", key)), Some((chain, key)));
        }
    }
}
