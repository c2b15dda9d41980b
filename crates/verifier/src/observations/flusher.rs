//! Carries what was observed from memory to where it is stored.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use rndrkit_domain::observation::{Refusal, Sighting};
use tokio::time::timeout;

use super::Observations;
use crate::carry::{Flush, carry};
use crate::meters;
use crate::source::{ObservationSink, SourceError};

/// How long storing one part may take.
const PART_DEADLINE: Duration = Duration::from_secs(5);
/// Rows of a kind stored at once: few enough to hold up no change that waits for the database.
const ROWS_AT_ONCE: usize = 1_000;
/// Carries observations to where they are stored, at an interval and once more at the end.
pub struct ObservationFlusher {
    buffer: Arc<Observations>,
    sink: Arc<dyn ObservationSink>,
    interval: Duration,
    errors: Counter,
}

impl ObservationFlusher {
    /// Flushes `buffer` into `sink` each `interval`. An interval of zero is one millisecond.
    pub fn new(buffer: Arc<Observations>, sink: Arc<dyn ObservationSink>, interval: Duration) -> Self {
        Self { buffer, sink, interval, errors: meters::store_errors() }
    }

    /// Flushes until `shutdown` resolves, then once more.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        carry(&self, self.interval, shutdown).await;
    }

    /// Flushes once, now, in parts. The first part that is not stored ends it: what is left goes back into memory. To
    /// store a part again that may have been stored does no harm.
    pub async fn flush(&self) -> Result<(), SourceError> {
        let (sightings, refusals) = (self.buffer.take_sightings(), self.buffer.take_refusals());
        let (mut sightings, mut refusals) = (sightings.as_slice(), refusals.as_slice());
        while !sightings.is_empty() || !refusals.is_empty() {
            let (some_sightings, other_sightings) = first(sightings);
            let (some_refusals, other_refusals) = first(refusals);
            if let Err(error) = self.store(some_sightings, some_refusals).await {
                self.errors.increment(1);
                self.buffer.bring_back(sightings, refusals);
                return Err(error);
            }
            (sightings, refusals) = (other_sightings, other_refusals);
        }
        Ok(())
    }

    async fn store(&self, sightings: &[Sighting], refusals: &[Refusal]) -> Result<(), SourceError> {
        match timeout(PART_DEADLINE, self.sink.record_observations(sightings, refusals)).await {
            Ok(stored) => stored,
            Err(_) => Err(SourceError::new("storing observations took too long")),
        }
    }
}

impl Flush for ObservationFlusher {
    const NOT_STORED: &str = "observations were not stored; they are kept while there is room";
    const LOST: &str = "the last observations of this process are lost";

    fn flush_once(&self) -> impl Future<Output = Result<(), SourceError>> + Send {
        self.flush()
    }
}

/// The rows that are stored next, and those after them.
fn first<T>(rows: &[T]) -> (&[T], &[T]) {
    rows.split_at_checked(ROWS_AT_ONCE).unwrap_or((rows, &[]))
}
