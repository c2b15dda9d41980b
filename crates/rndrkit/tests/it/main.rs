//! The promises, tried on the real binary over real sockets: one test binary, a module per promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::float_cmp,
    reason = "test code: a failure is a panic, real servers need the real clock, and counters are whole numbers"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod audit_trail;
mod bad_input;
mod browser;
mod command_line;
mod doctor;
mod full_disk;
mod harness;
mod listeners;
mod memory;
mod moving;
mod people;
mod postgres;
mod promises;
mod raw;
mod several_nodes;
mod sign_in_load;
mod specification;
mod starting;
mod upgrades;
mod upstream;
mod walls;
