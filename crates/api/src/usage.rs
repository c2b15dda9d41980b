//! Counted use on the wire, as the operator reads it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What requests that were let through were answered, by class of status. Together fewer than `allowed` where the
/// answer is not seen (forward auth, verify) or has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AnswerCounts {
    /// 2xx, and 101.
    pub successful: u64,
    /// 3xx.
    pub redirection: u64,
    /// 4xx.
    pub client_error: u64,
    /// 5xx.
    pub server_error: u64,
}

/// What one key did in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyUsage {
    /// The key.
    pub key_id: String,
    /// Where the stretch begins.
    pub starts_at: String,
    /// How long it is: `minute`, `hour` or `day`, in UTC.
    pub period: String,
    /// Requests let through.
    pub allowed: u64,
    /// Refused because the budget was spent.
    pub limited: u64,
    /// Refused for another reason, with an active secret.
    pub refused: u64,
    /// What those that were let through were answered.
    pub answers: AnswerCounts,
}

/// `GET /v1/accounts/{id}/usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountUsage {
    /// By start, then key. A key has no entry for a stretch in which it did nothing.
    pub data: Vec<KeyUsage>,
}
