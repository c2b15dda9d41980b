//! The decision on one request: whose key is it, may it, is there budget left.
//!
//! Everything here is memory; misses go to a [`KeySource`], changes come from a [`ChangeFeed`]. Deliberately
//! absent: SQL, HTTP, and every function that creates or changes a key.

// The simulation shares its world with the tests outside, which know the crate by its name.
#[cfg(test)]
extern crate self as rndrkit_verifier;

pub mod source;

mod account;
mod apply;
mod carry;
mod decide;
mod entry;
mod failures;
mod fill;
mod flusher;
mod follower;
mod history;
#[cfg(feature = "inspect")]
mod inspect;
mod limiter;
mod meters;
mod observations;
mod position;
mod prefixes;
mod revocations;
#[cfg(test)]
mod simulation;
mod slices;
mod table;
mod tokens;
mod usage;
mod verifier;
mod wall;
mod watch;

pub use flusher::Flusher;
pub use follower::{Follower, FollowerHandle, FollowerOptions};
pub use history::{Continuation, Lost, Place};
#[cfg(feature = "inspect")]
pub use inspect::{HeldAccount, HeldKey};
pub use meters::describe_metrics;
pub use observations::{ObservationFlusher, Observations};
pub use slices::drawer::Drawer;
pub use source::{
    AccountFacts, BoxFuture, BudgetAuthority, ChangeFeed, Draw, Grant, KeyFacts, KeySource, Loaded,
    LoadedTokens, ObservationSink, SourceError, TokenFacts, UsageSink,
};
pub use tokens::TokenDenial;
pub use usage::UsageBuffer;
pub use verifier::{Ask, Budgets, Verified, Verifier, VerifierOptions};
pub use watch::{Change, Standing, Watch};
