//! One node under a seed: delayed look-ups, changes, lost nudges, failures, evictions; the code that ships,
//! on paused time. A seed repeats its run exactly. Checked at every step:
//!
//! * a request that begins after a change was answered obeys it;
//! * nothing is held that is older than the applied position;
//! * there is one state per account, and it never goes back;
//! * in every stretch of time no more is admitted than burst and rate allow;
//! * what exists is never called invalid, whatever fails.

#[path = "../tests/it/world.rs"]
mod world;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedNumber};
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::time::{Clock, ManualClock, Monotonic, Timestamp};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use self::world::{Database, FakeSource, SeededEntropy, TestKey, World, beginning, plan_id, rate_limit};
use crate::source::{BoxFuture, ChangeFeed, KeySource, Loaded, LoadedTokens, SourceError};
use crate::{Ask, Follower, FollowerHandle, FollowerOptions, Verifier, VerifierOptions};

const ACCOUNTS: usize = 4;
const CALLERS: u64 = 16;
const CHANGERS: u64 = 3;
const RUN: Duration = Duration::from_secs(12);
/// Requests a minute and burst of every account; small, so that budgets are always contended.
const PER_MINUTE: u32 = 300;
const BURST: u32 = 10;

/// The runtime's own time, so that clock and delays agree.
struct SimulatedClock {
    began: Instant,
}

impl SimulatedClock {
    #[expect(clippy::disallowed_methods, reason = "the runtime's paused clock is this world's machine clock")]
    fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.began)
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        beginning().plus(self.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(1_000_000_000).plus(self.elapsed())
    }
}

/// The database behind a slow and unreliable line.
struct Line {
    source: Arc<FakeSource>,
    random: SeededEntropy,
}

impl Line {
    /// Mostly short, sometimes longer than a look-up may take.
    async fn travel(&self) -> Result<(), SourceError> {
        let milliseconds = match self.random.below(100) {
            0..=79 => self.random.below(10),
            80..=98 => self.random.below(300),
            _ => 1_500 + self.random.below(1_500),
        };
        sleep(Duration::from_millis(milliseconds)).await;
        if self.random.below(150) == 0 { Err(SourceError::new("lost on the line")) } else { Ok(()) }
    }
}

impl KeySource for Line {
    fn load(&self, digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async move {
            self.travel().await?;
            let loaded = self.source.load(digest).await;
            self.travel().await?;
            loaded
        })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        self.source.load_tokens()
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        self.source.load_prefixes()
    }
}

impl ChangeFeed for Line {
    fn head(&self) -> BoxFuture<'_, Result<FeedHead, SourceError>> {
        Box::pin(async move {
            self.travel().await?;
            let head = self.source.head().await;
            self.travel().await?;
            head
        })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        Box::pin(async move {
            self.travel().await?;
            let entries = self.source.entries(from, limit.min(3)).await;
            self.travel().await?;
            entries
        })
    }
}

/// Order of what happens at one reading of the clock.
type Step = u64;

/// What has been answered to those who made changes: from then on it binds.
#[derive(Default)]
struct Answered {
    revoked: HashMap<Digest, Step>,
    /// Accounts that are refused as a whole, since when; removed before that is taken back.
    closed: HashMap<AccountId, Step>,
    /// Keys that exist, revoked or not.
    keys: Vec<TestKey>,
}

struct Bucket {
    level: u128,
    at: Duration,
}

impl Bucket {
    const REQUEST: u128 = 60_000_000_000;
    const FULL: u128 = Self::REQUEST * BURST as u128;

    /// Takes one request out of the exact bucket; `false` when it holds less.
    fn take(&mut self, now: Duration) -> bool {
        let refill = now.saturating_sub(self.at).as_nanos() * u128::from(PER_MINUTE);
        self.level = (self.level + refill).min(Self::FULL);
        self.at = now;
        self.level.checked_sub(Self::REQUEST).is_some_and(|left| {
            self.level = left;
            true
        })
    }
}

struct Simulation {
    world: World,
    clock: Arc<SimulatedClock>,
    verifier: Arc<Verifier>,
    follower: FollowerHandle,
    random: SeededEntropy,
    answered: RefCell<Answered>,
    buckets: RefCell<HashMap<AccountId, Bucket>>,
    revisions: RefCell<HashMap<AccountId, i64>>,
    /// The database after each number of the feed.
    history: RefCell<HashMap<FeedNumber, Database>>,
    steps: Cell<Step>,
    trace: RefCell<DefaultHasher>,
    tally: RefCell<HashMap<&'static str, u64>>,
}

impl Simulation {
    fn step(&self) -> Step {
        self.steps.set(self.steps.get() + 1);
        self.steps.get()
    }

    fn note(&self, actor: u64, what: &'static str) {
        let mut trace = self.trace.borrow_mut();
        trace.write_u128(self.clock.elapsed().as_nanos());
        trace.write_u64(actor);
        trace.write(what.as_bytes());
        *self.tally.borrow_mut().entry(what).or_default() += 1;
    }

    async fn pause(&self, at_most_ms: u64) {
        sleep(Duration::from_millis(1 + self.random.below(at_most_ms))).await;
    }

    async fn call(self: Rc<Self>, actor: u64) {
        loop {
            self.pause(40).await;
            let key = {
                let keys = &self.answered.borrow().keys;
                keys[usize::try_from(self.random.below(keys.len() as u64)).unwrap()].clone()
            };
            let began = self.step();
            let ask = Ask { secret: key.text.as_bytes(), cost: 1, client: None };
            let code = self.verifier.verify(&ask).await.decision.code();
            self.note(actor, code);
            self.judge(&key, began, code);
            self.check_memory();
        }
    }

    fn judge(&self, key: &TestKey, began: Step, code: &'static str) {
        assert_ne!(code, "invalid_key", "a key that exists was called invalid");
        if code != "valid" {
            return;
        }
        let answered = self.answered.borrow();
        let ended = answered.revoked.get(&key.digest);
        assert!(
            ended.is_none_or(|at| *at > began),
            "revoked in step {ended:?}, asked in {began}, let through"
        );
        let closed = answered.closed.get(&key.account);
        assert!(
            closed.is_none_or(|at| *at > began),
            "closed in step {closed:?}, asked in {began}, let through"
        );
        let now = self.clock.elapsed();
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets.entry(key.account).or_insert(Bucket { level: Bucket::FULL, at: now });
        assert!(bucket.take(now), "more was let through than burst and rate allow");
    }

    /// Looks into the caches: nothing older than the position, one state per account, never going back.
    fn check_memory(&self) {
        let position = self.verifier.position().lock();
        let head = self.world.source.database.lock().head();
        let history = self.history.borrow();
        let mut revisions = self.revisions.borrow_mut();
        for (digest, entry) in self.verifier.good().entries() {
            if !entry.is_current() {
                continue;
            }
            let interned = position.accounts.get(&entry.account.id).expect("in use and forgotten");
            assert!(Arc::ptr_eq(interned, &entry.account), "an account has two states");
            let revision = entry.account.revision();
            let before = revisions.insert(entry.account.id, revision).unwrap_or(revision);
            assert!(before <= revision, "an account went back from {before} to {revision}");
            let view = entry.account.view();
            let held_since = |is_so: &dyn Fn(&crate::KeyFacts) -> bool| {
                (position.number()..=head)
                    .any(|number| history[&number].find(&digest).is_some_and(|facts| is_so(&facts)))
            };
            let key_is_current = held_since(&|facts| !facts.revoked);
            let account_is_current =
                held_since(&|facts| facts.account.status == view.status && facts.account.plan == view.plan);
            assert!(
                key_is_current && account_is_current,
                "held, and not so at {} or later",
                position.number()
            );
        }
    }

    /// Commits a change, then waits until it is applied, as a delete call does.
    async fn settle(&self, number: FeedNumber) {
        self.history.borrow_mut().insert(number, self.world.source.database.lock().clone());
        self.pause(20).await;
        // A nudge that is lost costs the time until the next look.
        if self.random.below(4) != 0 {
            self.follower.nudge();
        }
        self.follower.wait_applied(number).await;
    }

    async fn change(self: Rc<Self>, actor: u64) {
        loop {
            self.pause(700).await;
            match self.random.below(5) {
                0 | 1 => self.revoke_one(actor).await,
                2 => self.create_one(actor).await,
                _ => self.turn_account(actor).await,
            }
        }
    }

    async fn revoke_one(&self, actor: u64) {
        let key = {
            let answered = self.answered.borrow();
            answered.keys[usize::try_from(self.random.below(answered.keys.len() as u64)).unwrap()].clone()
        };
        self.settle(self.world.revoke(&key)).await;
        let step = self.step();
        self.answered.borrow_mut().revoked.entry(key.digest).or_insert(step);
        self.note(actor, "revoke");
    }

    async fn create_one(&self, actor: u64) {
        let account = self.any_account();
        let key = TestKey { account, ..self.world.unknown_key() };
        let number = self.world.create(&key);
        // Known to its maker at once: a create waits for nobody.
        self.answered.borrow_mut().keys.push(key);
        self.note(actor, "create");
        self.settle(number).await;
    }

    /// Suspends, takes the plan away, or gives both back. Each account has one changer at a time here, so
    /// that "closed" has one meaning.
    async fn turn_account(&self, actor: u64) {
        let changer = usize::try_from(actor % CHANGERS).unwrap();
        let account = self.account_at(changer);
        match self.random.below(3) {
            0 => self.close(account, |facts| facts.status = AccountStatus::Suspended).await,
            1 => self.close(account, |facts| facts.plan = plan_id("starter")).await,
            _ => {
                self.answered.borrow_mut().closed.remove(&account);
                let number = self.world.change_account(account, |facts| {
                    facts.status = AccountStatus::Active;
                    facts.plan = plan_id("agency");
                    facts.api_access = true;
                });
                self.settle(number).await;
            }
        }
        self.note(actor, "turn");
    }

    async fn close(&self, account: AccountId, edit: impl FnOnce(&mut crate::AccountFacts)) {
        let number = self.world.change_account(account, |facts| {
            edit(facts);
            facts.api_access = facts.plan.as_str() == "agency";
        });
        self.settle(number).await;
        let step = self.step();
        self.answered.borrow_mut().closed.entry(account).or_insert(step);
    }

    fn any_account(&self) -> AccountId {
        self.account_at(usize::try_from(self.random.below(ACCOUNTS as u64)).unwrap())
    }

    fn account_at(&self, position: usize) -> AccountId {
        let mut ids: Vec<AccountId> = self.world.source.database.lock().accounts.keys().copied().collect();
        ids.sort_unstable();
        ids[position]
    }

    /// Pushes keys out, and sometimes everything.
    async fn evict(self: Rc<Self>) {
        loop {
            self.pause(300).await;
            if self.random.below(20) == 0 {
                self.verifier.drop_everything();
                continue;
            }
            let key = {
                let keys = &self.answered.borrow().keys;
                keys[usize::try_from(self.random.below(keys.len() as u64)).unwrap()].clone()
            };
            self.verifier.good().remove(&key.digest);
        }
    }
}

struct Report {
    trace: u64,
    tally: HashMap<&'static str, u64>,
}

fn run(seed: u64) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let simulation = Rc::new(prepare(seed));
        let mut tasks = Vec::new();
        for actor in 0..CALLERS {
            tasks.push(tokio::task::spawn_local(Rc::clone(&simulation).call(actor)));
        }
        for actor in 0..CHANGERS {
            tasks.push(tokio::task::spawn_local(Rc::clone(&simulation).change(actor)));
        }
        tasks.push(tokio::task::spawn_local(Rc::clone(&simulation).evict()));
        sleep(RUN).await;
        for task in tasks {
            task.abort();
            // A task that found something wrong ended before; its finding is this run's.
            if let Err(ended) = task.await
                && ended.is_panic()
            {
                panic!("seed {seed} at {:?}: see above", simulation.clock.elapsed());
            }
        }
        Report { trace: simulation.trace.borrow().finish(), tally: simulation.tally.borrow().clone() }
    })
}

fn prepare(seed: u64) -> Simulation {
    #[expect(clippy::disallowed_methods, reason = "the runtime's paused clock is this world's machine clock")]
    let clock = Arc::new(SimulatedClock { began: Instant::now() });
    // Room for a third of the keys, so that the cache pushes keys out by itself too.
    let options = VerifierOptions { cache_keys: 8, lookup_concurrency: 3 };
    let mut world =
        World::on(options, Arc::new(ManualClock::at(beginning())), Arc::clone(&clock) as Arc<dyn Clock>);
    world.entropy = SeededEntropy::new(seed ^ 0x5eed);
    let line = Arc::new(Line { source: Arc::clone(&world.source), random: SeededEntropy::new(seed ^ 0x11e) });
    let verifier =
        Verifier::new(options, Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&line) as Arc<dyn KeySource>);
    verifier.add_prefixes(std::slice::from_ref(&world.prefix));
    let follow = FollowerOptions { trust: None, poll_interval: Duration::from_millis(500) };
    let (follower, handle) = Follower::new(Arc::clone(&verifier), line, follow);
    tokio::spawn(follower.run(std::future::pending()));
    let mut answered = Answered::default();
    for _ in 0..ACCOUNTS {
        let account = world.account_with(rate_limit(PER_MINUTE, BURST));
        answered.keys.extend((0..5).map(|_| world.old_key(account)));
    }
    let history = HashMap::from([(0, world.source.database.lock().clone())]);
    Simulation {
        world,
        clock,
        verifier,
        follower: handle,
        random: SeededEntropy::new(seed),
        answered: RefCell::new(answered),
        buckets: RefCell::default(),
        revisions: RefCell::default(),
        history: RefCell::new(history),
        steps: Cell::new(0),
        trace: RefCell::default(),
        tally: RefCell::default(),
    }
}

/// Seeds that every test run tries: a few seconds. `RNDRKIT_TEST_SEEDS=2000` takes minutes, and is for
/// changes of the fence, the follower or the limiter.
const SEEDS: u64 = 60;

fn seeds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a wish of whoever runs the tests, not a setting")]
    let wished = std::env::var("RNDRKIT_TEST_SEEDS");
    wished.map_or(SEEDS, |text| text.parse().expect("RNDRKIT_TEST_SEEDS is a whole number"))
}

#[test]
fn no_seed_breaks_a_promise() {
    let mut tally: HashMap<&'static str, u64> = HashMap::new();
    for seed in 0..seeds() {
        for (what, count) in run(seed).tally {
            *tally.entry(what).or_default() += count;
        }
    }
    // The runs have to reach what they are about.
    for what in ["valid", "rate_limited", "key_revoked", "account_suspended", "plan_required", "unavailable"]
    {
        assert!(tally.get(what).is_some_and(|count| *count > 1_000), "too little of {what}: {tally:?}");
    }
}

#[test]
fn a_seed_repeats_its_run() {
    let traces: Vec<u64> = (0..6).map(|seed| run(seed % 3).trace).collect();
    assert_eq!(traces[..3], traces[3..]);
    assert_ne!(traces[0], traces[1]);
}
