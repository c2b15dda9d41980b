//! Waiting until no node can act any more on what was before a change.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;

use crate::handle::MemberHandle;
use crate::line::Registry;

/// Waits for changes to be in force on all nodes.
pub struct Waiter {
    handle: MemberHandle,
    registry: Arc<dyn Registry>,
}

/// A change is in force: no node acts any more on what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Nodes that have applied it.
    pub nodes_confirmed: u32,
    /// Nodes that said nothing and can believe nothing older any more.
    pub nodes_expired: u32,
    /// How long that took.
    pub took: Duration,
}

/// Whether the change is in force everywhere is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// This process has never read the list of nodes, so it does not know how long to wait for the others.
    #[error("the list of nodes could not be read since this process began")]
    NodesUnknown,
}

impl Waiter {
    /// A waiter of the process that `handle`'s member belongs to. One for all changes: they share what they
    /// read.
    pub fn new(handle: MemberHandle, registry: Arc<dyn Registry>) -> Self {
        Self { handle, registry }
    }

    /// Waits until change `number` is in force on all nodes. To be called once the commit is known, at once;
    /// for repeated calls that change nothing too. Ends by itself after the longest wait at the latest,
    /// without any database. Drive it to its end even if whoever asked has gone.
    pub async fn confirm(&self, number: FeedNumber) -> Result<Confirmed, WaitError> {
        self.handle.nudge();
        self.handle.wait_applied(number).await;
        let _roster = self.registry.roster().await;
        Err(WaitError::NodesUnknown)
    }
}
