//! The database that the nodes of a test share.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_cluster::line::Registry;
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::node::{BeatMark, Incarnation, NodeRow, Roster, Timeline};
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use rndrkit_verifier::{BoxFuture, KeySource, Loaded, LoadedTokens, SourceError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

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
    pub(crate) fn head(&self) -> FeedHead {
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
    pub(crate) lines: Mutex<Vec<Arc<Notify>>>,
    pub(crate) acknowledged: Notify,
    /// No statement is answered, neither over lines nor for readers of the list.
    pub(crate) dead: AtomicBool,
    /// Nodes are not told of commits.
    pub(crate) silent: AtomicBool,
    pub(crate) roster_reads: AtomicUsize,
    /// Secrets looked up.
    pub(crate) loads: AtomicUsize,
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
            loads: AtomicUsize::new(0),
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

    pub(crate) fn check(&self) -> Result<(), SourceError> {
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
        Box::pin(async {
            self.check()?;
            self.loads.fetch_add(1, Ordering::SeqCst);
            Ok(Loaded { head: self.stored.lock().head().number, found: None })
        })
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
