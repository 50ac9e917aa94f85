//! Which faults a history has, and how often. A seed draws a random subset: faults that always come
//! together hide each other.

use super::Seed;

/// Chances in a thousand of each call, unless said otherwise. 0 is off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads and polls give few records at a time, at random.
    pub cuts: bool,
    /// A read, poll or position fails in passing.
    pub transient: u32,
    /// A call is held up for up to [`Faults::slow_micros`].
    pub slow: u32,
    pub slow_micros: u64,

    /// A delivery fails: lost, or appended with its answer lost, or appended later.
    pub send: u32,
    /// The broker refuses the first record of a producer to a partition once. With a second one in
    /// flight behind it, the client then reports the refused one as delivered.
    pub refused_first: u32,
    /// What a dropped producer still had queued may be appended, now or much later.
    pub limbo: u32,

    /// A plain offset commit fails, with or without effect, or takes effect later.
    pub commit_lost: u32,
    /// A plain offset commit that was answered lands once more, later.
    pub commit_again: u32,
    /// In a thousand steps: a group's position goes back to one that was committed before.
    pub commit_back: u32,
    /// In a thousand steps: a position of lake or aggregate is forgotten (expiry, deletion of the group).
    pub commit_forgotten: u32,

    /// Records or offsets of a transaction are refused; some of them may stand.
    pub transaction_send: u32,
    /// A commit is certain not to have happened.
    pub transaction_refused: u32,
    /// The answer to a commit is lost: done or not, nobody here knows.
    pub transaction_unknown: u32,
    /// A commit is done, but its end was sent more than once: a copy is still on its way.
    pub transaction_tainted: u32,
    /// The copy of an abort's end is still on its way.
    pub transaction_late_abort: u32,
    /// An end (commit) that nobody saw repeated hits an open transaction: its first part is visible early.
    pub transaction_torn: u32,
    /// Brokers since KIP-890: every end begins a new epoch, so that a late copy of it is refused.
    pub transaction_epochs: bool,

    /// A create fails in passing (409, 503), without effect.
    pub create_refused: u32,
    /// A create's answer is lost: with effect, without, or with effect later.
    pub create_unknown: u32,
    /// A worker is stopped right before a create, and goes on with it when others have taken over.
    pub create_stalled: u32,
    /// In a thousand steps: an operator sets the lake's position to any offset, without metadata.
    pub commit_reset: u32,

    /// So many strikes, and no more: for finding out how few a failure needs. `None`: any number.
    pub strikes_max: Option<u64>,

    /// A broken store, for the mutation check: `create` overwrites.
    pub store_overwrites: bool,
    /// A broken reader, for the mutation check: the end that it names is the last stable offset (restore to EOF).
    pub ends_at_last_stable: bool,
    /// A broken client, for the mutation check: a new producer keeps its forerunner's epoch.
    pub keeps_epoch: bool,
    /// A broken group, for the mutation check: commits of any generation are taken.
    pub admits_every_generation: bool,

    /// One in so many steps: a worker dies (`kill -9`) and is started again. 0 is off.
    pub crash: u64,
    /// One in so many steps: a worker is stopped and goes on later, perhaps as a zombie. 0 is off.
    pub pause: u64,
    /// One in so many steps: a worker's place is taken by a new one while the old one is only stopped. 0 is off.
    pub replace: u64,
    /// One in so many steps: a group's partitions are dealt out again. 0 is off.
    pub rebalance: u64,
    /// Longest stop of a worker, in microseconds.
    pub pause_micros: u64,
    /// A client that was expelled goes on naming a membership, with generation -1 and no member: the hole
    /// through which brokers take offsets of a transaction unchecked.
    pub hollow_membership: bool,
    /// Members without a sign of life are expelled long before a transaction times out.
    pub short_session: bool,
    /// Compacted topics are cleaned often, and without lag.
    pub eager_compaction: bool,
    /// Workers' clocks are wrong by up to a day.
    pub clock_skew: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Faults::default()
    }

    /// What is broken stays so, and reads go on to be cut.
    pub(super) fn healed(&self) -> Self {
        Faults {
            cuts: self.cuts,
            store_overwrites: self.store_overwrites,
            ends_at_last_stable: self.ends_at_last_stable,
            keeps_epoch: self.keeps_epoch,
            admits_every_generation: self.admits_every_generation,
            transaction_epochs: self.transaction_epochs,
            hollow_membership: self.hollow_membership,
            ..Faults::calm()
        }
    }

    /// A random subset, each with a random rate. Histories are short, so the rates are high.
    pub fn draw(chance: &mut Seed) -> Self {
        let mut rate = |most: u64| if chance.one_in(2) { 0 } else { 1 + chance.below(most) as u32 };
        let mut faults = Faults {
            cuts: true,
            transient: rate(40),
            slow: rate(60),
            slow_micros: 0,
            send: rate(100),
            refused_first: rate(300),
            limbo: rate(500),
            commit_lost: rate(200),
            commit_again: rate(200),
            commit_back: rate(10),
            commit_forgotten: 0,
            transaction_send: rate(60),
            transaction_refused: rate(120),
            transaction_unknown: rate(120),
            transaction_tainted: rate(300),
            transaction_late_abort: rate(700),
            transaction_torn: rate(200),
            create_refused: rate(100),
            create_unknown: rate(300),
            ..Faults::default()
        };
        // Zombies and crashes are what the protocols are about: off in one history of four only.
        let mut every = |most: u64| if chance.one_in(4) { 0 } else { chance.between(most / 10, most) };
        (faults.crash, faults.pause) = (every(600), every(600));
        (faults.replace, faults.rebalance) = (every(500), every(1000));
        faults.slow_micros = chance.between(10_000, 4_000_000);
        faults.pause_micros = chance.between(1_000_000, 60_000_000);
        faults.commit_forgotten = if chance.one_in(4) { 3 } else { 0 };
        faults.commit_reset = if chance.one_in(4) { 3 } else { 0 };
        faults.short_session = chance.one_in(2);
        faults.eager_compaction = chance.one_in(2);
        faults.clock_skew = chance.one_in(4);
        faults.transaction_epochs = chance.one_in(8);
        faults.hollow_membership = chance.one_in(2);
        // Drawn aside, so that stored seeds keep their histories.
        let mut aside = Seed(faults.slow_micros ^ faults.pause_micros.rotate_left(32));
        faults.create_stalled = if aside.one_in(2) { 0 } else { 1 + aside.below(300) as u32 };
        if aside.one_in(4) && faults.transaction_torn > 0 {
            faults.transaction_torn += aside.below(600) as u32;
        }
        faults
    }

    /// Kinds that can be left out one at a time, to see which of them a failure needs.
    pub const KINDS: [&str; 29] = [
        "cuts",
        "transient",
        "slow",
        "send",
        "refused_first",
        "limbo",
        "commit_lost",
        "commit_again",
        "commit_back",
        "commit_forgotten",
        "commit_reset",
        "transaction_send",
        "transaction_refused",
        "transaction_unknown",
        "transaction_tainted",
        "transaction_late_abort",
        "transaction_torn",
        "create_refused",
        "create_unknown",
        "create_stalled",
        "crash",
        "pause",
        "replace",
        "rebalance",
        "short_session",
        "eager_compaction",
        "clock_skew",
        "transaction_epochs",
        "hollow_membership",
    ];

    /// False if there is no such kind.
    pub fn leave_out(&mut self, kind: &str) -> bool {
        match kind {
            "cuts" => self.cuts = false,
            "transient" => self.transient = 0,
            "slow" => self.slow = 0,
            "send" => self.send = 0,
            "refused_first" => self.refused_first = 0,
            "limbo" => self.limbo = 0,
            "commit_lost" => self.commit_lost = 0,
            "commit_again" => self.commit_again = 0,
            "commit_back" => self.commit_back = 0,
            "commit_forgotten" => self.commit_forgotten = 0,
            "commit_reset" => self.commit_reset = 0,
            "transaction_send" => self.transaction_send = 0,
            "transaction_refused" => self.transaction_refused = 0,
            "transaction_unknown" => self.transaction_unknown = 0,
            "transaction_tainted" => self.transaction_tainted = 0,
            "transaction_late_abort" => self.transaction_late_abort = 0,
            "transaction_torn" => self.transaction_torn = 0,
            "create_refused" => self.create_refused = 0,
            "create_unknown" => self.create_unknown = 0,
            "create_stalled" => self.create_stalled = 0,
            "crash" => self.crash = 0,
            "pause" => self.pause = 0,
            "replace" => self.replace = 0,
            "rebalance" => self.rebalance = 0,
            "short_session" => self.short_session = false,
            "eager_compaction" => self.eager_compaction = false,
            "clock_skew" => self.clock_skew = false,
            "transaction_epochs" => self.transaction_epochs = false,
            "hollow_membership" => self.hollow_membership = false,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_leaves_out_every_kind_has_a_calm_world() {
        for seed in 0..20 {
            let mut faults = Faults::draw(&mut Seed(seed));
            assert!(Faults::KINDS.iter().all(|kind| faults.leave_out(kind)));
            (faults.slow_micros, faults.pause_micros) = (0, 0);

            assert_eq!(faults, Faults::calm());
        }
    }
}
