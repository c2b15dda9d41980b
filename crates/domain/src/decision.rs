//! The answer to "may this request pass": who is asking, or why not. All doors show the same decision.

use std::sync::Arc;

use crate::id::{AccountId, KeyId};
use crate::plan::{PlanId, RateLimit};
use crate::text::ExternalId;

/// Whose key it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key_id: KeyId,
    /// Its account.
    pub account_id: AccountId,
    /// The operator's own id for the account.
    pub external_id: Option<Arc<ExternalId>>,
    /// The account's plan at this moment.
    pub plan: PlanId,
}

/// The account's budget after the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetState {
    /// The plan's figures.
    pub limit: RateLimit,
    /// Whole requests left.
    pub remaining: u32,
    /// Seconds until one more request fits, rounded up; 0 when the bucket is full.
    pub reset_seconds: u64,
}

/// Why a request is refused. The order of the variants is the order in which they are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The credential's shape: two keys, a comma, two different credentials.
    InvalidRequest,
    /// No key at all.
    MissingKey,
    /// Wrong text, wrong checksum, or unknown.
    InvalidKey,
    /// Somebody ended the key.
    KeyRevoked,
    /// The key was rotated, and the time of this old secret of it is over. On the wire as a key that somebody
    /// ended; only the sentence differs.
    SecretReplaced,
    /// The key's own end has passed.
    KeyExpired,
    /// The operator stopped the account.
    AccountSuspended,
    /// The plan has no API access.
    PlanRequired,
    /// The account's budget is spent.
    RateLimited,
    /// This address caused too many failed look-ups.
    TooManyFailures,
    /// We do not know: a dependency failed, or trust has lapsed. Never a statement about the key.
    Unavailable,
}

impl Denial {
    /// Every denial.
    pub const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::MissingKey,
        Self::InvalidKey,
        Self::KeyRevoked,
        Self::SecretReplaced,
        Self::KeyExpired,
        Self::AccountSuspended,
        Self::PlanRequired,
        Self::RateLimited,
        Self::TooManyFailures,
        Self::Unavailable,
    ];

    /// The stable code on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::MissingKey => "missing_key",
            Self::InvalidKey => "invalid_key",
            Self::KeyRevoked | Self::SecretReplaced => "key_revoked",
            Self::KeyExpired => "key_expired",
            Self::AccountSuspended => "account_suspended",
            Self::PlanRequired => "plan_required",
            Self::RateLimited => "rate_limited",
            Self::TooManyFailures => "too_many_failures",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether it says that the secret itself works no more. Such a request moves no last use.
    #[must_use]
    pub const fn is_of_ended_secret(self) -> bool {
        matches!(self, Self::KeyRevoked | Self::SecretReplaced | Self::KeyExpired)
    }

    /// The word that a stored refusal has for it: the code, and one of its own where two share a code.
    #[must_use]
    pub const fn stored(self) -> &'static str {
        match self {
            Self::SecretReplaced => "secret_replaced",
            other => other.as_str(),
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn parse_stored(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|denial| denial.stored() == word)
    }
}

/// The decision on one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Let it pass.
    Allowed {
        /// Whose key.
        caller: Caller,
        /// What is left.
        budget: BudgetState,
    },
    /// Refuse it.
    Denied {
        /// Why.
        denial: Denial,
        /// Whose key, when the secret was right.
        caller: Option<Caller>,
        /// The budget, when it was looked at: on `rate_limited` only.
        budget: Option<BudgetState>,
    },
}

impl Decision {
    /// A denial that says nothing about a caller.
    #[must_use]
    pub const fn denied(denial: Denial) -> Self {
        Self::Denied { denial, caller: None, budget: None }
    }

    /// Whose key it was, if the secret was right.
    #[must_use]
    pub const fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Allowed { caller, .. } => Some(caller),
            Self::Denied { caller, .. } => caller.as_ref(),
        }
    }

    /// `valid`, or the denial's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Allowed { .. } => "valid",
            Self::Denied { denial, .. } => denial.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Denial;

    #[test]
    fn the_word_that_a_denial_is_stored_by_reads_back() {
        for denial in Denial::ALL {
            assert_eq!(Denial::parse_stored(denial.stored()), Some(denial));
        }
        assert_eq!(Denial::parse_stored("whatever"), None);
    }
}
