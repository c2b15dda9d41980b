//! What is held about one secret, and the cache of those that are refused.

use std::sync::Arc;

use quick_cache::sync::Cache;
use rndrkit_domain::decision::{Caller, Denial};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::{Monotonic, Timestamp};

use crate::account::{AccountState, AccountView};
use crate::source::KeyFacts;

/// When a secret ends by itself, and what is then said about it: milliseconds in the upper 63 bits, and in the
/// lowest whether it is the end of a rotation's old half. One number, because there is one for every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End(i64);

impl End {
    /// Later than every moment.
    const NEVER: Self = Self(i64::MAX);

    fn new(end: Timestamp, is_replaced: bool) -> Self {
        Self(end.unix_ms().saturating_mul(2) | i64::from(is_replaced))
    }
}

/// A secret that is known. As small as it can be: there is one for every key in memory.
#[derive(Debug, Clone)]
pub(crate) struct KeyEntry {
    pub(crate) key_id: KeyId,
    pub(crate) account: Arc<AccountState>,
    /// The key's own end or the end of a rotation, whichever is first.
    end: End,
    /// The account's generation when this was read.
    generation: u64,
}

impl KeyEntry {
    pub(crate) fn new(facts: &KeyFacts, account: Arc<AccountState>) -> Self {
        let own = facts.expires_at.map(|end| End::new(end, false));
        let replaced = facts.ends_at.map(|end| End::new(end, true));
        let end = own.into_iter().chain(replaced).min().unwrap_or(End::NEVER);
        let generation = account.generation();
        Self { key_id: facts.key_id, account, end, generation }
    }

    /// When the secret ends by itself.
    #[inline]
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        (self.end != End::NEVER).then(|| Timestamp::from_unix_ms(self.end.0 >> 1))
    }

    /// What is said about the secret once it has ended by itself.
    pub(crate) const fn end_denial(&self) -> Denial {
        if self.end.0 & 1 == 1 { Denial::SecretReplaced } else { Denial::KeyExpired }
    }

    /// Whether nothing that was applied since it was read concerns its account. What concerns the key alone
    /// takes it out of where it is held.
    pub(crate) fn is_current(&self) -> bool {
        self.generation == self.account.generation()
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> (KeyId, AccountId) {
        (self.key_id, self.account.id)
    }

    /// Whose key it is, on the account's plan as it is now.
    pub(crate) fn caller(&self, view: &AccountView) -> Caller {
        let (key_id, account_id) = self.owner();
        Caller { key_id, account_id, external_id: view.external_id.clone(), plan: view.plan.clone() }
    }
}

/// What is known about one secret.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    /// Known and not revoked.
    Good(Arc<KeyEntry>),
    /// Known and revoked.
    Revoked(Arc<KeyEntry>),
    /// Not known.
    Unknown,
}

/// A secret that is refused, until `until`.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) held: Held,
    pub(crate) until: Monotonic,
}

/// Unknown and revoked keys, apart from the good ones so that a flood of them evicts none of those.
pub(crate) type RefusedKeys = Cache<Digest, Refused>;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rndrkit_domain::account::AccountStatus;
    use rndrkit_domain::id::AccountId;
    use rndrkit_domain::plan::{PlanId, RateLimit};
    use rndrkit_domain::random::OsEntropy;

    use super::*;
    use crate::account::Accounts;
    use crate::source::AccountFacts;

    fn facts() -> KeyFacts {
        let now = Timestamp::from_unix_ms(0);
        let account = AccountFacts {
            id: AccountId::generate(now, &OsEntropy),
            external_id: None,
            status: AccountStatus::Active,
            plan: PlanId::parse("agency").unwrap(),
            api_access: true,
            rate_limit: RateLimit { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN },
            revision: 1,
        };
        let key_id = KeyId::generate(now, &OsEntropy);
        KeyFacts { key_id, expires_at: None, ends_at: None, revoked: false, account }
    }

    #[test]
    fn the_earlier_of_two_ends_is_the_end() {
        let mut accounts = Accounts::new(10);
        let (account, _) = accounts.intern(&facts().account, 0, Monotonic(0)).unwrap();
        let end = |expires_at: Option<i64>, ends_at: Option<i64>| {
            let facts = KeyFacts {
                expires_at: expires_at.map(Timestamp::from_unix_ms),
                ends_at: ends_at.map(Timestamp::from_unix_ms),
                ..facts()
            };
            let entry = KeyEntry::new(&facts, Arc::clone(&account));
            entry.ends_at().map(|end| (end.unix_ms(), entry.end_denial()))
        };
        let (expired, replaced) = (Denial::KeyExpired, Denial::SecretReplaced);
        assert_eq!(end(None, None), None);
        assert_eq!(end(Some(5), None), Some((5, expired)));
        assert_eq!(end(None, Some(6)), Some((6, replaced)));
        assert_eq!(end(Some(5), Some(6)), Some((5, expired)));
        assert_eq!(end(Some(7), Some(6)), Some((6, replaced)));
        assert_eq!(end(Some(6), Some(6)), Some((6, expired)));
        assert_eq!(end(Some(6), Some(0)), Some((0, replaced)), "ended by somebody");
    }
}
