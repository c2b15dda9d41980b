//! A process as its tasks feel it: they can be stopped all at once, go on later, or end.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Whether the tasks of one process run.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    stopped: AtomicBool,
    ended: AtomicBool,
    next: AtomicU64,
    /// Those to wake when it opens, in the order in which they came.
    waiting: Mutex<BTreeMap<u64, Waker>>,
}

impl Gate {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// `SIGSTOP`.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// `SIGCONT`.
    pub(crate) fn go_on(&self) {
        self.stopped.store(false, Ordering::Relaxed);
        self.wake();
    }

    /// `SIGKILL`.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_values().for_each(Waker::wake);
    }

    /// Runs `future` as a task of the process. `None`: the process ended, and the future with it.
    pub(crate) fn run<F: Future>(self: &Arc<Self>, future: F) -> Gated<F> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        Gated { gate: Arc::clone(self), ticket, inner: Some(Box::pin(future)) }
    }

    /// Waits until the process runs; whether it does.
    pub(crate) async fn pass(self: &Arc<Self>) -> bool {
        self.run(std::future::ready(())).await.is_some()
    }
}

/// A task of a process.
pub(crate) struct Gated<F> {
    gate: Arc<Gate>,
    ticket: u64,
    inner: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Gated<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.gate.has_ended() {
            self.inner = None;
            return Poll::Ready(None);
        }
        if !self.gate.is_stopped() {
            let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
            if let Poll::Ready(output) = inner.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
        }
        self.gate.waiting.lock().insert(self.ticket, context.waker().clone());
        Poll::Pending
    }
}

impl<F> Drop for Gated<F> {
    fn drop(&mut self) {
        self.gate.waiting.lock().remove(&self.ticket);
    }
}
