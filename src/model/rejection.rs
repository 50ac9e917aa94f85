//! Why a record was refused.

use super::{LogTime, Offset, Span};

/// The reason in one word, as dead letters, the refused table and metrics spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejection {
    /// The record has no value, or an empty one.
    Empty,
    TooLarge,
    InvalidUtf8,
    InvalidJson,
    /// JSON, but no object.
    NotAnObject,
    TooDeep,
    TooManyNodes,
    StringTooLong,
    TooManyItems,
    DuplicateKey,
    /// A required field is absent; the detail names it.
    Missing,
    /// A field's value is not of its type.
    WrongType,
    /// More digits behind the point than the declared scale, without `round`.
    TooPrecise,
    /// A number outside its type, a date that does not exist.
    OutOfRange,
    /// Tenant or category over 64 bytes, a key field over 512.
    IdTooLong,
    /// The rows of this event would not fit into one block.
    TooManyRows,
}

impl Rejection {
    pub const ALL: [Rejection; 16] = [
        Rejection::Empty,
        Rejection::TooLarge,
        Rejection::InvalidUtf8,
        Rejection::InvalidJson,
        Rejection::NotAnObject,
        Rejection::TooDeep,
        Rejection::TooManyNodes,
        Rejection::StringTooLong,
        Rejection::TooManyItems,
        Rejection::DuplicateKey,
        Rejection::Missing,
        Rejection::WrongType,
        Rejection::TooPrecise,
        Rejection::OutOfRange,
        Rejection::IdTooLong,
        Rejection::TooManyRows,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Rejection::Empty => "empty",
            Rejection::TooLarge => "too_large",
            Rejection::InvalidUtf8 => "invalid_utf8",
            Rejection::InvalidJson => "invalid_json",
            Rejection::NotAnObject => "not_an_object",
            Rejection::TooDeep => "too_deep",
            Rejection::TooManyNodes => "too_many_nodes",
            Rejection::StringTooLong => "string_too_long",
            Rejection::TooManyItems => "too_many_items",
            Rejection::DuplicateKey => "duplicate_key",
            Rejection::Missing => "missing",
            Rejection::WrongType => "wrong_type",
            Rejection::TooPrecise => "too_precise",
            Rejection::OutOfRange => "out_of_range",
            Rejection::IdTooLong => "id_too_long",
            Rejection::TooManyRows => "too_many_rows",
        }
    }
}

/// A record that cannot be believed: where, why, and its bytes (in the batch's buffer).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub offset: Offset,
    pub record_time: LogTime,
    pub reason: Rejection,
    /// For people: which field, which byte. Short, and never the payload.
    pub detail: String,
    pub key: Span,
    pub value: Span,
    pub headers: Vec<(Span, Span)>,
    /// As in [`super::EventBatch::value_hash`].
    pub value_hash: u64,
}
