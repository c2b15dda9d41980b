//! What a verifier holds, and how it finds what is known about a secret: text, memory, look-up. The verdict is
//! in `decide`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::decision::{Decision, Denial};
use rndrkit_domain::key_text::{self, Digest, KeyPrefix};
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use rndrkit_domain::usage::StatusClass;

use crate::account::Accounts;
use crate::apply::Applied;
use crate::entry::{Held, RefusedKeys};
use crate::failures::Failures;
use crate::fill::{Flights, Outcome};
use crate::meters::Meters;
use crate::position::{Position, ReadAt};
use crate::prefixes::Prefixes;
use crate::slices::drawer::Pool;
use crate::slices::terms::Terms;
use crate::source::{KeySource, SourceError};
use crate::table::{KeyTable, TableMeters};
use crate::tokens::Tokens;
use crate::usage::{MAX_ROWS, Owner, UsageBuffer};
use crate::wall::Wall;
use crate::watch::Watch;

/// Refused secrets kept in memory: 16,384 of them take about 2 MB, and any flood is larger anyway.
const REFUSED_KEYS: usize = 16_384;
/// Rounds of memory and look-up before giving up, when changes keep overtaking them.
const RESOLVE_ATTEMPTS: u32 = 4;
/// At most one log line about failing look-ups in this time: a flood of them says nothing more.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Sizes. `Default` has the product's defaults.
#[derive(Debug, Clone, Copy)]
pub struct VerifierOptions {
    /// Good keys kept in memory.
    pub cache_keys: usize,
    /// Look-ups that run at once.
    pub lookup_concurrency: usize,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self { cache_keys: 200_000, lookup_concurrency: 32 }
    }
}

/// Where budgets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budgets {
    /// Here alone: this node is the only one.
    Own,
    /// With an authority, from which several nodes draw: see [`crate::Drawer`].
    Shared,
}

/// One question.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The text that the caller sent.
    pub secret: &'a [u8],
    /// Requests to take from the budget; 0 looks without spending and is never `rate_limited`.
    pub cost: u32,
    /// The client's address, if it is known, for the bound on failed look-ups.
    pub client: Option<IpAddr>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What to do with the request.
    pub decision: Decision,
    /// For connections that outlive the decision; present when it is `Allowed`.
    pub watch: Option<Watch>,
}

impl Verified {
    pub(crate) const fn denied(denial: Denial) -> Self {
        Self { decision: Decision::denied(denial), watch: None }
    }
}

/// Decides on requests. Starts without prefixes and without trust: everything is `unavailable` until
/// [`Verifier::add_prefixes`] and [`Verifier::set_trust`] (which a [`crate::Follower`] calls).
pub struct Verifier {
    me: Weak<Self>,
    clock: Arc<dyn Clock>,
    source: Arc<dyn KeySource>,
    prefixes: Prefixes,
    /// Nanoseconds of the monotonic clock.
    trust_until: AtomicU64,
    good: Arc<KeyTable>,
    refused: RefusedKeys,
    position: Mutex<Position>,
    applied: Applied,
    /// What the shares of accounts have in common, when budgets are shared.
    pool: Option<Arc<Pool>>,
    flights: Flights,
    failures: Failures,
    tokens: Tokens,
    usage: Arc<UsageBuffer>,
    wall: Wall,
    meters: Meters,
    started: Monotonic,
    reported_at_ns: AtomicU64,
}

/// What memory or a look-up says about a secret, ready to be judged.
pub(crate) struct Resolved {
    pub(crate) held: Held,
    /// The account's counter of changes, read before `held` was known to be alive.
    pub(crate) seen: u64,
    /// The clock as it was read before trust was looked at.
    pub(crate) now: Monotonic,
}

impl Verifier {
    /// A verifier with empty caches, whose budgets are its own.
    pub fn new(options: VerifierOptions, clock: Arc<dyn Clock>, source: Arc<dyn KeySource>) -> Arc<Self> {
        Self::with_budgets(Budgets::Own, options, clock, source)
    }

    /// A verifier with empty caches. With [`Budgets::Shared`], nothing can be spent until a
    /// [`crate::Drawer`] runs.
    pub fn with_budgets(
        budgets: Budgets,
        options: VerifierOptions,
        clock: Arc<dyn Clock>,
        source: Arc<dyn KeySource>,
    ) -> Arc<Self> {
        let VerifierOptions { cache_keys, lookup_concurrency } = options;
        // Accounts are held for good keys, for refused ones, and for budgets that are not full again.
        let max_accounts = cache_keys.saturating_mul(2).saturating_add(REFUSED_KEYS);
        let pool = (budgets == Budgets::Shared).then(Pool::new);
        let accounts = Accounts::with(max_accounts, pool.clone());
        let meters = Meters::new();
        let good = Arc::new(KeyTable::new(cache_keys, MAX_ROWS, TableMeters::of(&meters)));
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            started: clock.monotonic(),
            clock,
            source,
            prefixes: Prefixes::default(),
            trust_until: AtomicU64::new(0),
            usage: Arc::new(UsageBuffer::new(Arc::clone(&good))),
            good,
            refused: RefusedKeys::new(REFUSED_KEYS),
            position: Mutex::new(Position::new(accounts)),
            applied: Applied::default(),
            pool,
            flights: Flights::new(lookup_concurrency),
            failures: Failures::new(),
            tokens: Tokens::default(),
            wall: Wall::default(),
            meters,
            reported_at_ns: AtomicU64::new(0),
        })
    }

    /// Adds prefixes that this installation uses or has used. None is ever taken away: prefixes only become
    /// more, and a list that lacks one comes from an older database.
    pub fn add_prefixes(&self, prefixes: &[KeyPrefix]) {
        self.prefixes.add(prefixes);
    }

    /// Reads the prefixes again, and adds those that are new.
    pub async fn refresh_prefixes(&self) -> Result<(), SourceError> {
        self.add_prefixes(&self.source.load_prefixes().await?);
        Ok(())
    }

    pub(crate) fn prefix_set(&self) -> &[KeyPrefix] {
        self.prefixes.get()
    }

    /// The prefixes in force.
    pub fn prefixes(&self) -> Arc<Vec<KeyPrefix>> {
        Arc::clone(self.prefixes.get())
    }

    /// Counted use, for a [`crate::Flusher`].
    pub const fn usage(&self) -> &Arc<UsageBuffer> {
        &self.usage
    }

    pub(crate) fn read(&self, secret: &[u8]) -> Result<Digest, Denial> {
        if let Ok(digest) = key_text::parse(secret, self.prefixes.get()) {
            return Ok(digest);
        }
        // It may begin with a prefix that came after trust ended: read again under trust before saying no.
        self.trusted_now().ok_or(Denial::Unavailable)?;
        match self.prefixes.get() {
            prefixes if prefixes.is_empty() => Err(Denial::Unavailable),
            prefixes => key_text::parse(secret, prefixes).map_err(|_| Denial::InvalidKey),
        }
    }

    /// What is known about a secret: from memory, else from the source. After anything that was waited
    /// for, clock, trust and feed are looked at again.
    pub(crate) async fn resolve(&self, digest: Digest, client: Option<IpAddr>) -> Result<Resolved, Denial> {
        for _ in 0..RESOLVE_ATTEMPTS {
            let now = self.trusted_now().ok_or(Denial::Unavailable)?;
            if let Some((held, seen)) = self.recall(&digest, now) {
                self.meters.hits.increment(1);
                return Ok(Resolved { held, seen, now });
            }
            self.meters.misses.increment(1);
            if !self.failures.permits(client, now) {
                return Err(Denial::TooManyFailures);
            }
            let Some((held, holds)) = self.look_up(digest, client).await? else { continue };
            let now = self.trusted_now().ok_or(Denial::Unavailable)?;
            if let Some(seen) = self.confirm(digest, &held, holds) {
                return Ok(Resolved { held, seen, now });
            }
        }
        Err(Denial::Unavailable)
    }

    /// The clock, if what is held may be believed now. The order matters: clock, trust, and only then
    /// memory. What memory says is then at least as new as what trust vouched for at that reading.
    #[inline]
    pub(crate) fn trusted_now(&self) -> Option<Monotonic> {
        let now = self.clock.monotonic();
        (now.0 < self.trust_until.load(Ordering::Acquire)).then_some(now)
    }

    /// What memory says, with the account's counter of changes. The counter is read before the entry is
    /// found current, and while nobody can take it out: a change after that is then sure to move it.
    pub(crate) fn recall(&self, digest: &Digest, now: Monotonic) -> Option<(Held, u64)> {
        if let Some(found) = self.good.find(digest) {
            let entry = found.entry()?;
            let seen = entry.account.changes();
            return entry.is_current().then(|| (Held::Good(Arc::new(entry.clone())), seen));
        }
        self.recall_refused(digest, now).map(|held| (held, 0))
    }

    pub(crate) fn recall_refused(&self, digest: &Digest, now: Monotonic) -> Option<Held> {
        let refused = self.refused.get(digest).filter(|refused| now < refused.until)?;
        match &refused.held {
            Held::Good(entry) | Held::Revoked(entry) if !entry.is_current() => None,
            _ => Some(refused.held),
        }
    }

    /// Whether an answer that was waited for still holds; if so, the account's counter of changes.
    fn confirm(&self, digest: Digest, held: &Held, holds: ReadAt) -> Option<u64> {
        let position = self.position.lock();
        let usable = position.is_usable(holds, &Outcome::target(digest, held));
        usable.then(|| match held {
            Held::Good(entry) | Held::Revoked(entry) => entry.account.changes(),
            Held::Unknown => 0,
        })
    }

    /// Counts what the request that this watch came with was answered. For doors that see the answer.
    pub fn answered(&self, watch: &Watch, class: StatusClass) {
        let owner = Owner { digest: watch.digest, key_id: watch.key_id, account_id: watch.account.id };
        self.good.answered(&owner, self.date(self.clock.monotonic()), class);
    }

    /// What is held may be believed until then; `Monotonic(u64::MAX)` = for ever. Never shortens.
    pub fn set_trust(&self, until: Monotonic) {
        self.trust_until.fetch_max(until.0, Ordering::AcqRel);
    }

    /// Nothing that is held may be believed until the next [`Self::set_trust`].
    pub fn untrust(&self) {
        self.trust_until.store(0, Ordering::Release);
    }

    /// Takes the database's clock as the one that ends are judged by. `sent` is when the question was sent
    /// that `database_time` came in the answer to: an end is then seen early by at most the round trip, and
    /// never late (but for what this machine's clock loses until the next answer). Without this, as on one
    /// node, ends are judged by the machine's own clock.
    pub fn set_wall(&self, sent: Monotonic, database_time: Timestamp) {
        self.wall.set(sent, database_time, self.clock.monotonic());
    }

    /// What time it is by the clock that ends are judged by.
    pub fn wall(&self) -> Timestamp {
        self.wall_at(self.clock.monotonic())
    }

    pub(crate) fn wall_at(&self, now: Monotonic) -> Timestamp {
        self.wall.at(now).unwrap_or_else(|| self.clock.now())
    }

    /// What time it is to date use by.
    #[inline]
    pub(crate) fn date(&self, now: Monotonic) -> Timestamp {
        self.wall.about(now, || self.wall_at(now))
    }

    /// Whether decisions can be made now: the readiness of a node.
    pub fn is_trusted(&self) -> bool {
        self.trusted_now().is_some()
    }

    /// The largest cost that can ever be met under this limit: the burst, and where nodes share budgets what
    /// the shared bucket holds of it.
    pub fn largest_cost(&self, limit: RateLimit) -> u32 {
        match self.pool {
            None => limit.burst.get(),
            Some(_) => Terms::new(limit).largest_cost(),
        }
    }

    /// Whether several nodes draw on budgets: what a decision says about one is then this node's share of it.
    pub const fn shares_budgets(&self) -> bool {
        self.pool.is_some()
    }

    /// Good keys held in memory now.
    pub fn cached_keys(&self) -> usize {
        self.good.len()
    }
}

/// What the other modules of this crate work on.
impl Verifier {
    pub(crate) fn shared(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn source(&self) -> &dyn KeySource {
        &*self.source
    }

    pub(crate) fn good(&self) -> &KeyTable {
        &self.good
    }

    pub(crate) const fn refused(&self) -> &RefusedKeys {
        &self.refused
    }

    pub(crate) const fn position(&self) -> &Mutex<Position> {
        &self.position
    }

    pub(crate) const fn applied_cell(&self) -> &Applied {
        &self.applied
    }

    pub(crate) const fn pool(&self) -> Option<&Arc<Pool>> {
        self.pool.as_ref()
    }

    pub(crate) const fn flights(&self) -> &Flights {
        &self.flights
    }

    pub(crate) const fn failures(&self) -> &Failures {
        &self.failures
    }

    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(crate) const fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) const fn started(&self) -> Monotonic {
        self.started
    }

    /// Counts a failed call of the source, and says so at most once a second.
    pub(crate) fn report(&self, error: &SourceError) {
        self.meters.store_errors.increment(1);
        let now = self.clock.monotonic();
        let last_ns = self.reported_at_ns.load(Ordering::Relaxed);
        let lately = last_ns != 0 && now.since(Monotonic(last_ns)) < REPORT_INTERVAL;
        let mine =
            || self.reported_at_ns.compare_exchange(last_ns, now.0, Ordering::Relaxed, Ordering::Relaxed);
        if !lately && mine().is_ok() {
            tracing::warn!(
                cause = error.cause(),
                "the source could not answer; requests that need it are refused as unavailable"
            );
        }
    }

    /// Publishes sizes. Not on the hot path.
    pub(crate) fn show_sizes(&self) {
        let accounts = self.position.lock().accounts.len();
        self.meters.show_sizes(self.good.len(), self.refused.len(), accounts);
    }
}
