//! Single-use links on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/accounts/{id}/links`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateLink {
    /// `invite`, `password_reset` or `sign_in`.
    pub kind: String,
    /// With `password_reset`: the address of whose password is set, when several people share the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How long it works, 60 to 2,592,000; default by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Path of the dashboard to open afterwards, such as `/settings#api-keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<String>,
}

/// A link, shown once. `Debug` leaves its address out: whoever has it can use it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Where to send the person.
    pub url: String,
    /// Its kind.
    pub kind: String,
    /// When it stops working.
    pub expires_at: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, expires_at, .. } = self;
        f.debug_struct("Link").field("kind", kind).field("expires_at", expires_at).finish_non_exhaustive()
    }
}
