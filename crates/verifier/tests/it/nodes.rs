//! Several nodes that share budgets, on paused time: each with its own clock, one database, one authority.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::decision::Decision;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use rndrkit_verifier::{
    Ask, BoxFuture, BudgetAuthority, Budgets, Draw, Drawer, Grant, KeySource, SourceError, Verified,
    Verifier, VerifierOptions,
};
use tokio::time::{Instant, sleep};

use crate::world::{SeededEntropy, TestKey, World, beginning};

#[expect(clippy::disallowed_methods, reason = "the runtime's paused clock is this world's machine clock")]
fn machine_time() -> Instant {
    Instant::now()
}

/// A node's clock: the runtime's, so many percent as fast.
pub(crate) struct NodeClock {
    began: Instant,
    percent: u32,
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        beginning().plus(machine_time().duration_since(self.began))
    }

    fn monotonic(&self) -> Monotonic {
        let elapsed = machine_time().duration_since(self.began);
        Monotonic(1_000_000_000_000).plus(elapsed * self.percent / 100)
    }
}

struct Bucket {
    micros: i64,
    at: Instant,
    revision: i64,
}

/// The shared buckets, behind a line that takes its time.
pub(crate) struct Authority {
    buckets: Mutex<HashMap<AccountId, Bucket>>,
    random: SeededEntropy,
    /// How long a question and its answer are on their way at most, each, in milliseconds.
    pub(crate) delay_ms: AtomicU64,
    /// How long every statement takes besides, in milliseconds.
    pub(crate) slow_ms: AtomicU64,
    /// Of a thousand statements, so many are lost, before or after they took effect.
    pub(crate) lost_permille: AtomicU64,
    pub(crate) down: AtomicBool,
    statements: AtomicUsize,
    most_at_once: AtomicUsize,
    draws: Mutex<Vec<Draw>>,
}

impl Authority {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            buckets: Mutex::default(),
            random: SeededEntropy::new(seed),
            delay_ms: AtomicU64::new(2),
            slow_ms: AtomicU64::new(0),
            lost_permille: AtomicU64::new(0),
            down: AtomicBool::new(false),
            statements: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            draws: Mutex::default(),
        })
    }

    async fn travel(&self) -> Result<(), SourceError> {
        let most_us = self.delay_ms.load(Ordering::SeqCst) * 1_000;
        sleep(Duration::from_micros(100 + self.random.below(most_us))).await;
        let is_lost = self.random.below(2_000) < self.lost_permille.load(Ordering::SeqCst);
        if is_lost || self.down.load(Ordering::SeqCst) { Err(SourceError::new("lost")) } else { Ok(()) }
    }

    fn grant(&self, draw: &Draw) -> Grant {
        let now = machine_time();
        let mut buckets = self.buckets.lock();
        let new = Bucket { micros: draw.burst_micros, at: now, revision: draw.revision };
        let bucket = buckets.entry(draw.account).or_insert(new);
        if draw.revision < bucket.revision {
            return Grant::Stale;
        }
        let elapsed_us = i64::try_from(now.duration_since(bucket.at).as_micros()).unwrap();
        bucket.micros = (bucket.micros + elapsed_us * draw.rate_micros / 1_000_000).min(draw.burst_micros);
        (bucket.at, bucket.revision) = (now, draw.revision);
        let whole = u32::try_from(bucket.micros / 1_000_000).unwrap();
        let granted = if whole < draw.at_least { 0 } else { whole.min(draw.want) };
        bucket.micros -= i64::from(granted) * 1_000_000;
        Grant::Drawn { granted, left_micros: bucket.micros }
    }

    /// Sets what is left of a budget, as if others had drawn the rest.
    pub(crate) fn leave(&self, account: AccountId, requests: i64) {
        let bucket = Bucket { micros: requests * 1_000_000, at: machine_time(), revision: 0 };
        self.buckets.lock().insert(account, bucket);
    }

    /// Lets the budget follow a revision that nobody here has read.
    pub(crate) fn follow(&self, account: AccountId, revision: i64) {
        if let Some(bucket) = self.buckets.lock().get_mut(&account) {
            bucket.revision = revision;
        }
    }

    pub(crate) fn statements(&self) -> usize {
        self.statements.load(Ordering::SeqCst)
    }

    /// Accounts in the largest statement.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    pub(crate) fn last_draw(&self) -> Draw {
        *self.draws.lock().last().unwrap()
    }
}

impl BudgetAuthority for Authority {
    fn draw<'a>(&'a self, draws: &'a [Draw]) -> BoxFuture<'a, Result<Vec<Grant>, SourceError>> {
        Box::pin(async move {
            self.statements.fetch_add(1, Ordering::SeqCst);
            self.most_at_once.fetch_max(draws.len(), Ordering::SeqCst);
            self.travel().await?;
            sleep(Duration::from_millis(self.slow_ms.load(Ordering::SeqCst))).await;
            let grants = draws.iter().map(|draw| self.grant(draw)).collect();
            self.draws.lock().extend(draws);
            self.travel().await?;
            Ok(grants)
        })
    }
}

/// Nodes over one database and one authority.
pub(crate) struct Nodes {
    /// Its database; its own verifier is not used.
    pub(crate) world: World,
    pub(crate) authority: Arc<Authority>,
    pub(crate) verifiers: Vec<Arc<Verifier>>,
    pub(crate) random: SeededEntropy,
    began: Instant,
}

/// What became of one request.
pub(crate) struct Asked {
    pub(crate) verified: Verified,
    /// Whether it had to wait.
    pub(crate) waited: bool,
}

impl Nodes {
    /// One node for each clock, so many percent as fast as real time.
    pub(crate) fn new(seed: u64, clocks: &[u32]) -> Self {
        let world = World::new();
        let (authority, began) = (Authority::new(seed), machine_time());
        let node = |(number, percent): (u64, &u32)| {
            let clock = Arc::new(NodeClock { began, percent: *percent });
            let source = Arc::clone(&world.source) as Arc<dyn KeySource>;
            let verifier = Verifier::with_budgets(Budgets::Shared, VerifierOptions::default(), clock, source);
            verifier.add_prefixes(std::slice::from_ref(&world.prefix));
            verifier.set_trust(Monotonic(u64::MAX));
            let entropy = Arc::new(SeededEntropy::new(seed.wrapping_mul(97) + number));
            let authority = Arc::clone(&authority) as Arc<dyn BudgetAuthority>;
            let drawer = Drawer::new(Arc::clone(&verifier), authority, entropy);
            tokio::spawn(drawer.run(std::future::pending()));
            verifier
        };
        let verifiers = (0..).zip(clocks).map(node).collect();
        Self { world, authority, verifiers, random: SeededEntropy::new(seed), began }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        machine_time().duration_since(self.began)
    }

    pub(crate) async fn ask(&self, node: usize, key: &TestKey, cost: u32) -> Asked {
        let asked_at = machine_time();
        let ask = Ask { secret: key.text.as_bytes(), cost, client: None };
        let verified = self.verifiers[node].verify(&ask).await;
        Asked { verified, waited: machine_time() > asked_at }
    }

    /// The code of one request at the first node.
    pub(crate) async fn code(&self, key: &TestKey, cost: u32) -> &'static str {
        self.ask(0, key, cost).await.verified.decision.code()
    }

    /// Applies everything that is committed, at every node.
    pub(crate) fn apply(&self) {
        for node in &self.verifiers {
            let entries = self.world.source.database.lock().feed.clone();
            node.apply(&entries);
        }
    }
}

/// The budget that a decision shows.
pub(crate) fn shown(verified: &Verified) -> (u32, u64) {
    match &verified.decision {
        Decision::Allowed { budget, .. } | Decision::Denied { budget: Some(budget), .. } => {
            (budget.remaining, budget.reset_seconds)
        }
        Decision::Denied { denial, .. } => panic!("denied: {denial:?}"),
    }
}

/// An account's budget as it would be if one place kept it exactly: what the promise is checked against.
pub(crate) struct ExactBucket {
    limit: RateLimit,
    /// In 1 / 60e9 of a request.
    level: i128,
    at: Duration,
}

impl ExactBucket {
    const REQUEST: i128 = 60_000_000_000;

    pub(crate) fn full(limit: RateLimit) -> Self {
        Self { limit, level: i128::from(limit.burst.get()) * Self::REQUEST, at: Duration::ZERO }
    }

    fn refill(&mut self, now: Duration) {
        let ns = i128::try_from(now.saturating_sub(self.at).as_nanos()).unwrap();
        let most = i128::from(self.limit.burst.get()) * Self::REQUEST;
        self.level = (self.level + ns * i128::from(self.limit.per_minute.get())).min(most);
        self.at = now;
    }

    /// Takes an admitted request; `false` when it was one too many.
    pub(crate) fn admit(&mut self, cost: u32, now: Duration) -> bool {
        self.refill(now);
        self.level -= i128::from(cost) * Self::REQUEST;
        self.level >= 0
    }

    /// Whole requests that would still be admitted.
    pub(crate) fn left(&mut self, now: Duration) -> u32 {
        self.refill(now);
        u32::try_from((self.level / Self::REQUEST).max(0)).unwrap()
    }
}
