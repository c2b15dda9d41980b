//! Members and waiters over a database that can be slow, cut off or restored.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may end the test")]

mod histories;
mod membership;
mod metrics;
mod trust;
mod waits;
mod world;
