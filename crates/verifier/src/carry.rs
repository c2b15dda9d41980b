//! The rhythm in which what is kept in memory is stored: at an interval, and once more at the end. Deliberately absent:
//! what is stored, and in which parts.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::source::SourceError;

/// The shortest interval: nothing ticks at zero.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
/// Attempts of the last flush before the process ends, and the pause between them.
const FINAL_ATTEMPTS: u32 = 3;
const FINAL_PAUSE: Duration = Duration::from_millis(200);

/// What is flushed.
pub(crate) trait Flush: Sync {
    /// What is said when a flush was not stored, and the next tries again.
    const NOT_STORED: &str;
    /// What is said when the last one was not.
    const LOST: &str;

    /// Flushes once, now. What could not be stored stays in memory.
    fn flush_once(&self) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// Flushes each `pause`, from the beginning of one flush to that of the next, until `shutdown` resolves; then once
/// more. A pause of zero is one millisecond.
pub(crate) async fn carry<F: Flush>(what: &F, pause: Duration, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut ticks = interval(pause.max(SHORTEST_INTERVAL));
    // A flush that took longer is followed by the next at once, and then the interval counts anew.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once, when there is nothing yet.
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            _ = ticks.tick() => {}
        }
        if let Err(error) = what.flush_once().await {
            tracing::warn!(cause = error.cause(), "{}", F::NOT_STORED);
        }
    }
    carry_finally(what).await;
}

async fn carry_finally<F: Flush>(what: &F) {
    for attempt in 1..=FINAL_ATTEMPTS {
        match what.flush_once().await {
            Ok(()) => return,
            Err(error) if attempt == FINAL_ATTEMPTS => tracing::error!(cause = error.cause(), "{}", F::LOST),
            Err(_) => sleep(FINAL_PAUSE).await,
        }
    }
}
