//! Counted use: what each key did in each stretch of time.

use std::time::Duration;

use crate::id::{AccountId, KeyId};
use crate::key_text::Digest;
use crate::time::Timestamp;

/// Length of the stretches that use is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsagePeriod {
    /// Kept 48 hours.
    Minute,
    /// Kept 14 days.
    Hour,
    /// Kept `usage_retention_days`.
    Day,
}

impl UsagePeriod {
    /// Every period.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How long one stretch is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
        }
    }
}

/// Requests counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageCounts {
    /// Let through.
    pub allowed: u64,
    /// Refused because the budget was spent.
    pub limited: u64,
    /// Refused for another reason (plan, suspension) with a right and active secret.
    pub refused: u64,
}

/// What one key did in one minute, to be added to what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    /// The key.
    pub key_id: KeyId,
    /// Its account.
    pub account_id: AccountId,
    /// Start of the minute.
    pub minute: Timestamp,
    /// To be added.
    pub counts: UsageCounts,
}

/// When a secret was last presented; stored only if later than what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// Which secret.
    pub digest: Digest,
    /// Its key.
    pub key_id: KeyId,
    /// When.
    pub at: Timestamp,
}

/// What one key did on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyUsage {
    /// The key.
    pub key_id: KeyId,
    /// Start of the day.
    pub day: Timestamp,
    /// Counted that day.
    pub counts: UsageCounts,
}
