//! API keys on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Id.
    pub id: String,
    /// Whose it is.
    pub account_id: String,
    /// What its owner calls it.
    pub name: String,
    /// Prefix and four characters.
    pub mask: String,
    /// `active`, `expired` or `revoked`.
    pub status: String,
    /// When it was made.
    pub created_at: String,
    /// When it was last presented, within a minute.
    #[schema(required)]
    pub last_used_at: Option<String>,
    /// When it ends by itself.
    #[schema(required)]
    pub expires_at: Option<String>,
    /// When it was ended.
    #[schema(required)]
    pub revoked_at: Option<String>,
    /// `user`, `operator`, `holder` or `account_deleted`.
    #[schema(required)]
    pub revoked_reason: Option<String>,
}

/// The answer that shows a secret: this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// The secret; null when an `Idempotency-Key` repeats a call whose answer was already given.
    #[schema(required)]
    pub secret: Option<String>,
    /// `already_delivered` beside a null secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret_status: Option<String>,
}

/// `POST /v1/accounts/{id}/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// 1 to 64 characters.
    pub name: String,
    /// When it ends by itself; absent or null: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// What a revocation answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The key.
    pub id: String,
    /// When it was revoked; the same for every repeat.
    pub revoked_at: String,
    /// Nodes that confirmed that they refuse it.
    pub nodes_confirmed: u32,
    /// Nodes that were waited out.
    pub nodes_expired: u32,
    /// How long the confirmation took.
    pub took_ms: u64,
}
