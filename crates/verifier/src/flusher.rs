//! Carries counted use from memory to where it is stored.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use tokio::time::timeout;

use crate::carry::{Flush, carry};
use crate::meters;
use crate::source::{SourceError, UsageSink};
use crate::usage::{Batch, UsageBuffer};

/// How long storing one part of a flush may take, and how long all that follow one that was refused. Half of the
/// default interval.
const PART_DEADLINE: Duration = Duration::from_secs(5);
/// Rows stored at once: few enough to hold up no change that waits for the database, and that a slow one takes
/// them in time. A flush of all that may wait is some hundred of these.
const ROWS_AT_ONCE: usize = 2_000;
/// Carries counted use to where it is stored, at an interval and once more at the end.
pub struct Flusher {
    buffer: Arc<UsageBuffer>,
    sink: Arc<dyn UsageSink>,
    interval: Duration,
    errors: Counter,
}

impl Flusher {
    /// Flushes `buffer` into `sink` each `interval`, from the beginning of one flush to that of the next. An interval
    /// of zero is one millisecond.
    pub fn new(buffer: Arc<UsageBuffer>, sink: Arc<dyn UsageSink>, interval: Duration) -> Self {
        Self { buffer, sink, interval, errors: meters::store_errors() }
    }

    /// Flushes until `shutdown` resolves, then once more: what the process counted is then stored.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        carry(&self, self.interval, shutdown).await;
    }

    /// Flushes once, now, in parts. What could not be stored stays in memory, and the first error is returned. A
    /// part that took too long is tried again although it may have been stored: use is counted at least once.
    pub async fn flush(&self) -> Result<(), SourceError> {
        let mut all = self.buffer.drain();
        let refused = match self.store_parts(&mut all).await {
            Ok(()) => return Ok(()),
            Err(NotStored::TooSlow) => return Err(SourceError::new("storing use took too long")),
            Err(NotStored::Refused(error)) => error,
        };
        // One part that is refused keeps no other from being stored. But if all are, and slowly, it ends.
        let others = async { while let Err(NotStored::Refused(_)) = self.store_parts(&mut all).await {} };
        let _ = timeout(PART_DEADLINE, others).await;
        Err(refused)
    }

    /// Stores part by part, until one is not stored.
    async fn store_parts(&self, all: &mut Batch) -> Result<(), NotStored> {
        while let Some(part) = all.take(ROWS_AT_ONCE) {
            self.store(part).await?;
        }
        Ok(())
    }

    async fn store(&self, batch: Batch) -> Result<(), NotStored> {
        let (deltas, last_uses) = (batch.deltas(), batch.last_uses());
        let stored = match timeout(PART_DEADLINE, self.sink.record(&deltas, &last_uses)).await {
            Ok(stored) => stored.map_err(NotStored::Refused),
            Err(_) => Err(NotStored::TooSlow),
        };
        match stored {
            Ok(()) => batch.done(),
            Err(_) => self.errors.increment(1),
        }
        stored
    }
}

impl Flush for Flusher {
    const NOT_STORED: &str = "use was not stored; it is kept for the next flush";
    const LOST: &str = "the last use counted by this process is lost";

    fn flush_once(&self) -> impl Future<Output = Result<(), SourceError>> + Send {
        self.flush()
    }
}

/// Why a part was not stored, as far as is known.
enum NotStored {
    Refused(SourceError),
    TooSlow,
}
