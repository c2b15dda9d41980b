//! The API key record.

use crate::id::{AccountId, KeyId};
use crate::key_text::Mask;
use crate::text::{Environment, Name};
use crate::time::Timestamp;

/// The state of a key at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyStatus {
    /// Counts towards the plan's limit.
    Active,
    /// Its own end has passed.
    Expired,
    /// Ended by somebody.
    Revoked,
}

impl KeyStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokedReason {
    /// Deleted by its account's user on the dashboard.
    User,
    /// Deleted by the operator.
    Operator,
    /// Deleted by whoever held the secret.
    Holder,
    /// Its account was deleted.
    AccountDeleted,
}

impl RevokedReason {
    const ALL: [Self; 4] = [Self::User, Self::Operator, Self::Holder, Self::AccountDeleted];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Holder => "holder",
            Self::AccountDeleted => "account_deleted",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// The old secret of a rotated key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Prefix and four characters.
    pub mask: Mask,
    /// When it ends: at the end of the overlap, or with the key.
    pub works_until: Timestamp,
}

/// An API key, as everybody but its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Id, for ever.
    pub id: KeyId,
    /// Whose it is.
    pub account_id: AccountId,
    /// What its owner calls it.
    pub name: Name,
    /// Where its owner uses it; nothing is decided by it.
    pub environment: Option<Environment>,
    /// Prefix and four characters of its newest secret.
    pub mask: Mask,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its newest secret was made: with it, or by the last rotation.
    pub secret_created_at: Timestamp,
    /// When it was last presented, within a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When and why somebody ended it.
    pub revoked: Option<(Timestamp, RevokedReason)>,
    /// The secret before the last rotation, unless somebody ended it; its time may be over. Ask
    /// [`Self::previous_at`].
    pub previous: Option<PreviousSecret>,
}

impl ApiKey {
    /// Its state at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        if self.revoked.is_some() {
            KeyStatus::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }

    /// Its old secret, if that still works at `now`.
    #[must_use]
    pub fn previous_at(&self, now: Timestamp) -> Option<&PreviousSecret> {
        let lives = self.status(now) == KeyStatus::Active;
        self.previous.as_ref().filter(|previous| lives && previous.works_until > now)
    }
}
