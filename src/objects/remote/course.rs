//! A create over all of its attempts: which answer it comes to.
//!
//! The store decides each attempt alone, create-only, in an order of its own; what is lost are answers. An
//! attempt whose answer did not come may have been applied, may never be, or may be later, even after we gave up.
//!
//! ```text
//! #1 200                                                        Now
//! #1 412                                                        Before   somebody else's, surely
//! #1 409 (it met another's) ─► #2 412                           Before   a conflict applies nothing
//! #1 applied, answer lost ───► #2 412                           Unknown  ours or another's: 412 cannot tell
//! #1 another's was there,
//!    answer lost ────────────► #2 412                           Unknown  the same picture from here
//! #1 never arrived ──────────► #2 200                           Now      #2 made it
//! #1 still under way ────────► #2 200 ─► #1 arrives: 412        Now      #1 is refused, whoever hears it
//! #1 still under way ────────► #2 409 (it met #1) ─► #3 412     Unknown
//! #1 answer lost ─► … no more attempts ─► #1 arrives later      Unknown  and stays so until somebody reads
//! #1 answer lost ────────────► #2 no right any more             Unknown  the next call meets the same refusal
//! #1 … #4 never sent, or refused without effect                 failure  nothing was created by this call
//! ```
//!
//! So: a 200 is ours whatever came before it; after one attempt in doubt nothing else than a 200 settles it. That
//! is the first guarantee of [`Objects`](crate::port::Objects) ([`Created::Now`] at most once for a key, because
//! the store says 200 at most once) and the third (whoever cannot tell says so). A status of 5xx counts as doubt
//! even where a store promises that it means "not applied": a proxy on the way promises nothing.

use super::answer::{Kind, Trouble};
use crate::port::Created;
use std::ops::ControlFlow;

#[derive(Debug, Default)]
pub(super) struct Course {
    is_in_doubt: bool,
}

impl Course {
    /// Takes in the answer to one attempt: the outcome of the whole create, or why it has to be tried again.
    pub(super) fn tell(
        &mut self,
        answer: Result<(), Trouble>,
    ) -> ControlFlow<Result<Created, Trouble>, Trouble> {
        let Err(trouble) = answer else { return ControlFlow::Break(Ok(Created::Now)) };
        match trouble.kind {
            Kind::Exists if self.is_in_doubt => ControlFlow::Break(Ok(Created::Unknown)),
            Kind::Exists => ControlFlow::Break(Ok(Created::Before)),
            Kind::Doubtful => {
                self.is_in_doubt = true;
                ControlFlow::Continue(trouble)
            }
            Kind::Conflict | Kind::Busy | Kind::Unsent => ControlFlow::Continue(trouble),
            // No key is missing to a create; whatever a store means by that, it does not pass.
            Kind::Lasting | Kind::Missing | Kind::NoRange => ControlFlow::Break(self.give_up(trouble)),
        }
    }

    /// No more attempts after this trouble.
    pub(super) fn give_up(&self, trouble: Trouble) -> Result<Created, Trouble> {
        if self.is_in_doubt { Ok(Created::Unknown) } else { Err(trouble) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a create comes to whose attempts are answered like this, and then no more are allowed.
    fn outcome(answers: &[Option<Kind>]) -> Result<Created, Kind> {
        let mut course = Course::default();
        let mut last = None;
        for kind in answers {
            let answer = kind.map_or(Ok(()), |kind| Err(Trouble::new(kind, "as told", "")));
            match course.tell(answer) {
                ControlFlow::Break(outcome) => return outcome.map_err(|trouble| trouble.kind),
                ControlFlow::Continue(trouble) => last = Some(trouble),
            }
        }
        course.give_up(last.unwrap()).map_err(|trouble| trouble.kind)
    }

    const OK: Option<Kind> = None;
    const EXISTS: Option<Kind> = Some(Kind::Exists);
    const CONFLICT: Option<Kind> = Some(Kind::Conflict);
    const BUSY: Option<Kind> = Some(Kind::Busy);
    const UNSENT: Option<Kind> = Some(Kind::Unsent);
    const DOUBTFUL: Option<Kind> = Some(Kind::Doubtful);
    const LASTING: Option<Kind> = Some(Kind::Lasting);

    #[test]
    fn a_key_that_is_there_is_somebody_elses_while_nothing_of_ours_is_in_doubt() {
        assert_eq!(outcome(&[OK]), Ok(Created::Now));
        assert_eq!(outcome(&[EXISTS]), Ok(Created::Before));
        assert_eq!(outcome(&[CONFLICT, BUSY, UNSENT, EXISTS]), Ok(Created::Before));
        assert_eq!(outcome(&[CONFLICT, CONFLICT, OK]), Ok(Created::Now));
    }

    #[test]
    fn after_one_lost_answer_only_success_is_certain() {
        assert_eq!(outcome(&[DOUBTFUL, OK]), Ok(Created::Now));
        assert_eq!(outcome(&[DOUBTFUL, CONFLICT, OK]), Ok(Created::Now));
        for later in [EXISTS, CONFLICT, BUSY, UNSENT, DOUBTFUL, LASTING] {
            assert_eq!(outcome(&[DOUBTFUL, later]), Ok(Created::Unknown), "{later:?}");
            assert_eq!(outcome(&[UNSENT, DOUBTFUL, BUSY, later]), Ok(Created::Unknown), "{later:?}");
        }
        assert_eq!(outcome(&[DOUBTFUL]), Ok(Created::Unknown));
    }

    #[test]
    fn what_never_took_effect_is_a_failure_and_not_a_doubt() {
        assert_eq!(outcome(&[UNSENT, BUSY]), Err(Kind::Busy));
        assert_eq!(outcome(&[CONFLICT]), Err(Kind::Conflict));
        assert_eq!(outcome(&[UNSENT, LASTING]), Err(Kind::Lasting));
    }
}
