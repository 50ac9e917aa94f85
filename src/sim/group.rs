//! One consumer group at its coordinator: members, generations, who holds what, what was committed.
//!
//! ```text
//! Steady ─join, leave, expelled, dealt out again─► Preparing ─all members are here─► Steady (next generation)
//!                                                     ▲                                  │
//!                                                     └── released what was revoked ◄────┘
//! ```
//!
//! Cooperative: what goes from one member to another is first revoked and released, and given only in
//! the generation after that. A member that never comes is expelled by the clock (`state`).

use super::Seed;
use crate::model::{CommittedOffset, LogTime, Partition};
use std::collections::{BTreeMap, BTreeSet};

pub(super) type MemberId = u64;

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) generation: i32,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) committed: BTreeMap<Partition, CommittedOffset>,
    /// All that ever was committed: positions that a backward commit may bring back.
    pub(super) history: BTreeMap<Partition, Vec<(LogTime, CommittedOffset)>>,
    pub(super) partitions: u32,
    preparing: bool,
    deal: bool,
    next_member: MemberId,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) task: usize,
    /// -1 until its first generation begins.
    pub(super) generation: i32,
    /// Nobody polls for it any more; its session will end.
    pub(super) dropped: bool,
    here: bool,
    held: BTreeSet<Partition>,
    target: BTreeSet<Partition>,
    /// Free in this generation, and not yet told.
    granted: BTreeSet<Partition>,
    /// A generation began, and the member has not heard what it gets.
    is_new: bool,
    revoke: Revoke,
}

#[derive(Debug, PartialEq, Eq)]
enum Revoke {
    None,
    Due,
    Told,
}

/// What a member hears when it polls.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

impl Group {
    pub(super) fn new(partitions: u32) -> Self {
        Group { partitions, ..Group::default() }
    }

    pub(super) fn join(&mut self, task: usize) -> MemberId {
        let id = self.next_member;
        self.next_member += 1;
        self.members.insert(
            id,
            Member {
                task,
                generation: -1,
                dropped: false,
                here: true,
                held: BTreeSet::new(),
                target: BTreeSet::new(),
                granted: BTreeSet::new(),
                is_new: false,
                revoke: Revoke::None,
            },
        );
        self.prepare(true);
        self.members.get_mut(&id).expect("just joined").here = true;
        id
    }

    /// Calls for the next generation; with `deal` the partitions are dealt out again.
    pub(super) fn prepare(&mut self, deal: bool) {
        self.deal |= deal;
        if !self.preparing {
            self.preparing = true;
            self.members.values_mut().for_each(|member| member.here = false);
        }
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.preparing
    }

    /// Members that the next generation waits for.
    pub(super) fn missing(&self) -> Vec<MemberId> {
        let is_missing = |member: &Member| self.preparing && !member.here;
        self.members.iter().filter(|(_, member)| is_missing(member)).map(|(&id, _)| id).collect()
    }

    /// A member polls: it takes part in the next generation, unless it still owes a release.
    pub(super) fn arrive(&mut self, id: MemberId, chance: &mut Seed) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if self.preparing && member.revoke == Revoke::None {
            member.here = true;
        }
        self.begin_generation(chance);
    }

    fn begin_generation(&mut self, chance: &mut Seed) {
        if !self.preparing || self.members.values().any(|member| !member.here) {
            return;
        }
        self.preparing = false;
        self.generation += 1;
        if std::mem::take(&mut self.deal) {
            self.deal_out(chance);
        }
        let held: BTreeSet<Partition> = self.members.values().flat_map(|m| m.held.iter().copied()).collect();
        for member in self.members.values_mut() {
            member.generation = self.generation;
            member.granted = member.target.difference(&held).copied().collect();
            member.is_new = true;
            let keeps_all = member.held.is_subset(&member.target);
            member.revoke = if keeps_all { Revoke::None } else { Revoke::Due };
        }
    }

    /// Random, but mostly sticky and mostly even, like the real assignors.
    fn deal_out(&mut self, chance: &mut Seed) {
        let mut ids: Vec<MemberId> = self.members.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        chance.shuffle(&mut ids);
        let sticky = chance.one_in(2);
        let most = (self.partitions as usize).div_ceil(ids.len());
        self.members.values_mut().for_each(|member| member.target.clear());
        for partition in (0..self.partitions).map(Partition) {
            let holder = ids.iter().copied().find(|id| self.members[id].held.contains(&partition));
            let stays = holder.filter(|id| sticky && self.members[id].target.len() < most);
            let next = ids.iter().copied().min_by_key(|id| self.members[id].target.len());
            let owner = stays.or(next).expect("there are members");
            self.members.get_mut(&owner).expect("an id of a member").target.insert(partition);
        }
    }

    pub(super) fn news(&mut self, id: MemberId) -> Option<News> {
        let member = self.members.get_mut(&id)?;
        if member.revoke == Revoke::Due {
            member.revoke = Revoke::Told;
            let going = member.held.difference(&member.target).copied().collect();
            return Some(News::Revoked(going));
        }
        if !std::mem::take(&mut member.is_new) {
            return None;
        }
        let granted = std::mem::take(&mut member.granted);
        member.held.extend(&granted);
        Some(News::Assigned(granted.into_iter().collect()))
    }

    pub(super) fn release(&mut self, id: MemberId, partitions: &[Partition], chance: &mut Seed) {
        let Some(member) = self.members.get_mut(&id) else { return };
        partitions.iter().for_each(|partition| {
            member.held.remove(partition);
        });
        if member.held.is_subset(&member.target) {
            member.revoke = Revoke::None;
        }
        self.prepare(false);
        self.arrive(id, chance);
    }

    /// Left, or gone without a word: what it held is free.
    pub(super) fn remove(&mut self, id: MemberId, chance: &mut Seed) {
        if self.members.remove(&id).is_some() {
            self.prepare(true);
            self.begin_generation(chance);
        }
    }

    /// May this member commit in this generation?
    pub(super) fn admits(&self, id: MemberId, generation: i32) -> bool {
        let admitted = self.members.get(&id).map(|member| member.generation);
        generation >= 0 && generation == self.generation && admitted == Some(generation)
    }

    /// Is a member of this task's in the generation that is valid?
    pub(super) fn has(&self, task: usize) -> bool {
        self.members.values().any(|member| member.task == task && member.generation == self.generation)
    }

    pub(super) fn commit(&mut self, partition: Partition, now: LogTime, offset: CommittedOffset) {
        self.history.entry(partition).or_default().push((now, offset.clone()));
        self.committed.insert(partition, offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(partitions: u32) -> (Group, Seed) {
        (Group::new(partitions), Seed(3))
    }

    #[test]
    fn the_first_member_gets_everything() {
        let (mut group, mut chance) = group(3);
        let a = group.join(0);

        group.arrive(a, &mut chance);
        assert_eq!(group.generation, 1);
        assert_eq!(group.news(a), Some(News::Assigned((0..3).map(Partition).collect())));
        assert_eq!(group.news(a), None);
    }

    #[test]
    fn a_partition_is_given_on_only_after_its_release() {
        let (mut group, mut chance) = group(2);
        let a = group.join(0);
        group.arrive(a, &mut chance);
        group.news(a);
        let b = group.join(1);
        group.arrive(b, &mut chance);
        group.arrive(a, &mut chance);
        assert_eq!(group.generation, 2);

        assert_eq!(group.news(b), Some(News::Assigned(Vec::new())));
        let Some(News::Revoked(going)) = group.news(a) else { panic!("one goes to the other member") };
        assert_eq!(going.len(), 1);
        group.arrive(b, &mut chance);
        assert_eq!((group.generation, group.news(b)), (2, None));
        assert!(group.admits(a, 2), "what is going may still be committed");

        group.release(a, &going, &mut chance);
        group.arrive(b, &mut chance);
        assert_eq!(group.generation, 3);
        assert_eq!(group.news(b), Some(News::Assigned(going)));
    }

    #[test]
    fn the_commit_of_an_expelled_member_is_refused() {
        let (mut group, mut chance) = group(1);
        let (a, b) = (group.join(0), group.join(1));
        group.arrive(a, &mut chance);
        group.arrive(b, &mut chance);
        assert!(group.admits(a, 1));

        group.remove(a, &mut chance);
        group.arrive(b, &mut chance);
        assert!(!group.admits(a, 1));
        assert!(!group.admits(b, 1));
        assert!(group.admits(b, 2));
    }
}
