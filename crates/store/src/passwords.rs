//! Changing a password while signed in. Setting one through a link is in `sign_in`.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::mail::MailKind;
use rndrkit_domain::time::Timestamp;

use crate::accounts;
use crate::audit;
use crate::change::Change;
use crate::email_changes;
use crate::error::Error;
use crate::open::Store;
use crate::outbox;
use crate::sessions::{self, NewSession, SessionSeed};
use crate::sql::{TextRow, Transaction};
use crate::users;
use crate::value::{digest, text};

/// A password about to be changed. `Debug` is left out: it holds hashes of passwords.
#[derive(Clone, Copy)]
pub struct PasswordChange<'a> {
    /// The account.
    pub account_id: AccountId,
    /// Whose password.
    pub user_id: UserId,
    /// The session that asks. It must still run.
    pub session: Digest,
    /// The hash that the current password was checked against.
    pub old_hash: &'a str,
    /// The hash of the new one.
    pub new_hash: &'a str,
}

/// Insists that the hash which a password was checked against is still the one in force. The account's lock is held,
/// so nothing changes it until the transaction ends.
pub(crate) async fn require(tx: &Transaction, user_id: UserId, hash: &str) -> Result<(), Error> {
    let current: Option<TextRow> =
        tx.optional("SELECT password_hash AS value FROM users WHERE id = $1", [text(user_id)]).await?;
    match current {
        Some(current) if current.value == hash => Ok(()),
        _ => Err(Error::PasswordChanged),
    }
}

/// Voids all that opens something for this person: links, and a change of address that waits.
pub(crate) async fn void_links(tx: &Transaction, user_id: UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute("DELETE FROM links WHERE user_id = $1 AND used_at IS NULL", [text(user_id)]).await?;
    email_changes::void(tx, user_id, at).await
}

impl Store {
    /// The hash of a user's password.
    pub async fn find_password_hash(&self, user_id: UserId) -> Result<Option<String>, Error> {
        let row: Option<TextRow> = self
            .reader()
            .optional("SELECT password_hash AS value FROM users WHERE id = $1", [text(user_id)])
            .await?;
        Ok(row.map(|row| row.value))
    }

    /// Changes a password. Every session of that user ends, the one that asks goes on as `seed`, and the user's links
    /// are void.
    pub async fn change_password(
        &self,
        asked: PasswordChange<'_>,
        seed: SessionSeed,
        change: Change,
        event: NewEvent,
    ) -> Result<(), Error> {
        let PasswordChange { account_id, user_id, session, old_hash, new_hash } = asked;
        let tx = self.begin().await?;
        accounts::lock(&tx, account_id).await?;
        // Whoever was signed out everywhere a moment ago must not come back through this door.
        let ended = tx
            .execute(
                "DELETE FROM sessions WHERE digest = $1 AND user_id = $2",
                [digest(&session), text(user_id)],
            )
            .await?;
        if ended == 0 {
            return Err(Error::NotFound);
        }
        require(&tx, user_id, old_hash).await?;
        tx.execute("UPDATE users SET password_hash = $2 WHERE id = $1", [text(user_id), text(new_hash)])
            .await?;
        tx.execute("DELETE FROM sessions WHERE user_id = $1", [text(user_id)]).await?;
        void_links(&tx, user_id, change.at).await?;
        sessions::insert(&tx, &NewSession { seed, account_id, user_id: Some(user_id) }, &change).await?;
        let user = users::find(&tx, user_id).await?.ok_or(Error::NotFound)?;
        let told = email_changes::mail(MailKind::PasswordChanged, &event, &user, &user.email, "");
        outbox::enqueue(&tx, &told, &change).await?;
        audit::append(&tx, &change, &[event]).await?;
        tx.commit().await
    }
}
