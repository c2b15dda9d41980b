//! The verifier through its public surface, over a source that can be slow, failing or late.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop at the first surprise, as tests do"
)]

mod budget;
mod caches;
mod decisions;
mod fence;
mod flood;
mod follower;
mod history;
mod metrics;
mod nodes;
mod sharing;
mod slices;
mod tokens;
mod usage;
mod watch;
mod world;
