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

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whose key it is, on the account's plan as it is now.
    pub(crate) fn caller(&self, view: &AccountView) -> Caller {
        Caller {
            key_id: self.key_id,
            account_id: self.account.id,
            external_id: view.external_id.clone(),
            plan: Arc::clone(&view.plan),
        }
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
