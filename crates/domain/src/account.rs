//! Accounts and the users who sign in to them.

use crate::id::{AccountId, UserId};
use crate::plan::PlanId;
use crate::text::{Email, ExternalId, Name};
use crate::time::Timestamp;

/// Whether an account may use the API at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// In use.
    Active,
    /// Stopped by the operator; nothing is deleted.
    Suspended,
}

impl AccountStatus {
    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|status| status.as_str() == text)
    }
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Id.
    pub id: AccountId,
    /// The operator's own id for it.
    pub external_id: Option<ExternalId>,
    /// Contact address; unique among accounts that are not deleted.
    pub email: Email,
    /// Display name.
    pub name: Name,
    /// Whether it may use the API.
    pub status: AccountStatus,
    /// Its plan.
    pub plan: PlanId,
    /// Active keys now.
    pub active_keys: u32,
    /// Raised by every change; a higher one is newer.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// The account this person belongs to.
    pub account_id: AccountId,
    /// What they sign in with; unique.
    pub email: Email,
    /// When they joined.
    pub created_at: Timestamp,
}
