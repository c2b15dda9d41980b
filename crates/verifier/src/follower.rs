//! Keeps a verifier level with the feed, and decides whether what it holds may be believed.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::{FeedHead, FeedNumber};
use rndrkit_domain::time::Monotonic;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::history::Continuation;
use crate::source::{ChangeFeed, SourceError};
use crate::verifier::Verifier;

/// Entries read at once.
const BATCH: u32 = 512;
/// How long one read of the feed may take.
const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Pause after the first failed attempt; doubled after each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How the follower behaves.
#[derive(Debug, Clone)]
pub struct FollowerOptions {
    /// How long one successful catch-up is believed, counted from before the feed was asked. `None` = for
    /// ever, until the feed cannot be read: for a node that alone writes its database.
    pub trust: Option<Duration>,
    /// Longest time between two looks at the feed without a nudge.
    pub poll_interval: Duration,
}

impl Default for FollowerOptions {
    fn default() -> Self {
        Self { trust: None, poll_interval: Duration::from_secs(1) }
    }
}

/// Keeps a verifier level with the feed.
pub struct Follower {
    verifier: Arc<Verifier>,
    feed: Arc<dyn ChangeFeed>,
    options: FollowerOptions,
    nudged: Arc<Notify>,
    /// Whether the verifier has a position of this history.
    positioned: bool,
}

/// Wakes a follower and waits for what it applies.
#[derive(Clone)]
pub struct FollowerHandle {
    verifier: Arc<Verifier>,
    nudged: Arc<Notify>,
}

impl FollowerHandle {
    /// Says that there may be something new in the feed. Never lost: a nudge during a look causes another.
    pub fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits until the verifier has applied `number`. The caller bounds the wait.
    pub async fn wait_applied(&self, number: FeedNumber) {
        self.verifier.wait_applied(number).await;
    }

    /// The position up to which the verifier has applied the feed.
    pub fn applied(&self) -> FeedNumber {
        self.verifier.applied()
    }
}

impl Follower {
    /// A follower and the handle that wakes it.
    pub fn new(
        verifier: Arc<Verifier>,
        feed: Arc<dyn ChangeFeed>,
        options: FollowerOptions,
    ) -> (Self, FollowerHandle) {
        let nudged = Arc::new(Notify::new());
        let handle = FollowerHandle { verifier: Arc::clone(&verifier), nudged: Arc::clone(&nudged) };
        (Self { verifier, feed, options, nudged, positioned: false }, handle)
    }

    /// Follows until `shutdown` resolves; then trust ends, so let the doors drain first.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let nudged = Arc::clone(&self.nudged);
        let mut pause = FIRST_PAUSE;
        loop {
            let caught_up = tokio::select! {
                biased;
                () = &mut shutdown => break,
                caught_up = self.catch_up() => caught_up,
            };
            let level = caught_up.is_ok();
            let wait = match caught_up {
                Ok(until) => {
                    pause = FIRST_PAUSE;
                    self.verifier.set_trust(until);
                    self.options.poll_interval
                }
                Err(error) => self.stumble(&error, &mut pause),
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // A nudge does not shorten the pause after a failure.
                () = nudged.notified(), if level => {}
                () = sleep(wait) => {}
            }
        }
        self.verifier.untrust();
    }

    /// The feed could not be read: without a term, trust ends now. Returns how long to pause.
    fn stumble(&self, error: &SourceError, pause: &mut Duration) -> Duration {
        self.verifier.report(error);
        if self.options.trust.is_none() {
            self.verifier.untrust();
        }
        let wait = *pause;
        *pause = (wait * 2).min(LONGEST_PAUSE);
        wait
    }

    /// Applies everything up to the present head. Returns until when that may be believed.
    async fn catch_up(&mut self) -> Result<Monotonic, SourceError> {
        // Before the question is sent, never after the answer: what is committed in between is not seen.
        let asked_at = self.verifier.clock().monotonic();
        let head = bounded(self.feed.head()).await?;
        if !self.positioned {
            bounded(self.verifier.start_at(head)).await?;
            self.positioned = true;
        }
        self.verifier.show_lag(head);
        if let Err(lost) = self.verifier.place().compare(head) {
            bounded(self.verifier.lose_history(head, lost)).await?;
        }
        // What is committed from now on may be read along; it belongs to the next look.
        while self.verifier.applied() < head.number {
            self.advance(head).await?;
        }
        self.verifier.show_lag(head);
        Ok(self.options.trust.map_or(Monotonic(u64::MAX), |term| asked_at.plus(term)))
    }

    /// One batch towards `head`.
    async fn advance(&self, head: FeedHead) -> Result<(), SourceError> {
        let place = self.verifier.place();
        // From the place itself, to compare its tag.
        let entries = bounded(self.feed.entries(place.number, BATCH)).await?;
        match place.continuation(&entries) {
            Continuation::Good => bounded(self.verifier.follow(&entries)).await,
            Continuation::Nothing => Err(SourceError::new("the feed is shorter than its head says")),
            Continuation::Lost(lost) => bounded(self.verifier.lose_history(head, lost)).await,
        }
    }
}

async fn bounded<T>(read: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    timeout(READ_DEADLINE, read)
        .await
        .unwrap_or_else(|_| Err(SourceError::new("reading the feed took too long")))
}
