//! What every store call promises, on both databases. PostgreSQL runs when a server is announced.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop loudly"
)]

mod account_security;
mod accounts;
mod audit;
mod audit_erased;
mod audit_start;
mod budgets;
mod builders;
mod email_changes;
mod feed;
mod health;
mod hints;
mod keys;
mod line;
mod links;
mod moving;
mod news;
mod observations;
mod opening;
mod outbox;
mod plans;
mod races;
mod relabelling;
mod retention;
mod rotation;
mod sessions;
mod tokens;
mod upgrades;
mod usage;
mod verification;
