//! Single-use links on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/accounts/{id}/links`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateLink {
    /// `invite`, `password_reset` or `sign_in`.
    pub kind: String,
    /// How long it works, 60 to 2,592,000; default by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Path of the dashboard to open afterwards, such as `/settings#api-keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<String>,
}

/// A link, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Where to send the person.
    pub url: String,
    /// Its kind.
    pub kind: String,
    /// When it stops working.
    pub expires_at: String,
}
