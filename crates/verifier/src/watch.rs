//! The handle by which a long connection learns that its key or account changed.

use std::fmt;
use std::sync::Arc;

use rndrkit_domain::key_text::Digest;

use crate::account::AccountState;

/// Tells the owner of a long connection that its key or account changed. Nothing that happens after the
/// decision it came with is missed, however late the owner begins to wait.
#[derive(Clone)]
pub struct Watch {
    pub(crate) digest: Digest,
    pub(crate) account: Arc<AccountState>,
    /// The account's counter of changes, read before the decision.
    pub(crate) seen: u64,
}

impl Watch {
    /// Waits for the next change of the key, of its account, or of another key of the account; then ask
    /// [`crate::Verifier::recheck`]. Several changes may be one wake-up.
    pub async fn changed(&mut self) {
        self.seen = self.account.changed_since(self.seen).await;
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
