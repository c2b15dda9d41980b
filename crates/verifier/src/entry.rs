//! What is held about one secret, and the cache that holds the good ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::Counter;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use rndrkit_domain::decision::Caller;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::{Monotonic, Timestamp};

use crate::account::{AccountState, AccountView};
use crate::source::KeyFacts;

/// A secret that is known.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub(crate) key_id: KeyId,
    pub(crate) account: Arc<AccountState>,
    /// When the secret ends by itself: the key's own end or the end of a rotation, whichever is first.
    pub(crate) ends_at: Option<Timestamp>,
    /// The account's generation when this was read.
    generation: u64,
    /// Set before the entry leaves the cache, for those who took it out of the cache just before.
    dead: AtomicBool,
}

impl KeyEntry {
    pub(crate) fn new(facts: &KeyFacts, account: Arc<AccountState>) -> Self {
        let ends_at = match (facts.expires_at, facts.ends_at) {
            (Some(expires_at), Some(ends_at)) => Some(expires_at.min(ends_at)),
            (expires_at, ends_at) => expires_at.or(ends_at),
        };
        let generation = account.generation();
        Self { key_id: facts.key_id, account, ends_at, generation, dead: AtomicBool::new(false) }
    }

    /// Whether nothing that was applied since it was read concerns it.
    pub(crate) fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Acquire) && self.generation == self.account.generation()
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whose key it is, on the account's plan as it is now.
    pub(crate) fn caller(&self, view: &AccountView) -> Caller {
        Caller { key_id: self.key_id, account_id: self.account.id, profile: Arc::clone(&view.profile) }
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

/// Marks what leaves the cache for want of room: what is not in the cache is dead, so that applying an
/// entry of the feed, which looks in the cache, misses nobody.
#[derive(Clone)]
pub(crate) struct KillEvicted {
    pub(crate) evictions: Counter,
}

impl Lifecycle<Digest, Arc<KeyEntry>> for KillEvicted {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _digest: Digest, entry: Arc<KeyEntry>) {
        entry.kill();
        self.evictions.increment(1);
    }
}

/// Good keys. Bounded; the least useful go first.
pub(crate) type GoodKeys = Cache<Digest, Arc<KeyEntry>, UnitWeighter, DefaultHashBuilder, KillEvicted>;

/// Unknown and revoked keys, apart from the good ones so that a flood of them evicts none of those.
pub(crate) type RefusedKeys = Cache<Digest, Refused>;

/// An empty cache of good keys.
pub(crate) fn good_keys(capacity: usize, evictions: Counter) -> GoodKeys {
    let capacity = capacity.max(1);
    let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
    Cache::with(capacity, weight, UnitWeighter, DefaultHashBuilder::default(), KillEvicted { evictions })
}

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

    /// Else a connection could take out an entry, lose it to an eviction, and miss the revocation that looks
    /// for it in the cache.
    #[test]
    fn what_is_not_in_the_cache_is_dead() {
        let mut accounts = Accounts::new(1_000);
        let cache = good_keys(4, Counter::noop());
        let entries: Vec<(Digest, Arc<KeyEntry>)> = (0..50)
            .map(|seed| {
                let facts = facts();
                let (account, _) = accounts.intern(&facts.account, 0, Monotonic(0)).unwrap();
                (Digest([seed; 32]), Arc::new(KeyEntry::new(&facts, account)))
            })
            .collect();
        for (digest, entry) in &entries {
            cache.insert(*digest, Arc::clone(entry));
        }
        assert!(cache.len() <= 4);
        for (digest, entry) in &entries {
            assert_eq!(entry.is_alive(), cache.contains_key(digest));
        }
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
            KeyEntry::new(&facts, Arc::clone(&account)).ends_at.map(Timestamp::unix_ms)
        };
        assert_eq!(end(None, None), None);
        assert_eq!(end(Some(5), None), Some(5));
        assert_eq!(end(None, Some(6)), Some(6));
        assert_eq!(end(Some(5), Some(6)), Some(5));
        assert_eq!(end(Some(7), Some(6)), Some(6));
    }
}
