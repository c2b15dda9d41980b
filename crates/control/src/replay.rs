//! Revoking again what the database has forgotten: after a fail-over that lost commits, or a restored backup.

use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::RevokedReason;
use rndrkit_store::Error as StoreError;

use crate::event::Subject;
use crate::{Context, Control, Error};

/// What the audit log says beside the event.
const REMEMBERED: &str = "revoked before; the database had lost that, and a server remembered it";

impl Control {
    /// Revokes keys again that were revoked in a history that is gone; how many were active. Those that are
    /// revoked, or that the database does not know, are left as they are. Answers when no node accepts any of
    /// them. Repeating it is safe.
    pub async fn replay_revocations(&self, keys: Vec<KeyId>) -> Result<usize, Error> {
        let control = self.clone();
        self.to_the_end(async move {
            let mut newest = None;
            let mut revoked = 0;
            for key in keys {
                if let Some((number, changed)) = control.revoke_again(key).await? {
                    newest = newest.max(Some(number));
                    revoked += usize::from(changed);
                }
            }
            if let Some(number) = newest {
                control.confirm(number).await?;
            }
            Ok(revoked)
        })
        .await
    }

    /// The number to wait for, and whether anything changed. None when there is no such key: it was made in what
    /// was lost, and so no database knows its secret.
    async fn revoke_again(&self, key: KeyId) -> Result<Option<(FeedNumber, bool)>, Error> {
        let at = self.now();
        let mut event = self.event(&Context::system(), at, Action::KeyRevoked, None, Subject::Key(key));
        event.details = vec![("reason", REMEMBERED.to_owned())];
        // Who it was at first is lost with the rest; this time it is the installation.
        let reason = RevokedReason::Operator;
        let change = self.change(at);
        let revoke = || self.store().revoke_key(key, reason, None, change, event.clone());
        match self.change_surely(revoke).await {
            Ok(done) => {
                if done.changed {
                    tracing::warn!(%key, account = %done.value.account_id, "revoked again: {REMEMBERED}");
                }
                Ok(Some((done.number, done.changed)))
            }
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
