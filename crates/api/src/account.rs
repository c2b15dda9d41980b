//! Accounts on the wire.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// An account's plan, by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanRef {
    /// Id.
    pub id: String,
    /// What people see.
    pub name: String,
}

/// How many of its keys an account uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyCount {
    /// Active keys now.
    pub active: u32,
    /// The most that the plan allows.
    pub limit: u32,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Id.
    pub id: String,
    /// The operator's own id for it.
    #[schema(required)]
    pub external_id: Option<String>,
    /// Contact address.
    pub email: String,
    /// Display name.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    /// Its plan.
    pub plan: PlanRef,
    /// Its keys.
    pub keys: KeyCount,
    /// When it was made.
    pub created_at: String,
}

/// `POST /v1/accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// Contact address; unique.
    pub email: String,
    /// Display name; default: the address's local part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Plan id; default: `default_plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The operator's own id for it; unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// `PATCH /v1/accounts/{id}`. Absent members stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccount {
    /// Plan id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// `active` or `suspended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Contact address. When the account's only user signs in with the old one, they sign in with this one from now on,
    /// and the old one is told by mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The operator's own id; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub external_id: Option<Option<String>>,
}

/// What deleting an account answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedAccount {
    /// The account.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}

/// Tells `null` (`Some(None)`) from an absent member (`None`).
#[expect(clippy::option_option, reason = "absent, null and a value are three different wishes")]
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absent_are_told_apart_in_an_update() {
        let absent: UpdateAccount = serde_json::from_str("{}").unwrap();
        let null: UpdateAccount = serde_json::from_str(r#"{"external_id":null}"#).unwrap();
        assert_eq!(absent.external_id, None);
        assert_eq!(null.external_id, Some(None));
    }
}
