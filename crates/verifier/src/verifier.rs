//! The verifier's public surface; until the bodies are there, every answer is "we do not know".

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rndrkit_domain::decision::{Decision, Denial};
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedNumber};
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::time::{Clock, Monotonic};

use crate::source::{ChangeFeed, KeySource, SourceError, TokenFacts, UsageSink};

/// Sizes. `Default` has the product's defaults.
#[derive(Debug, Clone)]
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

/// Tells the owner of a long connection that its key or account changed.
#[derive(Debug, Clone)]
pub struct Watch {}

impl Watch {
    /// Waits for the next change; then ask [`Verifier::recheck`].
    pub async fn changed(&mut self) {
        std::future::pending().await
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenDenial {
    /// No token at all.
    #[error("no token")]
    Missing,
    /// Unknown, ended or expired.
    #[error("not a valid token")]
    Invalid,
    /// We do not know.
    #[error("the token could not be checked")]
    Unavailable,
}

/// Decides on requests. Starts untrusted: everything is `unavailable` until [`Verifier::set_trust`].
pub struct Verifier {
    prefixes: ArcSwap<Vec<KeyPrefix>>,
    usage: Arc<UsageBuffer>,
}

impl Verifier {
    /// A verifier with empty caches and no trust.
    pub fn new(_options: VerifierOptions, _clock: Arc<dyn Clock>, _source: Arc<dyn KeySource>) -> Arc<Self> {
        Arc::new(Self { prefixes: ArcSwap::default(), usage: Arc::new(UsageBuffer {}) })
    }

    /// All prefixes that this installation has ever used.
    pub fn set_prefixes(&self, prefixes: Vec<KeyPrefix>) {
        self.prefixes.store(Arc::new(prefixes));
    }

    /// The prefixes in force.
    pub fn prefixes(&self) -> Arc<Vec<KeyPrefix>> {
        self.prefixes.load_full()
    }

    /// Decides on one request.
    pub async fn verify(&self, _ask: &Ask<'_>) -> Verified {
        Verified { decision: Decision::denied(Denial::Unavailable), watch: None }
    }

    /// Whether a long connection may go on. The budget is ignored; not knowing is `false`.
    pub async fn recheck(&self, _watch: &Watch) -> bool {
        false
    }

    /// Checks a token of the operator API, given as its text.
    pub async fn authenticate_token(&self, _text: &str) -> Result<TokenFacts, TokenDenial> {
        Err(TokenDenial::Unavailable)
    }

    /// What is held may be believed until then; `Monotonic(u64::MAX)` = for ever. Never shortens.
    pub fn set_trust(&self, _until: Monotonic) {}

    /// Nothing that is held may be believed until the next [`Self::set_trust`].
    pub fn untrust(&self) {}

    /// Whether decisions can be made now: the readiness of a node.
    pub fn is_trusted(&self) -> bool {
        false
    }

    /// Applies entries of the feed, in order.
    pub fn apply(&self, _entries: &[FeedEntry]) {}

    /// The position up to which the feed has been applied.
    pub fn applied(&self) -> FeedNumber {
        0
    }

    /// Waits until the feed has been applied up to `number`.
    pub async fn wait_applied(&self, _number: FeedNumber) {}

    /// Forgets everything (budgets excepted) and starts anew at `head`.
    pub fn reset(&self, _head: FeedHead) {}

    /// Forgets everything (budgets excepted) without moving the position.
    pub fn drop_everything(&self) {}

    /// Counted use, for a [`Flusher`].
    pub fn usage(&self) -> &Arc<UsageBuffer> {
        &self.usage
    }
}

/// Counts use in memory until it is flushed.
pub struct UsageBuffer {}

/// Carries counted use to where it is stored.
pub struct Flusher {}

impl Flusher {
    /// Flushes `buffer` into `sink` each `interval`.
    pub fn new(_buffer: Arc<UsageBuffer>, _sink: Arc<dyn UsageSink>, _interval: Duration) -> Self {
        Self {}
    }

    /// Flushes until `shutdown` resolves, then once more.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        shutdown.await;
    }

    /// Flushes once, now.
    pub async fn flush(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

/// How the follower behaves.
#[derive(Debug, Clone)]
pub struct FollowerOptions {
    /// How long one successful catch-up is believed; `None` = for ever (one node on its own database).
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
pub struct Follower {}

impl Follower {
    /// A follower and the handle that wakes it.
    pub fn new(
        _verifier: Arc<Verifier>,
        _feed: Arc<dyn ChangeFeed>,
        _options: FollowerOptions,
    ) -> (Self, FollowerHandle) {
        (Self {}, FollowerHandle {})
    }

    /// Follows until `shutdown` resolves; then trust ends.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        shutdown.await;
    }
}

/// Wakes a follower.
#[derive(Debug, Clone)]
pub struct FollowerHandle {}

impl FollowerHandle {
    /// Says that there may be something new in the feed.
    pub fn nudge(&self) {}

    /// Waits until the verifier has applied `number`. The caller bounds the wait.
    pub async fn wait_applied(&self, _number: FeedNumber) {}

    /// The position up to which the verifier has applied the feed.
    pub fn applied(&self) -> FeedNumber {
        0
    }
}

/// Describes this crate's metrics to the recorder in force.
pub fn describe_metrics() {}
