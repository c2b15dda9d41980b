//! One process at a time on a PostgreSQL database: the right to serve is a lock that is held and checked.
//!
//! While it cannot be shown to be held, the feed counts as unreadable, so that trust runs out and every
//! decision is "unavailable". On SQLite the data folder's lock does the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedNumber};
use rndrkit_domain::random::{self, Entropy};
use rndrkit_domain::time::Clock;
use rndrkit_store::{Error, NodeGuard, Store};
use rndrkit_verifier::{BoxFuture, ChangeFeed, FollowerHandle, SourceError};

use super::adapters::StoreSource;

/// How often the lock is checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Longest that a process can go on deciding after it lost the lock, its trust (`trust_seconds`) apart: one
/// interval, one unanswered check, and a second for clocks.
const LOSS_UNNOTICED: Duration = Duration::from_secs(5);

/// The right to serve one PostgreSQL database.
pub(super) struct SoleNode {
    url: String,
    store: Store,
    trust: Duration,
    clock: Arc<dyn Clock>,
    incarnation: String,
    guard: Option<NodeGuard>,
    held: Arc<AtomicBool>,
}

impl SoleNode {
    /// Takes the right to serve. When the last holder did not stop in order, waits until it cannot decide
    /// anything any more.
    pub(super) async fn claim(
        url: String,
        store: Store,
        trust: Duration,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let incarnation = u128::from_le_bytes(random::bytes::<16>(entropy));
        let incarnation = format!("{incarnation:032x}");
        let held = Arc::new(AtomicBool::new(true));
        let mut node = Self { url, store, trust, clock, incarnation, guard: None, held };
        node.guard = Some(node.take_right().await?);
        Ok(node)
    }

    /// Takes the lock and outlasts whoever had it: while another process's row is there, that process may go
    /// on deciding for a while.
    async fn take_right(&self) -> Result<NodeGuard, Error> {
        let guard = NodeGuard::claim(&self.url).await?;
        let trust_ms = i64::try_from(self.trust.as_millis()).unwrap_or(i64::MAX);
        let version = env!("CARGO_PKG_VERSION");
        if self.store.replace_nodes(&self.incarnation, version, trust_ms, self.clock.now()).await? {
            let wait = self.trust + LOSS_UNNOTICED;
            tracing::warn!(
                seconds = wait.as_secs(),
                "the last process on this database did not stop in order; waiting until it cannot answer any more"
            );
            tokio::time::sleep(wait).await;
            // Lost in the meantime, it would not be missed before the first check.
            guard.ping().await?;
        }
        Ok(guard)
    }

    /// The feed, readable only while the right is held.
    pub(super) fn feed(&self, source: StoreSource) -> GuardedFeed {
        GuardedFeed { source, held: self.held.clone() }
    }

    /// Checks the lock until `stop` resolves, takes it again when it was lost, and gives it back at the end.
    pub(super) async fn keep(mut self, follower: FollowerHandle, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = tokio::time::sleep(CHECK_EVERY) => self.check(&follower).await,
            }
        }
        self.held.store(false, Ordering::SeqCst);
        if let Err(error) = self.store.remove_node(&self.incarnation).await {
            tracing::warn!(%error, "this node could not sign off; the next start will wait a few seconds");
        }
        if let Some(guard) = self.guard.take()
            && let Err(error) = guard.release().await
        {
            tracing::warn!(%error, "the right to serve ends with the connection");
        }
    }

    async fn check(&mut self, follower: &FollowerHandle) {
        if let Some(guard) = &self.guard {
            let Err(error) = guard.ping().await else { return };
            self.held.store(false, Ordering::SeqCst);
            tracing::error!(%error, "the right to serve this database was lost; refusing until it is back");
            if let Some(lost) = self.guard.take() {
                // Its connection is of no use; an error on closing it changes nothing.
                drop(tokio::time::timeout(CHECK_EVERY, lost.release()).await);
            }
        }
        match self.take_right().await {
            Ok(guard) => {
                self.guard = Some(guard);
                self.held.store(true, Ordering::SeqCst);
                follower.nudge();
                tracing::info!("the right to serve this database is back");
            }
            Err(error) => tracing::warn!(%error, "the right to serve this database cannot be had yet"),
        }
    }
}

/// A feed that cannot be read without the right to serve.
pub(super) struct GuardedFeed {
    source: StoreSource,
    held: Arc<AtomicBool>,
}

impl GuardedFeed {
    fn check(&self) -> Result<(), SourceError> {
        if self.held.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err(SourceError::new("the right to serve this database is not held"))
        }
    }
}

impl ChangeFeed for GuardedFeed {
    fn head(&self) -> BoxFuture<'_, Result<FeedHead, SourceError>> {
        Box::pin(async move {
            self.check()?;
            self.source.head().await
        })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        Box::pin(async move {
            self.check()?;
            self.source.entries(from, limit).await
        })
    }
}
