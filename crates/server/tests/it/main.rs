//! The control plane's HTTP over a real database, in process: requests go into the routers, no sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers of tests stop at the first surprise"
)]

mod access;
mod accounts;
mod app;
mod audit_log;
mod bad_input;
mod description;
mod health;
mod idempotency;
mod keys;
mod links;
mod lists;
mod own_calls;
mod protocol;
mod rotation;
mod tokens;
mod usage;
