//! The dashboard in process: pages from fixtures, and handlers over a real control plane and database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers of tests stop at the first surprise"
)]

mod account;
mod activity;
mod app;
mod compression;
mod doors;
mod downloads;
mod email;
mod explain;
mod gallery;
mod getting_in;
mod hints;
mod keys;
mod labels;
mod markup;
mod notifications;
mod plans;
mod rotation;
mod styles;
mod usage;
