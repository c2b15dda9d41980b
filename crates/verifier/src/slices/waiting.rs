//! Requests that wait for a draw: a bounded number, each for a bounded time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rndrkit_domain::decision::Denial;
use rndrkit_domain::time::Monotonic;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::drawer::Pool;
use crate::limiter::Taken;

/// How long a request waits: a draw that has just been sent may have to fail first, and the next pause pass.
const WAIT_DEADLINE: Duration = Duration::from_millis(1_500);
/// Requests that wait at once on a node. Beyond this, saying "unavailable" at once is kinder.
const MAX_WAITING: usize = 4_096;

/// What became of a request's part of a draw. No answer at all: the account changed meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// It is taken, and may be used until then.
    Admitted(rndrkit_domain::decision::BudgetState, Monotonic),
    /// The bucket holds too little.
    Refused(rndrkit_domain::decision::BudgetState),
    /// We do not know.
    Failed,
}

/// What a request got by waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    pub(crate) taken: Taken,
    /// What is admitted may be acted on before this.
    until: Monotonic,
    /// The account's generation when the request began to wait.
    generation: u64,
}

impl Settled {
    /// What was got, if it still counts for an account at this generation.
    pub(crate) fn at(self, now: Monotonic, generation: u64) -> Option<Taken> {
        (generation == self.generation && now < self.until).then_some(self.taken)
    }
}

/// A place among those that wait.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Pool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// `None`: too many wait already.
    pub(crate) fn new(pool: &Arc<Pool>) -> Option<Self> {
        let turn = Self(Arc::clone(pool));
        (turn.0.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(turn)
    }
}

/// Requests waiting now.
pub(crate) type WaitingCount = AtomicUsize;

/// Waits for a draw.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) answer: oneshot::Receiver<Answer>,
    pub(crate) generation: u64,
    pub(crate) turn: Turn,
}

impl Waiting {
    /// What came of it. `None`: the account changed, begin anew.
    pub(crate) async fn settled(self) -> Result<Option<Settled>, Denial> {
        let Self { answer, generation, turn } = self;
        let answer = timeout(WAIT_DEADLINE, answer).await.map_err(|_| Denial::Unavailable)?;
        drop(turn);
        match answer {
            Ok(Answer::Admitted(state, until)) => {
                Ok(Some(Settled { taken: Taken::Admitted(state), until, generation }))
            }
            Ok(Answer::Refused(state)) => {
                Ok(Some(Settled { taken: Taken::Refused(state), until: Monotonic(u64::MAX), generation }))
            }
            Ok(Answer::Failed) => Err(Denial::Unavailable),
            Err(_) => Ok(None),
        }
    }
}

/// One that waits, as the account's share knows it.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) cost: u32,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Those that wait for one account's budget, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    queue: VecDeque<Waiter>,
    cost: u32,
}

impl Waiters {
    /// What they need together.
    pub(crate) const fn cost(&self) -> u32 {
        self.cost
    }

    pub(crate) fn push(&mut self, waiter: Waiter) {
        self.cost = self.cost.saturating_add(waiter.cost);
        self.queue.push_back(waiter);
    }

    pub(crate) fn put_back(&mut self, waiter: Waiter) {
        self.cost = self.cost.saturating_add(waiter.cost);
        self.queue.push_front(waiter);
    }

    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        let waiter = self.queue.pop_front()?;
        // Costs saturate only far above what any bucket holds.
        self.cost = if self.queue.is_empty() { 0 } else { self.cost.saturating_sub(waiter.cost) };
        Some(waiter)
    }

    /// The cost of the first that still waits, and how many are to be served together with it: those that need
    /// one each are, a dearer one is alone. What is drawn for several that want all or nothing might be of
    /// use to none.
    pub(crate) fn first_alike(&mut self) -> Option<(u32, u32)> {
        while self.queue.front()?.answer.is_closed() {
            self.pop();
        }
        let first = self.queue.front()?.cost;
        let alike =
            if first == 1 { self.queue.iter().take_while(|waiter| waiter.cost == 1).count() } else { 1 };
        Some((first, u32::try_from(alike).unwrap_or(u32::MAX)))
    }

    /// Tells all of them that nobody knows.
    pub(crate) fn fail(&mut self) {
        while let Some(waiter) = self.pop() {
            let _ = waiter.answer.send(Answer::Failed);
        }
    }

    /// Sends all of them back to begin anew.
    pub(crate) fn send_back(&mut self) {
        self.queue.clear();
        self.cost = 0;
    }
}
