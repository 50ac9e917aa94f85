//! What an offset commit of route says besides the offset: enough for a session to start from it alone.

use crate::model::{
    CommittedOffset, Damaged, Incarnation, NextOffset, Offset, Reader, RoutingVersion, TARGETS_MAX, Writer,
};

/// A committed position of one source. All below `at` is acknowledged, and `last` names for each
/// target the last unit below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePosition {
    pub incarnation: Incarnation,
    pub version: RoutingVersion,
    pub at: NextOffset,
    pub last: Vec<Option<Offset>>,
}

/// The commit is not one of ours: a tool, an expiry or an import moved the group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignPosition {
    #[error("offset {at} was committed without metadata of ours")]
    Unmarked { at: NextOffset },
    #[error("offset {at} was committed with damaged metadata")]
    Damaged { at: NextOffset },
    #[error("offset {at} was committed with metadata that belongs to offset {stated}")]
    Moved { at: NextOffset, stated: NextOffset },
    #[error("offset {at} was committed for {found} targets, not {expected}")]
    Targets { at: NextOffset, found: usize, expected: u32 },
}

const MARK: &str = "thalweg-route-1:";
/// What brokers allow by default.
const METADATA_BYTES_MAX: usize = 4_096;
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl RoutePosition {
    /// Where nothing was routed yet.
    pub fn first(incarnation: Incarnation, version: RoutingVersion, at: NextOffset, targets: u32) -> Self {
        RoutePosition { incarnation, version, at, last: vec![None; targets as usize] }
    }

    /// Where all below `at` stands in every target, whoever sent it and whatever it was cut into. If nothing was ever
    /// sent, there is nothing that a link could name.
    pub fn behind_cut(
        incarnation: Incarnation,
        version: RoutingVersion,
        at: NextOffset,
        targets: u32,
    ) -> Self {
        RoutePosition { incarnation, version, at, last: vec![at.last(); targets as usize] }
    }

    pub fn to_commit(&self) -> CommittedOffset {
        let mut bytes = Writer::default();
        bytes.u128(self.incarnation.0);
        bytes.u64(self.version.0);
        bytes.varint(self.at.0);
        bytes.varint(self.last.len() as u64);
        for last in &self.last {
            // Distances are small where offsets are large; a last unit is always below the position.
            bytes.varint(last.map_or(0, |last| self.at.0 - last.0));
        }
        let metadata = format!("{MARK}{}", to_text(&bytes.bytes));
        assert!(metadata.len() < METADATA_BYTES_MAX, "{TARGETS_MAX} targets fit into a commit's metadata");
        CommittedOffset { next: self.at, metadata }
    }

    pub fn parse(committed: &CommittedOffset, targets: u32) -> Result<Self, ForeignPosition> {
        let at = committed.next;
        let text = committed.metadata.strip_prefix(MARK).ok_or(ForeignPosition::Unmarked { at })?;
        let bytes = from_text(text).ok_or(ForeignPosition::Damaged { at })?;
        let position = read(&bytes).map_err(|_| ForeignPosition::Damaged { at })?;
        if position.at != at {
            return Err(ForeignPosition::Moved { at, stated: position.at });
        }
        if position.last.len() != targets as usize {
            return Err(ForeignPosition::Targets { at, found: position.last.len(), expected: targets });
        }
        Ok(position)
    }
}

fn read(bytes: &[u8]) -> Result<RoutePosition, Damaged> {
    let mut from = Reader::new(bytes, "route position");
    let incarnation = Incarnation(from.u128()?);
    let version = RoutingVersion(from.u64()?);
    let at = from.varint()?;
    let count = from.count()?;
    let mut last = Vec::with_capacity(count);
    for _ in 0..count {
        last.push(match from.varint()? {
            0 => None,
            distance => Some(Offset(at.checked_sub(distance).ok_or_else(|| from.damaged())?)),
        });
    }
    if !from.is_at_end() {
        return Err(from.damaged());
    }
    Ok(RoutePosition { incarnation, version, at: NextOffset(at), last })
}

/// Six bits a character, in the URL-safe order of base 64, without padding.
fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().enumerate().fold(0u32, |sum, (k, &byte)| sum | u32::from(byte) << (16 - 8 * k));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(group >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

fn from_text(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for (k, byte) in chunk.iter().enumerate() {
            let digit = DIGITS.iter().position(|digit| digit == byte)?;
            group |= (digit as u32) << (18 - 6 * k);
        }
        let whole = (group << 8).to_be_bytes();
        bytes.extend_from_slice(&whole[..chunk.len() - 1]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(at: u64, last: Vec<Option<Offset>>) -> RoutePosition {
        RoutePosition {
            incarnation: Incarnation(u128::MAX),
            version: RoutingVersion(9),
            at: NextOffset(at),
            last,
        }
    }

    #[test]
    fn the_largest_position_fits_into_a_commit() {
        let largest = position(u64::MAX, vec![Some(Offset(0)); TARGETS_MAX as usize]);

        let commit = largest.to_commit();

        assert!(commit.metadata.len() < METADATA_BYTES_MAX, "{}", commit.metadata.len());
        assert_eq!(RoutePosition::parse(&commit, TARGETS_MAX), Ok(largest));
    }

    #[test]
    fn the_text_of_a_position_is_fixed() {
        let commit = position(5, vec![None, Some(Offset(4))]).to_commit();

        assert_eq!(commit.metadata, "thalweg-route-1:_____________________wkAAAAAAAAABQIAAQ");
    }

    #[test]
    fn a_foreign_commit_is_refused_by_name() {
        let ours = position(5, vec![Some(Offset(4))]).to_commit();
        let parse = |next, metadata: &str| {
            let commit = CommittedOffset { next: NextOffset(next), metadata: metadata.into() };
            RoutePosition::parse(&commit, 1).unwrap_err()
        };
        let at = NextOffset(5);

        assert_eq!(parse(5, ""), ForeignPosition::Unmarked { at });
        assert_eq!(parse(5, &ours.metadata[..30]), ForeignPosition::Damaged { at });
        assert_eq!(parse(5, "thalweg-route-1:!"), ForeignPosition::Damaged { at });
        let stated = NextOffset(5);
        assert_eq!(parse(4, &ours.metadata), ForeignPosition::Moved { at: NextOffset(4), stated });
        let found = ForeignPosition::Targets { at, found: 1, expected: 2 };
        assert_eq!(RoutePosition::parse(&ours, 2), Err(found));
    }

    proptest! {
        #[test]
        fn every_position_comes_back(at: u64, below in proptest::collection::vec(any::<Option<u64>>(), 1..9)) {
            let last = below.iter().map(|below| below.filter(|_| at > 0).map(|k| Offset(k % at))).collect();
            let position = position(at, last);
            prop_assert_eq!(
                RoutePosition::parse(&position.to_commit(), below.len() as u32),
                Ok(position)
            );
        }

        #[test]
        fn any_text_is_answered(text: String, next: u64) {
            let metadata = format!("{MARK}{text}");
            let _ = RoutePosition::parse(&CommittedOffset { next: NextOffset(next), metadata }, 4);
        }
    }
}
