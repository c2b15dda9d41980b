//! Connections that outlive their decision: watched, and cut when their key may no longer have them.
//!
//! A cut closes the caller's socket. It does not wait for anybody to read or write, so a caller that has
//! stopped reading is cut like any other.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_verifier::{Verifier, Watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::edge::Edge;

/// Longest time that a renewed judgement may take. A cut is promised within a second of the change.
const RECHECK_DEADLINE: Duration = Duration::from_millis(800);

/// Judges one long connection anew whenever its key or account changes, and now and then for ends that only
/// time brings.
pub(crate) struct Overseer {
    verifier: Arc<Verifier>,
    watch: Watch,
    interval: Duration,
}

impl Overseer {
    pub(crate) fn new(edge: &Edge, watch: Watch) -> Self {
        Self { verifier: edge.verifier.clone(), watch, interval: edge.options.limits.recheck_interval }
    }

    /// Resolves when the connection is no longer allowed. Not knowing is not allowed.
    pub(crate) async fn until_refused(mut self) {
        loop {
            // The end of the interval is a reason to look, like a change.
            let _ = timeout(self.interval, self.watch.changed()).await;
            if !timeout(RECHECK_DEADLINE, self.verifier.recheck(&self.watch)).await.unwrap_or(false) {
                return;
            }
        }
    }
}

/// Cuts a connection when its overseer says so, for as long as the guard lives.
pub(crate) struct StreamGuard {
    waiting: Option<(Overseer, Arc<Connection>, metrics::Counter)>,
    running: Option<AbortHandle>,
}

impl StreamGuard {
    /// A guard that has not begun to watch. Nothing is lost by beginning later: changes since the decision
    /// are seen.
    pub(crate) fn new(edge: &Edge, watch: Watch, connection: Arc<Connection>) -> Self {
        let waiting = (Overseer::new(edge, watch), connection, edge.meters.streams_cut.clone());
        Self { waiting: Some(waiting), running: None }
    }

    /// Whether it watches.
    pub(crate) const fn has_started(&self) -> bool {
        self.running.is_some()
    }

    /// Begins to watch; further calls do nothing.
    pub(crate) fn start(&mut self) {
        let Some((overseer, connection, cut)) = self.waiting.take() else { return };
        let task = tokio::spawn(async move {
            overseer.until_refused().await;
            cut.increment(1);
            connection.cut();
        });
        self.running = Some(task.abort_handle());
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if let Some(task) = &self.running {
            task.abort();
        }
    }
}
