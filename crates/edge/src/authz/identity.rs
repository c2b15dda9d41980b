//! The headers that say whose key it was, as values that are ready to be sent: they are the same for every
//! request of a key until its account changes.
//!
//! Each worker keeps its own, so nothing is locked. A value is only ever used for a caller and a limit that equal
//! those it was made of, whatever has changed meanwhile. Deliberately absent: which header a value is for.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use rndrkit_domain::decision::{BudgetState, Caller};
use rndrkit_domain::plan::RateLimit;

use crate::problem::rate_limit_policy;

/// Callers that a worker remembers: about half a KiB each when their ids are short. Two that fall on one place
/// take it from each other.
const PLACES: usize = 4096;
/// Account, external id, key, plan, and the policy of the account's budget.
pub(super) const VALUES: usize = 5;

thread_local! {
    static KNOWN: RefCell<Vec<Option<Box<Identity>>>> = const { RefCell::new(Vec::new()) };
}

struct Identity {
    caller: Caller,
    limit: RateLimit,
    values: [HeaderValue; VALUES],
}

/// Says whose key it is. What is not known, or cannot be a header's value, is `-`.
pub(super) fn values(caller: &Caller, budget: &BudgetState) -> [HeaderValue; VALUES] {
    KNOWN.with(|known| {
        // Never borrowed by another: nothing in here calls anything that comes back.
        let Ok(mut known) = known.try_borrow_mut() else { return write(caller, budget) };
        if known.is_empty() {
            known.resize_with(PLACES, || None);
        }
        let Some(place) = known.get_mut(place_of(caller)) else { return write(caller, budget) };
        match place {
            Some(held) if held.limit == budget.limit && held.caller == *caller => held.values.clone(),
            _ => {
                let values = write(caller, budget);
                let (caller, limit) = (caller.clone(), budget.limit);
                *place = Some(Box::new(Identity { caller, limit, values: values.clone() }));
                values
            }
        }
    })
}

/// The end of an id is random.
fn place_of(caller: &Caller) -> usize {
    let [.., high, low] = caller.key_id.to_bytes();
    usize::from(u16::from_be_bytes([high, low])) % PLACES
}

fn write(caller: &Caller, budget: &BudgetState) -> [HeaderValue; VALUES] {
    let external_id = caller.external_id.as_deref().map_or("-", |id| id.as_str());
    let policy = rate_limit_policy(budget);
    let (account_id, key_id) = (caller.account_id.text(), caller.key_id.text());
    let texts = [
        account_id.as_bytes(),
        external_id.as_bytes(),
        key_id.as_bytes(),
        caller.plan.as_str().as_bytes(),
        policy.as_ref().map_or(b"-", |policy| policy.as_bytes()),
    ];
    // One piece of memory for all of them.
    let mut all = BytesMut::with_capacity(texts.iter().map(|text| text.len()).sum());
    texts.map(|text| {
        all.extend_from_slice(text);
        value(all.split().freeze())
    })
}

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use rndrkit_domain::id::{AccountId, KeyId};
    use rndrkit_domain::plan::PlanId;
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::text::ExternalId;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    fn caller() -> Caller {
        let now = Timestamp::from_unix_ms(1);
        Caller {
            key_id: KeyId::generate(now, &OsEntropy),
            account_id: AccountId::generate(now, &OsEntropy),
            external_id: None,
            plan: PlanId::parse("pro").unwrap(),
        }
    }

    fn budget(burst: u32) -> BudgetState {
        let figure = |number| NonZeroU32::new(number).unwrap();
        let limit = RateLimit { per_minute: figure(600), burst: figure(burst) };
        BudgetState { limit, remaining: 0, reset_seconds: 3 }
    }

    fn said(caller: &Caller, burst: u32) -> Vec<String> {
        let values = values(caller, &budget(burst));
        values.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_has_changed_is_said_at_the_next_request() {
        let mut caller = caller();
        let (account, key) = (caller.account_id.to_string(), caller.key_id.to_string());
        for _ in 0..2 {
            assert_eq!(said(&caller, 100), [&*account, "-", &*key, "pro", "\"account\";q=100;w=10"]);
        }
        caller.plan = PlanId::parse("free").unwrap();
        caller.external_id = Some(Arc::new(ExternalId::parse("crm-1").unwrap()));
        assert_eq!(said(&caller, 100), [&*account, "crm-1", &*key, "free", "\"account\";q=100;w=10"]);
        assert_eq!(said(&caller, 200)[4], "\"account\";q=200;w=20");
        assert_eq!(said(&caller, 100)[4], "\"account\";q=100;w=10");
    }

    #[test]
    fn two_keys_on_one_place_are_never_taken_for_each_other() {
        let first = caller();
        let second = loop {
            let other = caller();
            if place_of(&other) == place_of(&first) {
                break other;
            }
        };
        for caller in [&first, &second, &first, &first, &second] {
            assert_eq!(said(caller, 100)[2], caller.key_id.to_string());
        }
    }
}
