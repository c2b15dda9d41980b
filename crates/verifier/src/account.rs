//! What is known about one account: exactly one state per account id, shared by all its keys.
//!
//! A plan change therefore touches one place, and a budget outlives every cache entry that draws on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard};
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::text::ExternalId;
use rndrkit_domain::time::Monotonic;
use tokio::sync::Notify;

use crate::limiter::{Limiter, Rule};
use crate::slices::drawer::Pool;
use crate::slices::share::{Asking, Brought, Sent, Share};
use crate::source::AccountFacts;
use crate::watch::Change;

/// Where a view comes from. Ordered: a later one replaces an earlier one, never the other way round.
type Version = (i64, FeedNumber);

/// Older than everything that can be read.
const UNKNOWN_VERSION: Version = (i64::MIN, FeedNumber::MIN);

/// What decisions need to know about an account.
#[derive(Debug)]
pub(crate) struct AccountView {
    // Not shared between accounts: one counter for all who are on a plan would be fought over by all cores.
    pub(crate) plan: PlanId,
    pub(crate) external_id: Option<Arc<ExternalId>>,
    pub(crate) status: AccountStatus,
    pub(crate) api_access: bool,
    rule: Rule,
    version: Version,
}

impl AccountView {
    fn new(facts: &AccountFacts, head: FeedNumber) -> Self {
        Self {
            plan: facts.plan.clone(),
            external_id: facts.external_id.clone().map(Arc::new),
            status: facts.status,
            api_access: facts.api_access,
            rule: Rule::new(facts.rate_limit),
            version: (facts.revision, head),
        }
    }

    #[cfg(feature = "inspect")]
    pub(crate) const fn limit(&self) -> rndrkit_domain::plan::RateLimit {
        self.rule.limit()
    }

    pub(crate) const fn revision(&self) -> i64 {
        self.version.0
    }
}

/// What an account's requests are taken from.
#[derive(Debug)]
enum Budget {
    /// The whole budget is here.
    Own(Limiter),
    /// It is shared with other nodes.
    Shared(Box<Share>),
}

/// One account's state. In this order, a decision first reads both ends of what it needs, so that the lines of
/// memory between come together and not one after another.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct AccountState {
    /// Raised by every entry that may change what is known about the account or any of its keys. What was
    /// read under an earlier generation is read again.
    generation: AtomicU64,
    /// Raised by every entry that may concern the account or one of its keys, for long connections: by
    /// [`Change::weight`].
    changes: AtomicU64,
    /// View and budget change together under this lock; takers hold it for reading.
    view: RwLock<AccountView>,
    budget: Budget,
    pub(crate) id: AccountId,
    /// Wakes those who wait for `changes` to move.
    moved: Notify,
}

impl AccountState {
    fn new(facts: &AccountFacts, head: FeedNumber, pool: Option<&Arc<Pool>>) -> Self {
        let view = AccountView::new(facts, head);
        let budget = match pool {
            None => Budget::Own(Limiter::default()),
            Some(pool) => Budget::Shared(Box::new(Share::new(Arc::clone(pool), facts.rate_limit))),
        };
        Self {
            id: facts.id,
            view: RwLock::new(view),
            budget,
            generation: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            moved: Notify::new(),
        }
    }

    /// What is known now. Not to be held across an `await`.
    #[inline]
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, AccountView> {
        self.view.read()
    }

    /// Takes from the budget under the limit of a view that is still held, so that no change of the limit
    /// comes between.
    #[inline]
    pub(crate) fn take(
        self: &Arc<Self>,
        view: &RwLockReadGuard<'_, AccountView>,
        cost: u32,
        now: Monotonic,
    ) -> Asking {
        match &self.budget {
            Budget::Own(limiter) => Asking::Done(limiter.take(&view.rule, cost, now)),
            Budget::Shared(share) => share.take(self, cost, now),
        }
    }

    /// What this node has of the budget, when it is shared.
    pub(crate) fn share(&self) -> Option<&Share> {
        match &self.budget {
            Budget::Own(_) => None,
            Budget::Shared(share) => Some(share),
        }
    }

    /// Takes in what a draw brought. When the budget follows a newer revision, all is read again.
    pub(crate) fn land(self: &Arc<Self>, sent: &Sent, brought: Brought, now: Monotonic) {
        if self.share().is_some_and(|share| share.land(self, sent, brought, now)) {
            // After the share was closed: what is read from now on opens it again.
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether forgetting this budget would give nothing away.
    fn is_idle(&self, now: Monotonic) -> bool {
        match &self.budget {
            Budget::Own(limiter) => limiter.is_full(now),
            Budget::Shared(share) => share.is_idle(now),
        }
    }

    /// Takes over newer facts; older ones are ignored. What is spent stays spent.
    fn replace(&self, facts: &AccountFacts, head: FeedNumber, now: Monotonic) {
        let mut view = self.view.write();
        let is_older = (facts.revision, head) < view.version;
        let next = if is_older { None } else { Some(AccountView::new(facts, head)) };
        let other_limit = next.as_ref().is_some_and(|next| next.rule.limit() != view.rule.limit());
        match (&self.budget, &next) {
            (Budget::Own(limiter), Some(next)) if other_limit => limiter.convert(&view.rule, &next.rule, now),
            (Budget::Own(_), _) => {}
            // Even if these are older: then what is known is newer than they, and they are new enough.
            (Budget::Shared(share), _) => share.open(other_limit.then_some(facts.rate_limit)),
        }
        if let Some(next) = next {
            *view = next;
        }
    }

    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Everything that is known about the account and its keys is to be read again. What this node holds of
    /// a shared budget is gone before anybody can say that the change was applied.
    pub(crate) fn outdate(&self, change: Change) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        if let Some(share) = self.share() {
            share.close();
        }
        self.announce(change);
    }

    /// As [`Self::outdate`]; facts of a lower revision are welcome too, because history was rewritten.
    fn forget(&self, change: Change) {
        self.outdate(change);
        self.view.write().version = UNKNOWN_VERSION;
    }

    /// Wakes long connections. Called after whatever changed has changed, so that a connection which read
    /// the counter before looking cannot miss it.
    pub(crate) fn announce(&self, change: Change) {
        self.changes.fetch_add(change.weight(), Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// Waits until the counter of changes is no longer `seen`; returns what it is then.
    pub(crate) async fn changed_since(&self, seen: u64) -> u64 {
        loop {
            // Made before the counter is read: it is then woken by every change after that.
            let moved = self.moved.notified();
            let changes = self.changes();
            if changes != seen {
                return changes;
            }
            moved.await;
        }
    }

    #[cfg(test)]
    pub(crate) fn revision(&self) -> i64 {
        self.view.read().version.0
    }
}

/// All account states. An account is here while anything refers to it or its budget is not full.
#[derive(Debug)]
pub(crate) struct Accounts {
    // Ordered, so that waking all of them happens in an order that a simulation can repeat.
    states: BTreeMap<AccountId, Arc<AccountState>>,
    bound: usize,
    /// What they share, when budgets are shared between nodes.
    pool: Option<Arc<Pool>>,
    sweep_at: usize,
    last_sweep: Option<Monotonic>,
}

/// Below this many accounts, looking for unused ones is not worth the time.
const FEW_ACCOUNTS: usize = 1_024;
/// At the bound, every new account would sweep; this keeps that from becoming the whole work.
const SWEEP_INTERVAL_AT_BOUND: Duration = Duration::from_secs(1);

impl Accounts {
    #[cfg(test)]
    pub(crate) fn new(bound: usize) -> Self {
        Self::with(bound, None)
    }

    pub(crate) fn with(bound: usize, pool: Option<Arc<Pool>>) -> Self {
        Self { states: BTreeMap::new(), bound, pool, sweep_at: FEW_ACCOUNTS.min(bound), last_sweep: None }
    }

    pub(crate) fn get(&self, id: &AccountId) -> Option<&Arc<AccountState>> {
        self.states.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<AccountState>> {
        self.states.values()
    }

    /// The account's one state, brought up to these facts; `true` when it is new here. `None` when there are
    /// too many: forgetting one that is in use would give it a second budget.
    pub(crate) fn intern(
        &mut self,
        facts: &AccountFacts,
        head: FeedNumber,
        now: Monotonic,
    ) -> Option<(Arc<AccountState>, bool)> {
        if let Some(state) = self.states.get(&facts.id) {
            state.replace(facts, head, now);
            return Some((Arc::clone(state), false));
        }
        if self.states.len() >= self.sweep_at {
            self.sweep(now);
        }
        if self.states.len() >= self.bound {
            return None;
        }
        let state = Arc::new(AccountState::new(facts, head, self.pool.as_ref()));
        self.states.insert(facts.id, Arc::clone(&state));
        Some((state, true))
    }

    /// Drops what nobody refers to and what has nothing to remember. References are only made under the
    /// lock around this map, so a count of one cannot grow meanwhile.
    fn sweep(&mut self, now: Monotonic) {
        let lately = self.last_sweep.is_some_and(|last| now.since(last) < SWEEP_INTERVAL_AT_BOUND);
        if lately && self.sweep_at == self.bound {
            return;
        }
        self.states.retain(|_, state| Arc::strong_count(state) > 1 || !state.is_idle(now));
        self.last_sweep = Some(now);
        self.sweep_at = self.states.len().saturating_mul(2).max(FEW_ACCOUNTS).min(self.bound);
    }

    /// Outdates every account.
    pub(crate) fn outdate_all(&self, change: Change) {
        self.states.values().for_each(|state| state.outdate(change));
    }

    /// Wakes the long connections of every account.
    pub(crate) fn announce_all(&self, change: Change) {
        self.states.values().for_each(|state| state.announce(change));
    }

    /// Forgets every account's facts; budgets stay.
    pub(crate) fn forget_all(&self, change: Change) {
        self.states.values().for_each(|state| state.forget(change));
    }
}
