//! The handle by which a long connection learns that its key or account changed, and how it is judged anew.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Monotonic;
use tokio::time::timeout;

use crate::account::AccountState;
use crate::decide::verdict;
use crate::entry::Held;
use crate::verifier::{Resolved, Verifier};

/// How long [`Verifier::recheck`] tries: a connection that has to be cut is cut within a second.
const RECHECK_DEADLINE: Duration = Duration::from_millis(750);

/// What woke a long connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One that names its account or a key of it, or that may hide one that does. Whoever cannot find out
    /// soon what it means must cut the connection.
    Named,
    /// Everything is to be read again, and nothing says that this account changed: other plans, another
    /// timeline of the database, changes by hand.
    Broad,
}

impl Change {
    /// What it adds to an account's counter: the upper half of that counts those that name the account.
    /// Should the lower half ever overflow, a broad change passes for one that does.
    pub(crate) const fn weight(self) -> u64 {
        match self {
            Self::Named => 1 << 32,
            Self::Broad => 1,
        }
    }

    /// What has happened between two readings of the counter that differ.
    const fn between(before: u64, after: u64) -> Self {
        if before >> 32 == after >> 32 { Self::Broad } else { Self::Named }
    }
}

/// What is known about a long connection's right to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its key would be let in now, the budget aside.
    Good,
    /// Its key is not good any more.
    Refused,
    /// The node cannot tell: it has no trust, or the look-up failed, took too long, or had no turn.
    Unknown,
}

/// Tells the owner of a long connection that its key or account changed. Nothing that happens after the
/// decision it came with is missed, however late the owner begins to wait.
#[derive(Clone)]
pub struct Watch {
    pub(crate) digest: Digest,
    pub(crate) key_id: KeyId,
    pub(crate) account: Arc<AccountState>,
    /// The account's counter of changes, read before the decision.
    pub(crate) seen: u64,
}

impl Watch {
    /// Which secret the decision was about.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Waits for the next change of the key, of its account, or of another key of the account; then ask
    /// [`Verifier::recheck`]. Several changes may be one wake-up: it is then the gravest of them.
    pub async fn changed(&mut self) -> Change {
        let before = self.seen;
        self.seen = self.account.changed_since(before).await;
        Change::between(before, self.seen)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("account", &self.account.id)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Whether a long connection may go on, the budget aside; in less than a second.
    pub async fn recheck(&self, watch: &Watch) -> Standing {
        match timeout(RECHECK_DEADLINE, self.resolve(watch.digest, None)).await {
            Ok(Ok(Resolved { held, now, .. })) => self.standing(&held, now),
            // A denial here is never about the key.
            Ok(Err(_)) | Err(_) => Standing::Unknown,
        }
    }

    /// As [`Self::recheck`], for a connection of which nothing says that it has changed. What memory does
    /// not know waits for its turn first, so that however many connections look at once, requests are
    /// looked up beside them. The caller bounds the wait.
    pub async fn recheck_in_turn(&self, watch: &Watch) -> Standing {
        let Some(now) = self.trusted_now() else { return Standing::Unknown };
        if let Some((held, _)) = self.recall(&watch.digest, now) {
            return self.standing(&held, now);
        }
        match self.flights().patient.acquire().await {
            Ok(_turn) => self.recheck(watch).await,
            Err(_closed) => Standing::Unknown,
        }
    }

    fn standing(&self, held: &Held, now: Monotonic) -> Standing {
        let refused: Option<Denial> = match held {
            Held::Good(entry) => verdict(entry, &entry.account.view(), || self.wall_at(now)),
            Held::Revoked(_) => Some(Denial::KeyRevoked),
            Held::Unknown => Some(Denial::InvalidKey),
        };
        if refused.is_some() { Standing::Refused } else { Standing::Good }
    }
}
