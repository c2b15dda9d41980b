//! Members and waiters over a database that can be slow, cut off or restored.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may end the test")]

mod database;
mod histories;
mod line;
mod membership;
mod metrics;
mod node;
mod trust;
mod waits;
