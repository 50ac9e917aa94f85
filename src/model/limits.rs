//! Bounds of what one event may be. Whatever passes them is refused by `decode`; nothing after it refuses.

/// A record's value.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Nesting of JSON.
pub const DEPTH_MAX: usize = 64;
/// Values (objects, arrays, scalars) in one event.
pub const NODES_MAX: usize = 100_000;
/// One string, unescaped, in bytes.
pub const STRING_BYTES_MAX: usize = 64 << 10;
/// Elements of one list, members of one map, of an event.
pub const ITEMS_MAX: usize = 5_000;
/// Text that becomes part of a lake path (tenant, category).
pub const PARTITION_TEXT_BYTES_MAX: usize = 64;
/// Text that becomes part of a row key (`by`).
pub const KEY_TEXT_BYTES_MAX: usize = 512;
/// Above this a dead letter holds only the first [`DEAD_LETTER_HEAD_BYTES`], length and hash.
pub const DEAD_LETTER_BYTES_MAX: usize = 512 << 10;
pub const DEAD_LETTER_HEAD_BYTES: usize = 64 << 10;
/// Targets of hop one: an offset commit's metadata names `last[i]` for each.
pub const TARGETS_MAX: u32 = 256;
/// What one record of the repartition topic may weigh: a unit is never split, so the heaviest unit must fit.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;
/// A decimal at its scale, without its sign: the 18 digits of the lake's `decimal(18,S)`.
pub const DECIMAL_MAX: u64 = 999_999_999_999_999_999;
