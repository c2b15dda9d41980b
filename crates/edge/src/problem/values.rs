//! The values of the rate-limit headers: written where they are short-lived, and copied to the heap once.
//!
//! Deliberately absent: which headers there are.

use http::HeaderValue;
use rndrkit_domain::decision::BudgetState;

/// Room for a name and two figures of 20 digits.
const VALUE_BYTES: usize = 64;

/// `RateLimit-Policy`: what the account's budget is (IETF draft, revision 10).
pub(crate) fn rate_limit_policy(budget: &BudgetState) -> Option<HeaderValue> {
    let limit = budget.limit;
    figures(["\"account\";q=", ";w="], [limit.burst.get().into(), limit.window_seconds()])
}

/// `RateLimit`: what is left of it.
pub(crate) fn rate_limit(budget: &BudgetState) -> Option<HeaderValue> {
    figures(["\"account\";r=", ";t="], [budget.remaining.into(), budget.reset_seconds])
}

fn figures(names: [&str; 2], figures: [u64; 2]) -> Option<HeaderValue> {
    let mut space = [0_u8; VALUE_BYTES];
    let mut length = 0;
    let mut digits = itoa::Buffer::new();
    for (name, figure) in names.into_iter().zip(figures) {
        for text in [name, digits.format(figure)] {
            space.get_mut(length..length + text.len())?.copy_from_slice(text.as_bytes());
            length += text.len();
        }
    }
    HeaderValue::from_bytes(space.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rndrkit_domain::plan::RateLimit;

    use super::*;

    #[test]
    fn the_longest_figures_fit_too() {
        let most = NonZeroU32::MAX;
        let limit = RateLimit { per_minute: most, burst: most };
        let budget = BudgetState { limit, remaining: u32::MAX, reset_seconds: u64::MAX };
        let left = rate_limit(&budget).unwrap();
        assert_eq!(left, format!("\"account\";r={};t={}", u32::MAX, u64::MAX));
        let limit =
            RateLimit { per_minute: NonZeroU32::new(600).unwrap(), burst: NonZeroU32::new(100).unwrap() };
        let budget = BudgetState { limit, remaining: 7, reset_seconds: 1 };
        assert_eq!(rate_limit_policy(&budget).unwrap(), "\"account\";q=100;w=10");
        assert_eq!(rate_limit(&budget).unwrap(), "\"account\";r=7;t=1");
    }
}
