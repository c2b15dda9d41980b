//! Operator API tokens on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Id.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// `admin`, `read` or `verify`.
    pub scope: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends by itself.
    #[schema(required)]
    pub expires_at: Option<String>,
}

/// The answer that shows a token's secret: this once. `Debug` leaves the secret out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// The secret; null when an `Idempotency-Key` repeats a call whose answer was already given.
    #[schema(required)]
    pub secret: Option<String>,
    /// `already_delivered` beside a null secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret_status: Option<String>,
}

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// 1 to 64 characters.
    pub name: String,
    /// `admin`, `read` or `verify`.
    pub scope: String,
    /// When it ends by itself; absent or null: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// What deleting a token answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedToken {
    /// The token.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}
