//! The cluster's traits over the store: a node's own line and the list of nodes. Conversions only.

use std::sync::Arc;

use rndrkit_cluster::line::{Line, Registry};
use rndrkit_domain::feed::{FeedEntry, FeedNumber};
use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, Registration, Roster};
use rndrkit_store::{NodeLine, Store};
use rndrkit_verifier::{BoxFuture, SourceError};

use super::adapters::source_error;

/// The store's line, as a member sees it.
pub(super) struct LineOf(pub(super) Arc<NodeLine>);

impl Line for LineOf {
    fn register(&self, registration: Registration) -> BoxFuture<'_, Result<BeatAnswer, SourceError>> {
        Box::pin(async move { self.0.register(registration).await.map_err(source_error) })
    }

    fn beat(&self, beat: Beat) -> BoxFuture<'_, Result<Option<BeatAnswer>, SourceError>> {
        Box::pin(async move { self.0.beat(beat).await.map_err(source_error) })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        Box::pin(async move { self.0.entries(from, limit).await.map_err(source_error) })
    }

    fn reap(&self, node: Incarnation, beat: BeatMark) -> BoxFuture<'_, Result<bool, SourceError>> {
        Box::pin(async move { self.0.reap(node, beat).await.map_err(source_error) })
    }

    fn leave(&self, node: Incarnation) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move { self.0.leave(node).await.map_err(source_error) })
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.news())
    }
}

/// The list of nodes, as those see it who wait: read over the store's own connections, while word of
/// confirmations comes over the line.
pub(super) struct RegistryOf {
    pub(super) store: Store,
    pub(super) line: Arc<NodeLine>,
}

impl Registry for RegistryOf {
    fn roster(&self) -> BoxFuture<'_, Result<Roster, SourceError>> {
        Box::pin(async move { self.store.roster().await.map_err(source_error) })
    }

    fn confirmed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.line.confirmed())
    }
}
