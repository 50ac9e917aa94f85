//! What stands between a record and an event, before it becomes a [`Rejection`] with a text for people.

use crate::model::Rejection;

pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// Small and `Copy`: the happy path carries it in every result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Rejection,
    /// Place in the batch's buffer; `usize::MAX` where no single byte is to blame.
    pub(super) at: usize,
    /// Struct and field of the plan.
    pub(super) field: Option<(u16, u16)>,
}

impl Refusal {
    pub(super) fn at(reason: Rejection, at: usize) -> Self {
        Refusal { reason, at, field: None }
    }

    pub(super) fn whole(reason: Rejection) -> Self {
        Refusal::at(reason, usize::MAX)
    }

    /// Names the field, unless one inside of it was named before.
    pub(super) fn named(mut self, owner: usize, field: usize) -> Self {
        self.field.get_or_insert((owner as u16, field as u16));
        self
    }
}
