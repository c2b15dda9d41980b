//! The files below `deploy/` and the Dockerfile, held against the product, Kubernetes' own types and systemd's
//! own checker. No cluster and no service is started here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failure is a panic"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod container;
mod documents;
mod files;
mod kubernetes;
mod systemd;
