//! The gateway's tests once more, with every request on the general way to its upstream: both ways must keep
//! the same promises. Which tests there are, and what they need, is in `it`; `it::hostile` goes both ways by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must stop"
)]
#![allow(dead_code, reason = "helpers that only tests of other doors use")]

#[path = "../it/admission.rs"]
mod admission;
#[path = "../it/failures.rs"]
mod failures;
#[path = "../it/framing.rs"]
mod framing;
#[path = "../it/headers.rs"]
mod headers;
#[path = "../it/listeners.rs"]
mod listeners;
#[path = "../it/metrics.rs"]
mod metrics;
#[path = "../it/plain.rs"]
mod plain;
#[path = "../it/reuse.rs"]
mod reuse;
#[path = "../it/routes.rs"]
mod routes;
#[path = "../it/streams.rs"]
mod streams;
#[path = "../it/upgrades.rs"]
mod upgrades;
#[path = "../it/upstream.rs"]
mod upstream;
#[path = "../it/wire.rs"]
mod wire;
#[path = "../it/world.rs"]
mod world;

/// Every request takes the general way.
const ONLY_GENERAL_UPSTREAM: bool = true;
