//! What the names of a topology may be made of.

use crate::yaml::Pattern;

/// Columns of rows, of the lake and of SQL.
pub(crate) const COLUMN: Pattern = Pattern { extra: "_", max: 63 };
/// Aggregates and histories: they become parts of keys and of topic names.
pub(crate) const PART: Pattern = Pattern { extra: "_-", max: 40 };
pub(crate) const TOPOLOGY: Pattern = Pattern { extra: "-", max: 40 };
