//! Plans: what an account may do. The order of the list is the rank ("Agency and above").

use std::fmt;
use std::num::NonZeroU32;

/// A plan's id, such as `agency_plus`: 1 to 32 characters `a-z`, `0-9`, `_`, beginning with a letter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanId(String);

/// A text that is not a plan id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan id is 1 to 32 characters a-z, 0-9 and _, beginning with a letter")]
pub struct InvalidPlanId;

impl PlanId {
    /// Checks the shape; whether the plan exists, the store knows.
    pub fn parse(text: &str) -> Result<Self, InvalidPlanId> {
        let shaped = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.len() <= 32
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if shaped { Ok(Self(text.to_owned())) } else { Err(InvalidPlanId) }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request budget: a bucket of `burst` requests that refills at `per_minute` / 60 a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// Requests that flow back in a minute.
    pub per_minute: NonZeroU32,
    /// Requests that the full bucket holds.
    pub burst: NonZeroU32,
}

impl RateLimit {
    /// Seconds in which an empty bucket fills, rounded up: the window of `RateLimit-Policy`.
    #[must_use]
    pub fn window_seconds(self) -> u64 {
        (u64::from(self.burst.get()) * 60).div_ceil(u64::from(self.per_minute.get()))
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Id, unique.
    pub id: PlanId,
    /// What people see.
    pub name: String,
    /// Whether keys of accounts on this plan are let through.
    pub api_access: bool,
    /// How many active keys an account may have.
    pub active_keys: u32,
    /// The account's budget.
    pub rate_limit: RateLimit,
}
