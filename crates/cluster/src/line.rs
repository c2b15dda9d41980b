//! What a node needs from the database that all share: one line of its own, and the list of nodes.
//!
//! Traits only. Every error means "we do not know".

use rndrkit_domain::feed::{FeedEntry, FeedNumber};
use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, Registration, Roster};
use rndrkit_verifier::{BoxFuture, SourceError};

/// The one connection by which a node beats and follows the feed. Nothing else uses it, so that its loss is
/// one event and no flood of look-ups keeps a beat waiting. Calls are made one after the other, each is answered
/// within a deadline or fails, and any may be dropped half-way.
pub trait Line: Send + Sync + 'static {
    /// Adds this node's row, and raises the longest trust of the installation if this node's is longer. What
    /// it returns was read after the row was committed.
    fn register(&self, registration: Registration) -> BoxFuture<'_, Result<BeatAnswer, SourceError>>;

    /// One durable statement: replaces the beat if it is `confirmed` or `attempted`. `None`: the row is
    /// gone, or another process took it over.
    fn beat(&self, beat: Beat) -> BoxFuture<'_, Result<Option<BeatAnswer>, SourceError>>;

    /// At most `limit` entries of the feed in order of number, `from` included.
    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>>;

    /// Takes away the row of a node that has not been heard of, if its beat is still this one; whether it was.
    fn reap(&self, node: Incarnation, beat: BeatMark) -> BoxFuture<'_, Result<bool, SourceError>>;

    /// Takes this node's row away: it has stopped deciding.
    fn leave(&self, node: Incarnation) -> BoxFuture<'_, Result<(), SourceError>>;

    /// Resolves when something may be new in the feed, and when the line was lost and found again. News that
    /// came since the last call resolve it at once; several may be one.
    fn news(&self) -> BoxFuture<'_, ()>;
}

/// The list of nodes, for those who wait for confirmations: not over a node's [`Line`], each call a new
/// statement.
pub trait Registry: Send + Sync + 'static {
    /// All nodes now.
    fn roster(&self) -> BoxFuture<'_, Result<Roster, SourceError>>;

    /// Resolves when a node may have confirmed something; several may be one. May also never resolve: whoever
    /// waits looks again by himself.
    fn confirmed(&self) -> BoxFuture<'_, ()>;
}
