//! A member as the rest of its process sees it.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::node::{Incarnation, NodeRow};
use rndrkit_verifier::Lost;

use crate::shared::Shared;

/// Wakes a member, waits for what it applies, and says how it stands.
#[derive(Clone)]
pub struct MemberHandle {
    pub(crate) shared: Arc<Shared>,
}

/// How a member stands, for health, diagnosis and people. Nothing is decided by it.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// Which run of the process is on the list of nodes; none while it is on none.
    pub incarnation: Option<Incarnation>,
    /// All nodes as they were last read, this one included.
    pub nodes: Vec<NodeRow>,
    /// How long what is held may still be believed without another beat; zero when it may not.
    pub trust_left: Duration,
    /// How long ago the last beat was sent that was answered.
    pub last_beat: Option<Duration>,
    /// How long a change waits at most for a node that says nothing.
    pub longest_wait: Duration,
    /// For how long changes still wait for nodes that nobody may know of, because the history is new to this
    /// process: after its start, a fail-over or a restore. Zero usually.
    pub wary_for: Duration,
}

/// The database came back without changes that had been applied here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostHistory {
    /// What showed it.
    pub lost: Lost,
    /// Keys whose end this node remembers, oldest first: to be ended again.
    pub revoked: Vec<KeyId>,
}

impl MemberHandle {
    /// Says that there may be something new in the feed. Never lost: a nudge during a look causes another.
    pub fn nudge(&self) {
        self.shared.nudge();
    }

    /// The position up to which this node's verifier has applied the feed.
    pub fn applied(&self) -> FeedNumber {
        self.shared.applied()
    }

    /// Waits until this node's verifier has applied `number`. The caller bounds the wait.
    pub async fn wait_applied(&self, number: FeedNumber) {
        self.shared.wait_applied(number).await;
    }

    /// How the member stands now.
    pub fn status(&self) -> MemberStatus {
        self.shared.status()
    }

    /// The next loss of history. At most one is kept: losses that nobody has asked for become one, with all
    /// keys. Dropping the future loses nothing.
    pub async fn lost_history(&self) -> LostHistory {
        self.shared.lost_history().await
    }
}
