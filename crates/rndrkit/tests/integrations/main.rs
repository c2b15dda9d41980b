//! The configurations below `docs/integrations/`, run as they stand there: real nginx and real Caddy ask a real
//! `rndrkit` about the requests of a client, before an API that tells what reached it.
//!
//! Only addresses are put in their places. Traefik and Envoy are in no Debian: of them the requests that they
//! make are replayed as bytes, and their files are read as YAML and compared with what the endpoint answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code: a failure is a panic, and real servers need the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod api;
mod caddy;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "one harness for all test binaries; each uses what it needs")]
mod harness;
mod nginx;
mod proxy;
#[path = "../it/raw.rs"]
#[allow(dead_code, reason = "one client for all test binaries; each uses what it needs")]
mod raw;
mod replayed;
mod world;
