//! The decision on one request: whose key is it, may it, is there budget left.
//!
//! Everything here is memory; misses go to a [`KeySource`], changes come from a [`ChangeFeed`]. Deliberately
//! absent: SQL, HTTP, and every function that creates or changes a key.

pub mod source;

mod verifier;

pub use source::{
    AccountFacts, BoxFuture, ChangeFeed, KeyFacts, KeySource, Loaded, LoadedTokens, SourceError, TokenFacts,
    UsageSink,
};
pub use verifier::{
    Ask, Flusher, Follower, FollowerHandle, FollowerOptions, TokenDenial, UsageBuffer, Verified, Verifier,
    VerifierOptions, Watch, describe_metrics,
};
