//! Has the lake gone past the cuts? What it stored by the old topology lacks what only the new one reads.

use crate::lake::position::{Ask, Fact, Step, Walk};
use crate::lake::{Chain, ControlKey};
use crate::model::{Incarnation, NextOffset, Partition, Source};
use crate::port::Objects;
use crate::topology::{Topology, compare};
use crate::worker::{Context, Refused};
use std::collections::BTreeMap;

/// Only where the two read events, or store them, in different ways.
pub(super) async fn check(
    context: &Context,
    new: &Topology,
    incarnation: Incarnation,
    cuts: &BTreeMap<Partition, NextOffset>,
) -> Result<(), Refused> {
    let changes = compare(&context.topology, new);
    if !changes.iter().any(|change| change.what.starts_with("events.") || change.what.starts_with("lake.")) {
        return Ok(());
    }
    for (&partition, &cut) in cuts {
        let chain =
            Chain { topic: context.topology.events.topic.clone(), source: Source { incarnation, partition } };
        let end = end(&*context.objects, &context.settings.prefix, &chain).await?;
        if let Some(end) = end.filter(|&end| end > cut) {
            return Err(Refused::Wrong(format!(
                "the lake holds raw partition {partition} up to {end} as the old topology reads it, beyond the cut at {cut}: \
                 stop the lake workers before a cut-over that changes fields"
            )));
        }
    }
    Ok(())
}

/// Where the chain ends; `None` without one.
async fn end(objects: &dyn Objects, prefix: &str, chain: &Chain) -> Result<Option<NextOffset>, Refused> {
    let mut walk = Walk::from_commit(None);
    loop {
        let fact = match walk.ask() {
            Ask::Read(key) => {
                let body = objects.read(&chain.path(prefix, key)).await?;
                if body.is_none() && key == ControlKey::Genesis {
                    return Ok(None);
                }
                Fact::Object(body)
            }
            Ask::Start | Ask::Create(..) => return Ok(None),
        };
        match walk.tell(fact).map_err(Refused::Wrong)? {
            Step::On(next) => walk = next,
            Step::Found(position) => return Ok(Some(position.at)),
        }
    }
}
