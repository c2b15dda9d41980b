//! A future that seldom has anything to say, beside one that is polled all the time.
//!
//! A connection's task is polled several times for each request. Asking each time whether the connection is to
//! end would cost more than reading the request; here that is asked only after it was woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// Whether the future asked to be polled, and whom to tell.
struct Alarm {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        if let Some(task) = self.task.lock().as_ref() {
            task.wake_by_ref();
        }
    }
}

/// Polls a future only when it was woken.
pub(crate) struct Rarely<F> {
    future: F,
    alarm: Arc<Alarm>,
    /// The alarm, as the future knows it.
    waker: Waker,
    /// Whom the alarm tells.
    task: Option<Waker>,
}

impl<F: Future + Unpin> Rarely<F> {
    pub(crate) fn new(future: F) -> Self {
        let alarm = Arc::new(Alarm { rung: AtomicBool::new(true), task: Mutex::new(None) });
        let waker = Waker::from(alarm.clone());
        Self { future, alarm, waker, task: None }
    }

    /// Like [`Future::poll`].
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<F::Output> {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.alarm.task.lock().clone_from(&self.task);
        }
        // A look first: it is cheaper than taking, and nearly always enough.
        if !self.alarm.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.alarm.rung.store(false, Ordering::Release);
        // Whatever rings from now on is seen: by this poll, or by the one that it asks for.
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&self.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_not_otherwise() {
        let polls = Cell::new(0);
        let (say, mut said) = oneshot::channel();
        let counted = std::future::poll_fn(|cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut said).poll(cx)
        });
        let mut rarely = Rarely::new(counted);
        let mut say = Some(say);
        let mut rounds = 0;
        let answer = std::future::poll_fn(|cx| {
            rounds += 1;
            if rounds == 10 {
                say.take().unwrap().send(7).unwrap();
            } else if rounds < 10 {
                cx.waker().wake_by_ref();
            }
            rarely.poll(cx)
        });
        assert_eq!(answer.await, Ok(7));
        assert_eq!(polls.get(), 2);
    }
}
