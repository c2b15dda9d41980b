//! The data plane over real sockets: a hostile client on one side, a scripted upstream on the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must stop"
)]

mod admission;
mod authz;
mod failures;
mod framing;
mod headers;
mod hostile;
mod http2;
mod limits;
mod listeners;
mod metrics;
mod observations;
mod own;
mod plain;
mod rate_limits;
mod reuse;
mod routes;
mod streams;
mod upgrades;
mod upstream;
mod verify;
mod wire;
mod world;

/// Requests take the way that suits them. The suite `general_way` runs the same tests over the other.
const ONLY_GENERAL_UPSTREAM: bool = false;
