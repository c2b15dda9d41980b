//! A database that is shared by a few nodes, each over a line of its own that can be cut, slow or lossy.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_cluster::line::{Line, Registry};
use rndrkit_cluster::{Machine, Member, MemberHandle, MemberOptions, Waiter};
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::node::{
    Beat, BeatAnswer, BeatMark, Incarnation, NodeRow, Registration, Roster, Timeline,
};
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use rndrkit_verifier::{BoxFuture, KeySource, Loaded, LoadedTokens, SourceError, Verifier, VerifierOptions};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Trust and beat of every node that does not say otherwise, and the wait that follows from them.
pub(crate) const TRUST: Duration = Duration::from_secs(5);
pub(crate) const BEAT: Duration = Duration::from_secs(1);
pub(crate) const WAIT: Duration = Duration::from_secs(7);

/// The runtime's paused time.
pub(crate) struct TestClock {
    origin: Instant,
    /// What the wall clock adds.
    pub(crate) wall_ms: AtomicU64,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "paused time")]
        let origin = Instant::now();
        Self { origin, wall_ms: AtomicU64::new(1_800_000_000_000) }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.origin.elapsed().as_millis()).unwrap();
        let wall = self.wall_ms.load(Ordering::SeqCst) + passed;
        Timestamp::from_unix_ms(i64::try_from(wall).unwrap())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(1_000_000_000).plus(self.origin.elapsed())
    }
}

/// Randomness that repeats (splitmix64).
pub(crate) struct SeededEntropy(AtomicU64);

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// What is stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) feed: Vec<FeedEntry>,
    pub(crate) oldest: FeedNumber,
    pub(crate) nodes: BTreeMap<Incarnation, NodeRow>,
    pub(crate) longest_trust: Duration,
    pub(crate) timeline: Timeline,
    pub(crate) prefixes: Vec<KeyPrefix>,
}

impl Stored {
    fn head(&self) -> FeedHead {
        let (number, tag) = self.feed.last().map_or((0, 0), |entry| (entry.number, entry.tag));
        FeedHead { number, tag, oldest: self.oldest }
    }

    pub(crate) fn roster(&self) -> Roster {
        Roster {
            nodes: self.nodes.values().cloned().collect(),
            longest_trust: self.longest_trust,
            timeline: self.timeline,
        }
    }
}

/// The database.
pub(crate) struct Database {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) stored: Mutex<Stored>,
    tags: AtomicU64,
    /// Woken by every commit.
    lines: Mutex<Vec<Arc<Notify>>>,
    acknowledged: Notify,
    /// No statement is answered, neither over lines nor for readers of the list.
    pub(crate) dead: AtomicBool,
    /// Nodes are not told of commits.
    pub(crate) silent: AtomicBool,
    pub(crate) roster_reads: AtomicUsize,
    /// The next so many readings of the list fail.
    pub(crate) roster_failures: AtomicUsize,
}

impl Database {
    pub(crate) fn new() -> Arc<Self> {
        let stored = Stored {
            feed: Vec::new(),
            oldest: 1,
            nodes: BTreeMap::new(),
            longest_trust: Duration::ZERO,
            timeline: Timeline { system: 7, number: 1 },
            prefixes: vec![KeyPrefix::parse("rk_live_").unwrap()],
        };
        Arc::new(Self {
            clock: Arc::new(TestClock::new()),
            entropy: Arc::new(SeededEntropy(AtomicU64::new(11))),
            stored: Mutex::new(stored),
            tags: AtomicU64::new(0),
            lines: Mutex::default(),
            acknowledged: Notify::new(),
            dead: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            roster_reads: AtomicUsize::new(0),
            roster_failures: AtomicUsize::new(0),
        })
    }

    /// Commits a change without telling anybody.
    pub(crate) fn write(&self, kind: FeedKind, key_id: Option<KeyId>) -> FeedNumber {
        let mut stored = self.stored.lock();
        let number = stored.head().number + 1;
        let tag = i64::try_from(self.tags.fetch_add(1, Ordering::SeqCst) * 31 + 5).unwrap();
        stored.feed.push(FeedEntry { number, tag, kind, account_id: None, key_id, digests: Vec::new() });
        number
    }

    pub(crate) fn commit(&self, kind: FeedKind) -> FeedNumber {
        let number = self.write(kind, None);
        self.tell();
        number
    }

    /// A key of nobody is revoked.
    pub(crate) fn revoke(&self) -> (KeyId, FeedNumber) {
        let key = KeyId::generate(self.clock.now(), &*self.entropy);
        let number = self.write(FeedKind::KeyRevoked, Some(key));
        self.tell();
        (key, number)
    }

    pub(crate) fn tell(&self) {
        if !self.silent.load(Ordering::SeqCst) {
            self.lines.lock().iter().for_each(|line| line.notify_one());
        }
    }

    /// An older copy takes the place of what is stored.
    pub(crate) fn restore(&self, copy: Stored) {
        *self.stored.lock() = copy;
    }

    pub(crate) fn copy(&self) -> Stored {
        self.stored.lock().clone()
    }

    /// Puts a row of a node on the list that does not run.
    pub(crate) fn add_row(&self, name: &str, trust: Duration, applied: FeedNumber) -> Incarnation {
        let row = NodeRow {
            incarnation: Incarnation::generate(&*self.entropy),
            name: name.to_owned(),
            beat: BeatMark::generate(&*self.entropy),
            applied,
            trust,
            version: String::new(),
            seen_at: self.clock.now(),
        };
        let mut stored = self.stored.lock();
        stored.longest_trust = stored.longest_trust.max(trust);
        let incarnation = row.incarnation;
        stored.nodes.insert(incarnation, row);
        incarnation
    }

    /// Such a node beats.
    pub(crate) fn beat_row(&self, node: Incarnation, applied: FeedNumber) {
        let beat = BeatMark::generate(&*self.entropy);
        let mut stored = self.stored.lock();
        let row = stored.nodes.get_mut(&node).unwrap();
        row.beat = beat;
        row.applied = applied;
        drop(stored);
        self.acknowledged.notify_one();
    }

    fn check(&self) -> Result<(), SourceError> {
        if self.dead.load(Ordering::SeqCst) { Err(SourceError::new("dead")) } else { Ok(()) }
    }
}

impl Registry for Database {
    fn roster(&self) -> BoxFuture<'_, Result<Roster, SourceError>> {
        Box::pin(async move {
            self.roster_reads.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(1)).await;
            self.check()?;
            let failures = &self.roster_failures;
            if failures.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(SourceError::new("not now"));
            }
            Ok(self.stored.lock().roster())
        })
    }

    fn confirmed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.acknowledged.notified())
    }
}

impl KeySource for Database {
    fn load(&self, _digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async { Err(SourceError::new("nobody asks for keys here")) })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async { Err(SourceError::new("nobody asks for tokens here")) })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async {
            self.check()?;
            Ok(self.stored.lock().prefixes.clone())
        })
    }
}

/// What a node did over its line, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Register(Incarnation),
    Beat(Beat),
    Entries(FeedNumber),
    Reap(Incarnation, bool),
    /// Whether the node still decided at that moment.
    Leave(bool),
}

/// One node's line.
pub(crate) struct FakeLine {
    pub(crate) database: Arc<Database>,
    news: Arc<Notify>,
    pub(crate) calls: Mutex<Vec<(Instant, Call)>>,
    /// Every call fails.
    pub(crate) cut: AtomicBool,
    /// Entries cannot be read.
    pub(crate) wedged: AtomicBool,
    /// The next so many answers are lost after what they answer was done.
    pub(crate) lost_answers: AtomicUsize,
    /// The next so many calls are lost before anything was done.
    pub(crate) lost_calls: AtomicUsize,
    /// How long an answer travels.
    pub(crate) answer_takes: Mutex<Duration>,
    /// At most so many entries are read at once; it then takes this long.
    pub(crate) entries_take: Mutex<Duration>,
    /// Whether the node still decides; asked when it leaves.
    pub(crate) decides: Mutex<Option<Arc<Verifier>>>,
    /// Runs before a row is taken away.
    pub(crate) before_reap: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl FakeLine {
    pub(crate) fn new(database: &Arc<Database>) -> Arc<Self> {
        let news = Arc::new(Notify::new());
        database.lines.lock().push(Arc::clone(&news));
        Arc::new(Self {
            database: Arc::clone(database),
            news,
            calls: Mutex::default(),
            cut: AtomicBool::new(false),
            wedged: AtomicBool::new(false),
            lost_answers: AtomicUsize::new(0),
            lost_calls: AtomicUsize::new(0),
            answer_takes: Mutex::new(Duration::from_millis(1)),
            entries_take: Mutex::new(Duration::from_millis(1)),
            decides: Mutex::default(),
            before_reap: Mutex::default(),
        })
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.calls.lock().iter().filter(|(_, call)| wanted(call)).count()
    }

    fn note(&self, call: Call) {
        #[expect(clippy::disallowed_methods, reason = "paused time")]
        self.calls.lock().push((Instant::now(), call));
    }

    fn take_one(left: &AtomicUsize) -> bool {
        left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// On the way there.
    fn set_out(&self) -> Result<(), SourceError> {
        self.database.check()?;
        if self.cut.load(Ordering::SeqCst) || Self::take_one(&self.lost_calls) {
            return Err(SourceError::new("cut"));
        }
        Ok(())
    }

    /// On the way back.
    async fn come_back<T>(&self, answer: T) -> Result<T, SourceError> {
        let takes = *self.answer_takes.lock();
        sleep(takes).await;
        if Self::take_one(&self.lost_answers) { Err(SourceError::new("answer lost")) } else { Ok(answer) }
    }

    fn answer(&self) -> BeatAnswer {
        let stored = self.database.stored.lock();
        BeatAnswer { head: stored.head(), database_time: self.database.clock.now(), roster: stored.roster() }
    }
}

impl Line for FakeLine {
    fn register(&self, registration: Registration) -> BoxFuture<'_, Result<BeatAnswer, SourceError>> {
        Box::pin(async move {
            self.note(Call::Register(registration.incarnation));
            self.set_out()?;
            let row = NodeRow {
                incarnation: registration.incarnation,
                name: registration.name,
                beat: registration.beat,
                applied: 0,
                trust: registration.trust,
                version: registration.version,
                seen_at: self.database.clock.now(),
            };
            {
                let mut stored = self.database.stored.lock();
                stored.longest_trust = stored.longest_trust.max(row.trust);
                stored.nodes.insert(row.incarnation, row);
            }
            let answer = self.answer();
            self.come_back(answer).await
        })
    }

    fn beat(&self, beat: Beat) -> BoxFuture<'_, Result<Option<BeatAnswer>, SourceError>> {
        Box::pin(async move {
            self.note(Call::Beat(beat));
            self.set_out()?;
            let stored = {
                let mut stored = self.database.stored.lock();
                let row = stored.nodes.get_mut(&beat.incarnation);
                let row = row.filter(|row| row.beat == beat.confirmed || row.beat == beat.attempted);
                row.map(|row| (row.beat, row.applied) = (beat.next, beat.applied)).is_some()
            };
            if stored && beat.wakes {
                self.database.acknowledged.notify_one();
            }
            let answer = stored.then(|| self.answer());
            self.come_back(answer).await
        })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        Box::pin(async move {
            self.note(Call::Entries(from));
            self.set_out()?;
            if self.wedged.load(Ordering::SeqCst) {
                return Err(SourceError::new("wedged"));
            }
            let takes = *self.entries_take.lock();
            sleep(takes).await;
            let entries: Vec<FeedEntry> = {
                let stored = self.database.stored.lock();
                let first = from.max(stored.oldest);
                let later = stored.feed.iter().filter(|entry| entry.number >= first);
                later.take(usize::try_from(limit).unwrap()).cloned().collect()
            };
            self.come_back(entries).await
        })
    }

    fn reap(&self, node: Incarnation, beat: BeatMark) -> BoxFuture<'_, Result<bool, SourceError>> {
        Box::pin(async move {
            if let Some(first) = self.before_reap.lock().take() {
                first();
            }
            self.set_out()?;
            let reaped = {
                let mut stored = self.database.stored.lock();
                let same = stored.nodes.get(&node).is_some_and(|row| row.beat == beat);
                same && stored.nodes.remove(&node).is_some()
            };
            self.note(Call::Reap(node, reaped));
            self.come_back(reaped).await
        })
    }

    fn leave(&self, node: Incarnation) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let decides = self.decides.lock().as_ref().is_some_and(|verifier| verifier.is_trusted());
            self.note(Call::Leave(decides));
            self.set_out()?;
            self.database.stored.lock().nodes.remove(&node);
            self.come_back(()).await
        })
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.news.notified())
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) line: Arc<FakeLine>,
    pub(crate) handle: MemberHandle,
    pub(crate) waiter: Arc<Waiter>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Node {
    pub(crate) fn start(database: &Arc<Database>) -> Self {
        Self::start_with(database, TRUST)
    }

    pub(crate) fn start_with(database: &Arc<Database>, trust: Duration) -> Self {
        Self::start_over(database, FakeLine::new(database), trust)
    }

    /// Over a line that has been tampered with.
    pub(crate) fn start_over(database: &Arc<Database>, line: Arc<FakeLine>, trust: Duration) -> Self {
        let clock: Arc<dyn Clock> = Arc::clone(&database.clock) as Arc<dyn Clock>;
        let source = Arc::clone(database) as Arc<dyn KeySource>;
        let verifier = Verifier::new(VerifierOptions::default(), Arc::clone(&clock), source);
        *line.decides.lock() = Some(Arc::clone(&verifier));
        let machine = Machine::new(clock, Arc::clone(&database.entropy) as Arc<dyn Entropy>);
        let options = MemberOptions {
            name: String::from("a node"),
            version: String::from("1"),
            trust,
            beat: trust / 5,
        };
        let over = Arc::clone(&line) as Arc<dyn Line>;
        let (member, handle) = Member::new(Arc::clone(&verifier), over, machine, options);
        let (shutdown, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(member.run(async move {
            let _ = stopped.await;
        }));
        let waiter = Arc::new(Waiter::new(&handle, Arc::clone(database) as Arc<dyn Registry>));
        Self { verifier, line, handle, waiter, shutdown: Some(shutdown), task }
    }

    /// Started, and past the time in which every change waits because the history is new to it.
    pub(crate) async fn settled(database: &Arc<Database>) -> Self {
        let node = Self::start(database);
        sleep(WAIT + BEAT).await;
        assert!(node.verifier.is_trusted());
        node
    }

    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.handle.status().incarnation
    }

    /// As `kill -9`: the node does nothing any more, and its row stays.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    pub(crate) async fn stop(mut self) {
        drop(self.shutdown.take());
        self.task.await.unwrap();
    }

    pub(crate) fn beats(&self) -> usize {
        self.line.count(|call| matches!(call, Call::Beat(_)))
    }

    pub(crate) fn confirm(
        &self,
        number: FeedNumber,
    ) -> JoinHandle<Result<rndrkit_cluster::Confirmed, rndrkit_cluster::WaitError>> {
        let waiter = Arc::clone(&self.waiter);
        tokio::spawn(async move { waiter.confirm(number).await })
    }
}

pub(crate) fn switch(flag: &AtomicBool, on: bool) {
    flag.store(on, Ordering::SeqCst);
}

pub(crate) async fn pass(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
}
