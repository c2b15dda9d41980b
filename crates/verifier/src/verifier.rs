//! The check itself, readable from top to bottom: text, memory, look-up, verdict, budget, use.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLockReadGuard};
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::decision::{Caller, Decision, Denial};
use rndrkit_domain::key_text::{self, Digest, KeyPrefix};
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use rndrkit_domain::usage::StatusClass;

use crate::account::{AccountView, Accounts};
use crate::apply::Applied;
use crate::entry::{Held, KeyEntry, RefusedKeys};
use crate::failures::Failures;
use crate::fill::{Flights, Outcome};
use crate::limiter::Taken;
use crate::meters::Meters;
use crate::position::{Position, ReadAt};
use crate::prefixes::Prefixes;
use crate::slices::drawer::Pool;
use crate::slices::share::Asking;
use crate::slices::terms::Terms;
use crate::slices::waiting::{Settled, Waiting};
use crate::source::{KeySource, SourceError};
use crate::table::{KeyTable, TableMeters};
use crate::tokens::Tokens;
use crate::usage::{MAX_ROWS, Owner, UsageBuffer, Use};
use crate::wall::Wall;
use crate::watch::Watch;

/// Refused secrets kept in memory: 16,384 of them take about 2 MB, and any flood is larger anyway.
const REFUSED_KEYS: usize = 16_384;
/// Rounds of memory and look-up before giving up, when changes keep overtaking them.
const RESOLVE_ATTEMPTS: u32 = 4;
/// Rounds of decision and draw before giving up, when the account keeps changing.
const BUDGET_ATTEMPTS: u32 = 4;
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
    const fn denied(denial: Denial) -> Self {
        Self { decision: Decision::denied(denial), watch: None }
    }
}

/// Decides on requests. Starts without prefixes and without trust: everything is `unavailable` until
/// [`Verifier::set_prefixes`] and [`Verifier::set_trust`] (which a [`crate::Follower`] calls).
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
    seen: u64,
    /// The clock as it was read before trust was looked at.
    pub(crate) now: Monotonic,
}

/// A request, as far as the verdict on a good key needs it.
struct Asked {
    digest: Digest,
    cost: u32,
    /// The account's counter of changes, read before the key was known to be current.
    seen: u64,
    now: Monotonic,
}

/// What came of looking at a request once.
enum Step {
    Decided(Verified),
    /// Only a draw from the shared budget can tell.
    Wait(Waiting),
    /// The account changed meanwhile.
    Again,
    /// Too many requests wait for draws.
    Crowded,
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

    /// All prefixes that this installation has ever used.
    pub fn set_prefixes(&self, prefixes: Vec<KeyPrefix>) {
        self.prefixes.update(|_| prefixes);
    }

    /// Reads the prefixes again, and adds those that are new. None is taken away: prefixes only become more,
    /// and an answer that lacks one comes from an older database.
    pub async fn refresh_prefixes(&self) -> Result<(), SourceError> {
        let read = self.source.load_prefixes().await?;
        self.prefixes.update(|known| {
            let news = read.iter().filter(|prefix| !known.contains(prefix));
            known.iter().chain(news).cloned().collect()
        });
        Ok(())
    }

    /// The prefixes in force.
    pub fn prefixes(&self) -> Arc<Vec<KeyPrefix>> {
        Arc::clone(self.prefixes.get())
    }

    /// Counted use, for a [`crate::Flusher`].
    pub const fn usage(&self) -> &Arc<UsageBuffer> {
        &self.usage
    }

    /// Decides on one request. What is in memory is decided upon at the first poll, without a place on the
    /// heap; the rest is in a future of its own, so that this one stays small.
    pub async fn verify(&self, ask: &Ask<'_>) -> Verified {
        let waiting = match self.decide_from_memory(ask) {
            Some(Step::Decided(verified)) => return verified,
            Some(Step::Wait(waiting)) => Some(waiting),
            Some(Step::Crowded) => return Verified::denied(Denial::Unavailable),
            Some(Step::Again) | None => None,
        };
        Box::pin(self.check(ask, waiting)).await.unwrap_or_else(Verified::denied)
    }

    /// The steady state, inlined so that its answer is made where it is wanted. `None`: something is missing, and [`Self::check`] finds out what that means.
    #[inline]
    fn decide_from_memory(&self, ask: &Ask<'_>) -> Option<Step> {
        if ask.secret.len() > key_text::MAX_SECRET_BYTES {
            return None;
        }
        // Prefix and checksum are not looked at: a text whose SHA-256 is that of a good key is that key.
        let digest = Digest::of_bytes(ask.secret);
        let now = self.trusted_now()?;
        if let Some(found) = self.good.find(&digest) {
            let entry = found.entry()?;
            // Before the entry is found current: see `recall`.
            let seen = entry.account.changes();
            if !entry.is_current() {
                return None;
            }
            let asked = Asked { digest, cost: ask.cost, seen, now };
            let mut used = None;
            let step = self.decide(&asked, entry, None, &mut used);
            found.used(&digest, used.map(|used| (self.date(now), used)));
            return Some(step);
        }
        let prefixes = self.prefixes.get();
        if prefixes.is_empty() {
            return None;
        }
        if key_text::check(ask.secret, prefixes).is_err() {
            return Some(Step::Decided(Verified::denied(Denial::InvalidKey)));
        }
        let held = self.recall_refused(&digest, now)?;
        self.meters.hits.increment(1);
        Some(Step::Decided(refuse_held(&held)))
    }

    async fn check(&self, ask: &Ask<'_>, mut waiting: Option<Waiting>) -> Result<Verified, Denial> {
        let digest = self.read(ask.secret)?;
        for _ in 0..BUDGET_ATTEMPTS {
            let settled = match waiting.take() {
                Some(waiting) => waiting.settled().await?,
                None => None,
            };
            // After a wait for the budget as well: trust, key and account are looked at again.
            let resolved = self.resolve(digest, ask.client).await?;
            match self.decide_resolved(digest, ask.cost, &resolved, settled) {
                Step::Decided(verified) => return Ok(verified),
                Step::Wait(wait) => waiting = Some(wait),
                Step::Again => {}
                Step::Crowded => return Err(Denial::Unavailable),
            }
        }
        Err(Denial::Unavailable)
    }

    fn read(&self, secret: &[u8]) -> Result<Digest, Denial> {
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

    fn recall_refused(&self, digest: &Digest, now: Monotonic) -> Option<Held> {
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

    fn decide_resolved(
        &self,
        digest: Digest,
        cost: u32,
        resolved: &Resolved,
        settled: Option<Settled>,
    ) -> Step {
        let Held::Good(entry) = &resolved.held else {
            return Step::Decided(refuse_held(&resolved.held));
        };
        let asked = Asked { digest, cost, seen: resolved.seen, now: resolved.now };
        let mut used = None;
        let step = self.decide(&asked, entry, settled, &mut used);
        if let Some(used) = used {
            self.good.count(&digest, entry, self.date(asked.now), used);
        }
        step
    }

    /// The verdict on a good key; and in `used`, what is to be counted.
    #[inline]
    fn decide(
        &self,
        asked: &Asked,
        entry: &KeyEntry,
        settled: Option<Settled>,
        used: &mut Option<Use>,
    ) -> Step {
        // Read before the view is locked: these are the other end of the account's lines, see its fields.
        let (key_id, account_id) = entry.owner();
        let view = entry.account.view();
        let what = |what| if asked.cost == 0 { Use::Looked } else { what };
        match verdict(entry, &view, || self.wall_at(asked.now)) {
            // Neither active nor unexpired: such a request moves nothing.
            Some(Denial::KeyExpired) => Step::Decided(refuse(entry, &view, Denial::KeyExpired)),
            Some(denial) => {
                *used = Some(what(Use::Refused));
                Step::Decided(refuse(entry, &view, denial))
            }
            None => match pay(entry, &view, asked.cost, asked.now, settled) {
                Asking::Done(Taken::Admitted(budget)) => {
                    *used = Some(what(Use::Allowed));
                    let (external_id, plan) = (view.external_id.clone(), view.plan.clone());
                    let caller = Caller { key_id, account_id, external_id, plan };
                    let account = Arc::clone(&entry.account);
                    let watch = Watch { digest: asked.digest, key_id, account, seen: asked.seen };
                    Step::Decided(Verified {
                        decision: Decision::Allowed { caller, budget },
                        watch: Some(watch),
                    })
                }
                Asking::Done(Taken::Refused(budget)) => {
                    *used = Some(what(Use::Limited));
                    let (denial, caller) = (Denial::RateLimited, Some(entry.caller(&view)));
                    let decision = Decision::Denied { denial, caller, budget: Some(budget) };
                    Step::Decided(Verified { decision, watch: None })
                }
                Asking::Wait(waiting) => Step::Wait(waiting),
                Asking::Changed => Step::Again,
                Asking::Crowded => Step::Crowded,
            },
        }
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
    fn date(&self, now: Monotonic) -> Timestamp {
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

/// Why a known secret that is not revoked is refused, the budget aside. In the order of the contract.
/// The clock that ends are judged by is read only for a secret that has an end.
pub(crate) fn verdict(
    entry: &KeyEntry,
    view: &AccountView,
    wall: impl FnOnce() -> Timestamp,
) -> Option<Denial> {
    if entry.ends_at().is_some_and(|end| end <= wall()) {
        Some(Denial::KeyExpired)
    } else if view.status == AccountStatus::Suspended {
        Some(Denial::AccountSuspended)
    } else if view.api_access {
        None
    } else {
        Some(Denial::PlanRequired)
    }
}

/// Takes from the budget, unless a draw that the request waited for has settled that.
fn pay(
    entry: &KeyEntry,
    view: &RwLockReadGuard<'_, AccountView>,
    cost: u32,
    now: Monotonic,
    settled: Option<Settled>,
) -> Asking {
    match settled.and_then(|settled| settled.at(now, entry.generation())) {
        Some(taken) => Asking::Done(taken),
        None => entry.account.take(view, cost, now),
    }
}

/// What is said about a secret that is not good.
fn refuse_held(held: &Held) -> Verified {
    match held {
        Held::Good(entry) | Held::Revoked(entry) => refuse(entry, &entry.account.view(), Denial::KeyRevoked),
        Held::Unknown => Verified::denied(Denial::InvalidKey),
    }
}

fn refuse(entry: &KeyEntry, view: &AccountView, denial: Denial) -> Verified {
    let decision = Decision::Denied { denial, caller: Some(entry.caller(view)), budget: None };
    Verified { decision, watch: None }
}
