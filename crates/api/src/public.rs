//! Answers of `/api/rk/`: what the holder of a key may see.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::Account;
use crate::key::Key;

/// The account's budget as the answer leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateLimit {
    /// Requests that flow back in a minute.
    pub per_minute: u32,
    /// Requests that the full bucket holds.
    pub burst: u32,
    /// Whole requests left.
    pub remaining: u32,
    /// Seconds until one more fits; 0 when the bucket is full.
    pub reset_seconds: u64,
}

/// `GET /api/rk/account`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountAnswer {
    /// The caller's account.
    pub account: Account,
    /// The key that was sent.
    pub key: Key,
    /// The account's budget.
    pub rate_limit: RateLimit,
}

/// What one key did on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageDay {
    /// The key.
    pub key_id: String,
    /// `2026-11-23`.
    pub day: String,
    /// Let through.
    pub allowed: u64,
    /// Refused because the budget was spent.
    pub limited: u64,
    /// Refused for another reason.
    pub refused: u64,
}

/// `GET /api/rk/usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageAnswer {
    /// By day, then key.
    pub data: Vec<UsageDay>,
}
