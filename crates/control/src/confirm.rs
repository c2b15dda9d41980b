//! Waiting until no verifier can act on the old state any more.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;

/// A boxed future, for the trait below.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who followed a change, and how long that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// Nodes that confirmed.
    pub nodes_confirmed: u32,
    /// Nodes that were waited out.
    pub nodes_expired: u32,
    /// From the commit to the answer.
    pub took: Duration,
}

/// The change is committed, but whether every node follows it is not known in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not confirmed: {0}")]
pub struct ConfirmError(pub String);

/// Waits for verifiers to follow the feed.
pub trait Confirm: Send + Sync + 'static {
    /// Answers when every verifier has applied the feed up to and including `number`, or can no longer
    /// decide anything. Called after the commit, for no-op repeats too.
    fn confirm(&self, number: FeedNumber) -> BoxFuture<'_, Result<Confirmation, ConfirmError>>;

    /// Says that there is something new in the feed, and waits for nobody: this process's own verifier looks
    /// at once, those of other nodes when they are told.
    fn wake(&self);
}
