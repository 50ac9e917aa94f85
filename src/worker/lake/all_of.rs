//! Several futures at once, on one thread.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// The outputs, in the order of the futures, once all are there.
pub(super) async fn all_of<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut open: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = open.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in open.iter_mut().zip(&mut done).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn all_are_begun_before_any_has_ended_and_answers_keep_their_order() {
        let (begun, polls) = (Cell::new(0), Cell::new(0));
        let one = |number: u32| {
            let (begun, polls) = (&begun, &polls);
            async move {
                begun.set(begun.get() + 1);
                poll_fn(|_| {
                    polls.set(polls.get() + 1);
                    if polls.get() > 6 - number { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                number
            }
        };
        let mut all = pin!(all_of(vec![one(0), one(1), one(2)]));
        let mut context = Context::from_waker(Waker::noop());

        assert!(all.as_mut().poll(&mut context).is_pending());
        assert_eq!(begun.get(), 3);
        let answers = loop {
            if let Poll::Ready(answers) = all.as_mut().poll(&mut context) {
                break answers;
            }
        };
        assert_eq!(answers, [0, 1, 2]);
    }
}
