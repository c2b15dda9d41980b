//! One node's line to the database of the tests: it can be cut, slow or lossy, and notes what was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_cluster::line::Line;
use rndrkit_domain::feed::{FeedEntry, FeedNumber};
use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, NodeRow, Registration};
use rndrkit_domain::time::Clock;
use rndrkit_verifier::{BoxFuture, SourceError, Verifier};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::database::Database;

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
