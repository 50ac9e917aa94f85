//! All that was seen, for whoever tells it.

use super::row::{CHANGES, Look, REACTIONS, Row};
use super::sent::{Sent, Stored};
use super::{input, name, reaction};
use crate::model::{LogTime, Partition, Role, TopicPartition};
use crate::port::{Ends, Failure, Isolation, Reader};
use crate::telemetry::{self, Exposition};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// The roles of one process. Shared by their threads and by whoever looks.
#[derive(Debug)]
pub struct Board {
    rows: BTreeMap<Role, Mutex<Row>>,
    pub(super) sent: Sent,
    pub(super) stored: Stored,
    /// When the brokers last said where their partitions end.
    measured: Mutex<Option<Instant>>,
}

impl Board {
    pub fn new(roles: &[Role]) -> Board {
        Board {
            rows: roles.iter().map(|&role| (role, Mutex::new(Row::new()))).collect(),
            sent: Sent::default(),
            stored: Stored::default(),
            measured: Mutex::new(None),
        }
    }

    pub(super) fn row(&self, role: Role) -> MutexGuard<'_, Row> {
        let row = self.rows.get(&role).expect("a role is watched only if it stands on the board");
        row.lock().expect("no thread panics while it notes a call")
    }

    pub fn look(&self) -> Vec<Look> {
        self.rows.keys().map(|&role| self.row(role).look(role)).collect()
    }

    /// The partitions of their inputs that roles hold, and who holds them.
    fn held(&self) -> BTreeMap<TopicPartition, Vec<Role>> {
        let mut held: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for &role in self.rows.keys() {
            for &partition in self.row(role).held.keys() {
                held.entry(TopicPartition { topic: input(role), partition }).or_default().push(role);
            }
        }
        held
    }

    /// Offsets that `role` has not read yet, of the partitions that it holds here.
    pub fn lag(&self, role: Role) -> u64 {
        let Some(row) = self.rows.get(&role) else { return 0 };
        let row = row.lock().expect("no thread panics while it notes a call");
        row.held.values().filter_map(|held| Some(held.ends?.next.0.saturating_sub(held.read.0))).sum()
    }

    /// Everything that was seen, as it is `now`.
    pub fn tell(&self, told: &mut Exposition, now: LogTime) {
        for &role in self.rows.keys() {
            tell_row(told, role, &self.row(role), now);
        }
        self.sent.tell(told);
        self.stored.tell(told);
        if let Some(at) = *self.measured.lock().expect("no thread panics while it holds the time") {
            told.set(&telemetry::LOG_ENDS_AGE, &[], at.elapsed().as_secs_f64());
        }
    }

    fn ends(&self, role: Role, partition: Partition, ends: Ends, blocked: u64) {
        if let Some(held) = self.row(role).held.get_mut(&partition) {
            (held.ends, held.blocked) = (Some(ends), blocked);
        }
    }
}

fn tell_row(told: &mut Exposition, role: Role, row: &Row, now: LogTime) {
    let look = row.look(role);
    let role = [name(role)];
    told.set(&telemetry::ROLE_HEARTBEAT_AGE, &role, look.quiet.as_secs_f64());
    told.set(&telemetry::ROLE_ASSIGNED, &role, row.held.len());
    told.set(&telemetry::ROLE_READING, &role, row.held.values().filter(|held| held.is_started).count());
    told.set(&telemetry::ROLE_JOINS, &role, row.joins);
    for (change, count) in CHANGES.iter().zip(row.changes) {
        told.set(&telemetry::ROLE_REBALANCES, &[role[0], change], count);
    }
    for (asked, count) in REACTIONS.iter().zip(row.failures) {
        told.set(&telemetry::ROLE_FAILURES, &[role[0], reaction(*asked)], count);
    }
    told.set(&telemetry::ROLE_COMMITS, &role, row.commits);
    if let Some(LogTime(at)) = row.last_commit {
        told.set(&telemetry::ROLE_LAST_COMMIT, &role, seconds(at));
    }
    told.set(&telemetry::READ_RECORDS, &role, row.records);
    told.set(&telemetry::READ_BYTES, &role, row.bytes);
    for (partition, held) in row.held.iter().filter(|(_, held)| held.is_started) {
        let labels = [role[0], &partition.to_string()];
        if let Some(committed) = held.committed {
            told.set(&telemetry::COMMITTED_OFFSET, &labels, committed.0);
            told.set(&telemetry::UNCOMMITTED_OFFSETS, &labels, held.read.0.saturating_sub(committed.0));
        }
        let Some(ends) = held.ends else { continue };
        let lag = ends.next.0.saturating_sub(held.read.0);
        let age = held.newest.map_or(0, |newest| now.0.saturating_sub(newest.0).max(0));
        told.set(&telemetry::READ_LAG_OFFSETS, &labels, lag);
        told.set(&telemetry::READ_LAG_SECONDS, &labels, if lag == 0 { 0.0 } else { seconds(age) });
        told.set(&telemetry::READ_BLOCKED_OFFSETS, &labels, held.blocked);
        let committed = held.committed.unwrap_or(held.read);
        told.set(&telemetry::RETAINED_OFFSETS, &labels, committed.0.saturating_sub(ends.first.0));
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Asks where the partitions end that roles hold. Each is asked for once, whoever reads it.
pub async fn measure(reader: &mut dyn Reader, board: &Board) -> Result<(), Failure> {
    for (at, roles) in board.held() {
        let all = reader.ends(at, Isolation::ReadUncommitted).await?.next;
        // What nobody may read yet is nobody's lag.
        let ends = reader.ends(at, Isolation::ReadCommitted).await?;
        // Asked for first: a transaction that ends between the two is not there any more.
        let blocked = all.0.saturating_sub(ends.next.0);
        roles.into_iter().for_each(|role| board.ends(role, at.partition, ends, blocked));
    }
    *board.measured.lock().expect("no thread panics while it holds the time") = Some(Instant::now());
    Ok(())
}
