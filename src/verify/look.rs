//! Which deliveries stand behind a difference: the lake is read once more, for those alone.

use super::contribution::contributions;
use super::cover::Covered;
use super::event::{Event, read_events};
use super::fold::{Id, id_of};
use super::force::Topologies;
use super::report::{PLACES_MAX, Report};
use super::run::NotVerified;
use super::scope::{Scope, tenant_of};
use super::window::{in_rolling, window};
use crate::lake::{FileKey, PartitionValue};
use crate::model::{Coordinate, Source};
use crate::port::Objects;
use crate::topology::{PartitionColumn, Topology, WindowKind, refused_table};
use std::collections::BTreeMap;

/// The files that are looked at.
pub(super) struct Lake<'a> {
    pub topologies: &'a Topologies<'a>,
    pub objects: &'a dyn Objects,
    pub prefix: &'a str,
    pub covered: &'a BTreeMap<Source, Covered>,
    pub scope: Scope,
}

impl Lake<'_> {
    pub(super) fn is_refused(&self, key: &str, topology: &Topology) -> bool {
        FileKey::parse(self.prefix, key).is_some_and(|key| key.table == refused_table(&topology.lake))
    }

    /// Whether anything in the file may be of a tenant that is looked at: its folder says so, if it names one.
    pub(super) fn is_wanted(&self, key: &str, is_refused: bool) -> bool {
        if is_refused {
            return self.scope.has_log;
        }
        self.scope.part.is_none()
            || tenant_in(self.prefix, key).is_none_or(|tenant| self.scope.takes(&tenant))
    }
}

fn tenant_in(prefix: &str, key: &str) -> Option<String> {
    let partition = FileKey::parse(prefix, key)?.partition;
    partition.into_iter().find_map(|(column, value)| match (column, value) {
        (PartitionColumn::TenantId, PartitionValue::Text(tenant)) => Some(tenant),
        _ => None,
    })
}

/// Which deliveries belong to a difference.
#[derive(Debug, Clone)]
pub(super) enum Deliveries {
    /// Those that a row counts.
    Row {
        aggregate: String,
        prefix: String,
        kind: WindowKind,
        start: i64,
        now: Option<i64>,
    },
    Id(Id),
}

#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Its place in the report.
    difference: usize,
    /// `None`: any.
    tenant: Option<String>,
    deliveries: Deliveries,
}

impl Wanted {
    /// For the difference that was told last, if it is kept.
    pub(super) fn last(report: &Report, deliveries: Deliveries) -> Option<Wanted> {
        let kept = report.differences.len();
        let tenant = match &deliveries {
            Deliveries::Row { prefix, .. } => tenant_of(prefix),
            Deliveries::Id(_) => None,
        };
        (report.difference_count as usize == kept).then(|| Wanted {
            difference: kept - 1,
            tenant,
            deliveries,
        })
    }

    fn is_of(&self, event: &Event, topology: &Topology) -> bool {
        match &self.deliveries {
            Deliveries::Id(id) => id_of(event) == *id,
            Deliveries::Row { aggregate, prefix, kind, start, now } => {
                let is_in = match *kind {
                    WindowKind::Rolling { length, pane } => {
                        now.is_some_and(|now| in_rolling(event.time, now, length, pane))
                    }
                    WindowKind::Ever => true,
                    kind => window(kind, &topology.zone, event.time).0 == *start,
                };
                let known = topology.aggregates.iter().find(|known| known.name == *aggregate);
                let adds =
                    |known| contributions(topology, known, event).iter().any(|one| one.prefix == *prefix);
                is_in && known.is_some_and(adds)
            }
        }
    }
}

/// Names coordinates in the report's differences.
pub(super) async fn look(lake: &Lake<'_>, wanted: &[Wanted], report: &mut Report) -> Result<(), NotVerified> {
    if wanted.is_empty() {
        return Ok(());
    }
    let plans = lake.covered.values().flat_map(|chain| &chain.plans);
    for plan in plans {
        let topology = lake.topologies.get(plan.configuration)?;
        for file in &plan.files {
            let tenant = tenant_in(lake.prefix, &file.key);
            let may_hold = |one: &&Wanted| {
                let is_its = one.tenant.is_none() || tenant.is_none() || one.tenant == tenant;
                is_its && report.differences[one.difference].look_at.len() < PLACES_MAX
            };
            let here: Vec<&Wanted> = wanted.iter().filter(may_hold).collect();
            if here.is_empty() || lake.is_refused(&file.key, topology) {
                continue;
            }
            let Some(bytes) = lake.objects.read(&file.key).await? else { continue };
            read_events(&file.key, bytes, topology, |event| {
                for one in here.iter().filter(|one| one.is_of(&event, topology)) {
                    let places = &mut report.differences[one.difference].look_at;
                    if places.len() < PLACES_MAX {
                        places.push(Coordinate { source: event.source, offset: event.offset }.to_string());
                    }
                }
            })?;
        }
    }
    Ok(())
}
