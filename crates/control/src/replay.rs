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

/// Not all was revoked again.
#[derive(Debug, thiserror::Error)]
#[error("{} keys are not surely revoked again: {cause}", left.len())]
pub struct Unfinished {
    /// What to go on with. The key that failed comes after those that were not tried yet, so that one that cannot
    /// be revoked does not keep the others waiting.
    pub left: Vec<KeyId>,
    /// Why.
    #[source]
    pub cause: Error,
}

impl Control {
    /// Revokes keys again that were revoked in a history that is gone; how many were active. Those that are
    /// revoked, or that the database does not know, are left as they are. Answers when no node accepts any of
    /// them. Ends with the first failure, and hands back what is left.
    pub async fn replay_revocations(&self, keys: Vec<KeyId>) -> Result<usize, Unfinished> {
        let (control, all) = (self.clone(), keys.clone());
        let work = self.to_the_end(async move { Ok(control.replay(keys).await) });
        work.await.unwrap_or_else(|cause| Err(Unfinished { left: all, cause }))
    }

    async fn replay(&self, keys: Vec<KeyId>) -> Result<usize, Unfinished> {
        // Of what was done, the key with the highest number: whoever waits for that has waited for all.
        let mut newest: Option<(FeedNumber, KeyId)> = None;
        let mut revoked = 0;
        let mut keys = keys.into_iter();
        while let Some(key) = keys.next() {
            match self.revoke_again(key).await {
                Ok(Some((number, changed))) => {
                    newest = newest.max(Some((number, key)));
                    revoked += usize::from(changed);
                }
                Ok(None) => {}
                Err(cause) => {
                    let done = newest.map(|(_, key)| key);
                    return Err(Unfinished { left: keys.chain([key]).chain(done).collect(), cause });
                }
            }
        }
        if let Some((number, key)) = newest {
            let unsure = |cause| Unfinished { left: vec![key], cause };
            self.confirm(number).await.map_err(unsure)?;
        }
        Ok(revoked)
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
