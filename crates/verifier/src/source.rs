//! What the verifier needs from whoever stores keys: look-ups, the feed of changes, a place for counters.
//!
//! Traits and plain facts only. Every error here means "we do not know", never "there is no such key".

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedNumber};
use rndrkit_domain::id::{AccountId, KeyId, TokenId};
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::observation::{Refusal, Sighting};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::text::{ExternalId, Name};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_domain::usage::{LastUse, UsageDelta};

/// A future in a box, so that the traits below can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The source could not be asked, or its answer could not be read. Says nothing about any key.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source could not answer")]
pub struct SourceError {
    cause: String,
}

impl SourceError {
    /// An error with its cause, for logs only. The cause must not hold a secret.
    pub fn new(cause: impl fmt::Display) -> Self {
        Self { cause: cause.to_string() }
    }

    /// What went wrong, for logs.
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

impl fmt::Debug for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceError({})", self.cause)
    }
}

/// Where keys and tokens are looked up.
pub trait KeySource: Send + Sync + 'static {
    /// Looks up one secret. The head and what was found must come from one snapshot, or the head must
    /// have been read first: the fence against late answers rests on it.
    fn load(&self, digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>>;

    /// Reads all tokens of the operator API that are not deleted; the same rule about the head.
    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>>;

    /// Reads all prefixes that keys of this installation ever had. They only become more.
    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>>;
}

/// The answer to one look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Newest feed number in the snapshot that was read.
    pub head: FeedNumber,
    /// The key, if the secret is known.
    pub found: Option<KeyFacts>,
}

/// What is stored about one secret, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key that the secret belongs to.
    pub key_id: KeyId,
    /// When the key ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When this secret ends: the old half of a rotation.
    pub ends_at: Option<Timestamp>,
    /// Whether somebody ended the key.
    pub revoked: bool,
    /// Its account, from the same snapshot.
    pub account: AccountFacts,
}

/// What is stored about an account, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFacts {
    /// Id.
    pub id: AccountId,
    /// The operator's own id for it.
    pub external_id: Option<ExternalId>,
    /// Whether it may use the API at all.
    pub status: AccountStatus,
    /// Its plan.
    pub plan: PlanId,
    /// Whether that plan lets keys through.
    pub api_access: bool,
    /// The plan's budget.
    pub rate_limit: RateLimit,
    /// Raised by every change of the account; a higher one is newer.
    pub revision: i64,
}

/// All tokens of the operator API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedTokens {
    /// Newest feed number in the snapshot that was read.
    pub head: FeedNumber,
    /// The tokens.
    pub tokens: Vec<TokenFacts>,
}

/// What is stored about one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// SHA-256 of its text.
    pub digest: Digest,
    /// Id.
    pub id: TokenId,
    /// What its maker calls it.
    pub name: Name,
    /// What it may do.
    pub scope: Scope,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Where changes are read, in the order in which they were committed.
pub trait ChangeFeed: Send + Sync + 'static {
    /// The newest position.
    fn head(&self) -> BoxFuture<'_, Result<FeedHead, SourceError>>;

    /// At most `limit` entries in order of number, `from` included.
    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>>;
}

/// Where counted use goes.
pub trait UsageSink: Send + Sync + 'static {
    /// Adds the counts and moves last uses forward, all or nothing.
    fn record<'a>(
        &'a self,
        deltas: &'a [UsageDelta],
        last_uses: &'a [LastUse],
    ) -> BoxFuture<'a, Result<(), SourceError>>;
}

/// Where observations go.
pub trait ObservationSink: Send + Sync + 'static {
    /// Moves sightings forward and keeps refusals, all or nothing. May be called again with the same.
    fn record_observations<'a>(
        &'a self,
        sightings: &'a [Sighting],
        refusals: &'a [Refusal],
    ) -> BoxFuture<'a, Result<(), SourceError>>;
}

/// Where the budgets that several nodes share are kept.
pub trait BudgetAuthority: Send + Sync + 'static {
    /// Draws for several accounts at once: one grant for each draw, in the same order. When it fails, nobody
    /// knows whether anything was drawn; it then counts as spent.
    fn draw<'a>(&'a self, draws: &'a [Draw]) -> BoxFuture<'a, Result<Vec<Grant>, SourceError>>;
}

/// What one node wants of one account's budget. Amounts are millionths of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The account.
    pub account: AccountId,
    /// Whole requests wanted.
    pub want: u32,
    /// Fewer than this are of no use: then nothing is drawn.
    pub at_least: u32,
    /// Refill in a second, in millionths.
    pub rate_micros: i64,
    /// What the shared bucket holds at most, in millionths.
    pub burst_micros: i64,
    /// Revision of the account that the two came with.
    pub revision: i64,
}

/// What came of one draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Whole requests drawn (perhaps none), and what is left in the bucket, in millionths.
    Drawn {
        /// Drawn.
        granted: u32,
        /// Left.
        left_micros: i64,
    },
    /// The budget follows a newer revision of the account: read it again.
    Stale,
}
