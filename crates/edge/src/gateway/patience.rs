//! A timer that a connection keeps from one request to the next.
//!
//! Nearly every answer comes long before anybody would stop waiting for it. To set a timer for each and take it
//! back costs more than to write the request; this one stays set, and is set anew only after it has rung for a
//! request that is over. Deliberately absent: what happens when patience ends.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

/// One connection's timer. While a request uses it, another (HTTP/2 has many at once) makes its own.
#[derive(Default)]
pub(crate) struct Patience(Mutex<Option<Timer>>);

impl Patience {
    /// What the future gives within that time, or none. Waits never end early, and not later than a timer of their
    /// own would.
    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime's clock, by which its timers go; tests move it too"
    )]
    pub(crate) async fn within<F: Future>(
        &self,
        longest: Duration,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let due = Instant::now() + longest;
        let mut timer = self.0.lock().take();
        let outcome = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                let timer = timer.get_or_insert_with(|| Timer::new(due));
                timer.poll(due, cx).map(|()| None)
            }
        })
        .await;
        *self.0.lock() = timer;
        outcome
    }
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Whom it wakes when it rings, if it is set.
    task: Option<Waker>,
}

impl Timer {
    fn new(due: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(due)), task: None }
    }

    /// Ready when it is due.
    fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let rings_in_time = self.sleep.deadline() <= due;
            match self.sleep.is_elapsed() {
                true if self.sleep.deadline() == due => return Poll::Ready(()),
                false if rings_in_time && self.wakes(cx.waker()) => return Poll::Pending,
                false if rings_in_time => {}
                _ => self.set(due),
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                self.task = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    fn wakes(&self, waker: &Waker) -> bool {
        self.task.as_ref().is_some_and(|task| task.will_wake(waker))
    }

    fn set(&mut self, due: Instant) {
        self.sleep.as_mut().reset(due);
        self.task = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready as at_once};
    use std::pin::pin;

    use tokio::time::{advance, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[expect(clippy::disallowed_methods, reason = "the runtime's clock, which the test moves")]
    async fn waited(patience: &Patience, longest: Duration) -> Duration {
        let began = Instant::now();
        assert_eq!(patience.within(longest, pin!(pending::<()>())).await, None);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_as_long_as_asked_whatever_was_waited_for_before() {
        let patience = Patience::default();
        for (before, longest) in [(0, 10), (3, 10), (9, 4), (20, 4), (0, 1), (1, 30)] {
            // One request that is answered leaves the timer set.
            let answered = sleep(Duration::from_millis(1));
            assert_eq!(patience.within(5 * SECOND, pin!(answered)).await, Some(()));
            advance(before * SECOND).await;
            let longest = longest * SECOND;
            let waited = waited(&patience, longest).await;
            let little = Duration::from_millis(2);
            assert!(waited >= longest && waited <= longest + little, "{longest:?}: {waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_task_is_woken_too() {
        let patience = std::sync::Arc::new(Patience::default());
        assert_eq!(patience.within(5 * SECOND, pin!(sleep(Duration::from_millis(1)))).await, Some(()));
        let shared = patience.clone();
        let elsewhere = tokio::spawn(async move { waited(&shared, 2 * SECOND).await });
        assert!(elsewhere.await.unwrap() >= 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn two_requests_at_once_wait_each_for_itself() {
        let patience = Patience::default();
        let (long, short) = tokio::join!(waited(&patience, 3 * SECOND), waited(&patience, SECOND));
        assert!(long >= 3 * SECOND && short >= SECOND && short < 2 * SECOND);
        assert_eq!(patience.within(SECOND, pin!(at_once(7))).await, Some(7));
    }
}
