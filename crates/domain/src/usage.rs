//! Counted use: what each key did in each stretch of time.

use std::time::Duration;

use crate::id::{AccountId, KeyId};
use crate::key_text::Digest;
use crate::time::Timestamp;

/// How long counts by the minute are kept.
pub const MINUTES_KEPT_FOR: Duration = Duration::from_secs(48 * 3_600);
/// How long counts by the hour are kept.
pub const HOURS_KEPT_FOR: Duration = Duration::from_secs(14 * 86_400);

/// Length of the stretches that use is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsagePeriod {
    /// Kept for [`MINUTES_KEPT_FOR`].
    Minute,
    /// Kept for [`HOURS_KEPT_FOR`].
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

/// What kind of answer an admitted request got (RFC 9110, section 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusClass {
    /// 2xx, and 101: the one interim status that ends a request.
    Successful,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx, whoever made it: the upstream, or we in its place.
    ServerError,
}

impl StatusClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Successful, Self::Redirection, Self::ClientError, Self::ServerError];

    /// The class of a status code.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            0..300 => Self::Successful,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

/// Answers counted, by class. Fewer than the requests let through where the answer is not seen (forward auth,
/// verify) or has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerCounts {
    /// 2xx and 101.
    pub successful: u64,
    /// 3xx.
    pub redirection: u64,
    /// 4xx.
    pub client_error: u64,
    /// 5xx.
    pub server_error: u64,
}

impl AnswerCounts {
    /// One answer.
    #[must_use]
    pub const fn one(class: StatusClass) -> Self {
        let mut counts = Self { successful: 0, redirection: 0, client_error: 0, server_error: 0 };
        match class {
            StatusClass::Successful => counts.successful = 1,
            StatusClass::Redirection => counts.redirection = 1,
            StatusClass::ClientError => counts.client_error = 1,
            StatusClass::ServerError => counts.server_error = 1,
        }
        counts
    }

    /// All answers together.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.successful + self.redirection + self.client_error + self.server_error
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            successful: self.successful.saturating_add(other.successful),
            redirection: self.redirection.saturating_add(other.redirection),
            client_error: self.client_error.saturating_add(other.client_error),
            server_error: self.server_error.saturating_add(other.server_error),
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
    /// What those that were let through were answered, where the gateway saw it.
    pub answers: AnswerCounts,
}

impl UsageCounts {
    /// All requests together.
    #[must_use]
    pub const fn requests(self) -> u64 {
        self.allowed.saturating_add(self.limited).saturating_add(self.refused)
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            limited: self.limited.saturating_add(other.limited),
            refused: self.refused.saturating_add(other.refused),
            answers: self.answers.plus(other.answers),
        }
    }
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

/// What one key did in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub key_id: KeyId,
    /// How long the stretch is.
    pub period: UsagePeriod,
    /// Where it begins; stretches are counted in UTC.
    pub starts_at: Timestamp,
    /// Counted in it.
    pub counts: UsageCounts,
}

/// What one key, or several together, did in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// The key; none for those that are not named.
    pub key_id: Option<KeyId>,
    /// Where the stretch begins.
    pub starts_at: Timestamp,
    /// Counted in it.
    pub counts: UsageCounts,
}
