//! API keys on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::present;

/// The old secret of a rotated key, while it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviousSecret {
    /// Prefix and four characters.
    pub mask: String,
    /// When it ends.
    pub works_until: String,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Id.
    pub id: String,
    /// Whose it is.
    pub account_id: String,
    /// What its owner calls it.
    pub name: String,
    /// Where its owner uses it, such as `production`; null when nobody said.
    #[serde(default)]
    #[schema(required)]
    pub environment: Option<String>,
    /// Prefix and four characters of its newest secret.
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
    /// The secret before the last rotation; null when it works no more.
    #[schema(required)]
    #[serde(default)]
    pub previous: Option<PreviousSecret>,
}

/// The answer that shows a secret: this once. `Debug` leaves the secret out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedKey").field("key", &self.key).finish_non_exhaustive()
    }
}

/// `POST /v1/accounts/{id}/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// 1 to 64 characters.
    pub name: String,
    /// Where its owner uses it, such as `production`, `staging` or `CI/CD`: 1 to 32 characters. Nothing is decided
    /// by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// When it ends by itself; absent or null: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// `PATCH /v1/keys/{id}`. Absent members stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateKey {
    /// 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 1 to 32 characters; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Option<String>>,
}

/// `POST /v1/keys/{id}/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the old secret works on: 0 to 604800; absent or null: 86400, a day.
    #[schema(minimum = 0, maximum = 604_800)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u64>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_that_shows_a_secret_prints_it() {
        let key = r#"{"id":"key_1","account_id":"acc_1","name":"CI","mask":"rk_live_0Ab3","status":"active",
            "created_at":"t","last_used_at":null,"expires_at":null,"revoked_at":null,"revoked_reason":null,
            "secret":"hunter2"}"#;
        let token = r#"{"id":"tok_1","name":"CI","scope":"read","created_at":"t","expires_at":null,
            "secret":"hunter2"}"#;
        let link = r#"{"url":"http://localhost/sign-in?link=hunter2","kind":"sign_in","expires_at":"t"}"#;
        let printed = [
            format!("{:?}", serde_json::from_str::<CreatedKey>(key).unwrap()),
            format!("{:?}", serde_json::from_str::<crate::token::CreatedToken>(token).unwrap()),
            format!("{:?}", serde_json::from_str::<crate::link::Link>(link).unwrap()),
        ];
        for printed in printed {
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }
}
