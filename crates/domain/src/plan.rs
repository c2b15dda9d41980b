//! Plans: what an account may do. The order of the list is the rank ("Agency and above").

use std::fmt;
use std::num::NonZeroU32;

/// The longest id of a plan.
const PLAN_ID_BYTES: usize = 32;

/// A plan's id, such as `agency_plus`: 1 to 32 characters `a-z`, `0-9`, `_`, beginning with a letter. Has no
/// place of its own on the heap, because every decision tells the plan.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanId {
    /// Filled up with zeros, so that ids are ordered as their texts are.
    bytes: [u8; PLAN_ID_BYTES],
    length: u8,
}

/// A text that is not a plan id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan id is 1 to 32 characters a-z, 0-9 and _, beginning with a letter")]
pub struct InvalidPlanId;

impl PlanId {
    /// Checks the shape; whether the plan exists, the store knows.
    pub fn parse(text: &str) -> Result<Self, InvalidPlanId> {
        let shaped = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let mut bytes = [0; PLAN_ID_BYTES];
        let place = bytes.get_mut(..text.len()).filter(|_| shaped).ok_or(InvalidPlanId)?;
        place.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).map_err(|_| InvalidPlanId)?;
        Ok(Self { bytes, length })
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was a text when it was copied here.
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_plans_read_back_and_are_ordered_as_their_texts() {
        let longest = "a".repeat(PLAN_ID_BYTES);
        let texts = ["a", "a0", "a_", "agency", "agency_plus", "b", "z9_"];
        let ids: Vec<PlanId> = texts.iter().map(|text| PlanId::parse(text).unwrap()).collect();
        assert!(ids.iter().map(PlanId::as_str).eq(texts));
        assert!(ids.is_sorted() && texts.is_sorted());
        assert_eq!(PlanId::parse(&longest).unwrap().to_string(), longest);
        assert_eq!(format!("{:?}", ids[3]), "agency");
    }

    #[test]
    fn what_is_not_the_id_of_a_plan_is_refused() {
        for bad in ["", "A", "1a", "_a", "a-b", "a b", "ä", &"a".repeat(PLAN_ID_BYTES + 1), &"a".repeat(300)]
        {
            assert_eq!(PlanId::parse(bad), Err(InvalidPlanId), "{bad}");
        }
    }
}
