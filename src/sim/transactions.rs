//! The transactional producer's port.

use super::state::State;
use super::wire::{Wire, failure};
use crate::model::{NextOffset, OutBatch, OutRecord, Partition, Role, TopicPartition};
use crate::port::{Ended, Failure, Membership, Pending, Reaction, Transactions};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct SimTransactions {
    wire: Wire,
    id: String,
    epoch: u32,
    /// After an abort or a tainted commit a copy of its end may be on its way (I13).
    needs_new_epoch: bool,
}

impl SimTransactions {
    pub(super) async fn init(wire: Wire) -> Result<Self, Failure> {
        wire.call("init of a transactional producer").await?;
        let (id, epoch) = {
            let mut state = wire.state();
            let id = format!("worker-{}", state.tasks[wire.task].worker);
            let known = state.tasks[wire.task].epoch.filter(|&epoch| state.is_current(&id, epoch));
            let epoch = match known.filter(|_| state.faults.keeps_epoch) {
                Some(epoch) => epoch,
                None => state.new_epoch(&id),
            };
            state.tasks[wire.task].epoch = Some(epoch);
            (id, epoch)
        };
        wire.hop().await;
        Ok(SimTransactions { wire, id, epoch, needs_new_epoch: false })
    }

    /// A newer producer of the same id, or the coordinator's patience, ended this one.
    fn check_epoch(&self, state: &State) -> Result<(), Failure> {
        match state.is_current(&self.id, self.epoch) {
            true => Ok(()),
            false => Err(failure(Reaction::Rejoin, format!("producer `{}` is fenced", self.id))),
        }
    }

    fn append(&self, to: TopicPartition, record: OutRecord) -> Result<(), Failure> {
        let mut state = self.wire.state();
        self.check_epoch(&state)?;
        let rate = state.faults.transaction_send;
        if state.strikes(rate) {
            return Err(self.refused("a record"));
        }
        state.append_open(&self.id, to, record);
        Ok(())
    }

    fn refused(&self, what: &str) -> Failure {
        failure(Reaction::Replay, format!("{what} of producer `{}` was refused", self.id))
    }
}

impl Transactions for SimTransactions {
    fn begin(&mut self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            let mut state = self.wire.state();
            self.check_epoch(&state)?;
            if self.needs_new_epoch && !state.faults.transaction_epochs {
                state.violation(format!("I13: `{}` began again in epoch {}", self.id, self.epoch));
            }
            let is_member = state.group(Role::Aggregate).has(self.wire.task);
            state.transaction_begun(&self.id, self.epoch, is_member);
            Ok(())
        })
    }

    fn send<'a>(&'a mut self, to: TopicPartition, records: &'a OutBatch) -> Pending<'a, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            for record in records.to_records() {
                self.append(to, record)?;
                // Between two records anything may end the transaction, but mostly nothing comes between.
                if self.wire.state().chance.one_in(8) {
                    self.wire.hop().await;
                }
            }
            self.wire.hop().await;
            Ok(())
        })
    }

    fn send_one<'a>(&'a mut self, to: TopicPartition, record: &'a OutRecord) -> Pending<'a, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            self.append(to, record.clone())?;
            self.wire.hop().await;
            Ok(())
        })
    }

    fn send_offsets(
        &mut self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Pending<'_, ()> {
        let (offsets, member) = (offsets.clone(), member.clone());
        Box::pin(async move {
            self.wire.hop().await;
            {
                let mut state = self.wire.state();
                self.check_epoch(&state)?;
                let rate = state.faults.transaction_send;
                if state.strikes(rate) {
                    return Err(self.refused("offsets"));
                }
                if offsets.is_empty() {
                    state.violation("I12: an empty list of offsets fences nothing".into());
                }
                // Brokers take these even while the group has members.
                let is_unfenced = member.generation < 0 && member.member.is_empty();
                if is_unfenced {
                    state.violation("I12: offsets without generation and member".into());
                }
                let id = member.member.parse().unwrap_or(u64::MAX);
                let admits = state.faults.admits_every_generation
                    || state.group(Role::Aggregate).admits(id, member.generation);
                if !is_unfenced && !admits {
                    let text = format!("generation {} is not the group's", member.generation);
                    return Err(failure(Reaction::Rejoin, text));
                }
                state.add_offsets(&self.id, &offsets);
            }
            self.wire.hop().await;
            Ok(())
        })
    }

    fn commit(&mut self) -> Pending<'_, Ended> {
        Box::pin(async move {
            self.wire.hop().await;
            let ended = {
                let mut state = self.wire.state();
                self.check_epoch(&state)?;
                let rate = state.faults.transaction_refused;
                // Where a late end came first there is nothing left to refuse: brokers answer an end like the one before
                // with success.
                if state.has_open(&self.id) && state.strikes(rate) {
                    return Err(self.refused("commit"));
                }
                let rate = state.faults.transaction_unknown;
                if state.strikes(rate) {
                    if state.chance.one_in(2) {
                        state.end(&self.id, true);
                    }
                    self.needs_new_epoch = true;
                    return Err(failure(Reaction::Rejoin, "the answer to a commit was lost"));
                }
                let rate = state.faults.transaction_tainted;
                let is_tainted = state.strikes(rate);
                state.end(&self.id, true);
                if is_tainted {
                    // The copy is a retry of the commit, or the abort of a client that had given up.
                    let commit = state.chance.one_in(2);
                    state.end_again_later(&self.id, self.epoch, commit);
                    self.needs_new_epoch = true;
                }
                self.epoch = state.epoch_of(&self.id);
                if is_tainted { Ended::Tainted } else { Ended::Clean }
            };
            self.wire.hop().await;
            Ok(ended)
        })
    }

    fn abort(&mut self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            {
                let mut state = self.wire.state();
                self.check_epoch(&state)?;
                state.end(&self.id, false);
                self.needs_new_epoch = true;
                let rate = state.faults.transaction_late_abort;
                if state.strikes(rate) {
                    state.end_again_later(&self.id, self.epoch, false);
                }
                self.epoch = state.epoch_of(&self.id);
            }
            self.wire.hop().await;
            Ok(())
        })
    }
}
