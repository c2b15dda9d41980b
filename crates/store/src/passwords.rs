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
use crate::sessions::{self, NewSession, SessionSeed};
use crate::sql::{NumberRow, TextRow, Transaction};
use crate::users;
use crate::value::{digest, text};

/// Somebody signed in who has typed their password once more. `Debug` is left out: it holds the hash of a password.
#[derive(Clone, Copy)]
pub struct Proven<'a> {
    /// The account.
    pub account_id: AccountId,
    /// Who it is.
    pub user_id: UserId,
    /// The session that asks. It must still run.
    pub session: Digest,
    /// The hash that the password was checked against. It must still be the one in force.
    pub hash: &'a str,
}

/// Takes the account's lock and insists that what was proven still holds. Checking a password takes a while, in which
/// somebody may be signed out everywhere or the password changed: who was put out must not come back by this door.
pub(crate) async fn lock_proven(tx: &Transaction, proven: &Proven<'_>) -> Result<(), Error> {
    accounts::lock(tx, proven.account_id).await?;
    let still_runs: Option<NumberRow> = tx
        .optional(
            "SELECT created_at AS value FROM sessions WHERE digest = $1 AND user_id = $2",
            [digest(&proven.session), text(proven.user_id)],
        )
        .await?;
    still_runs.ok_or(Error::NotFound)?;
    require(tx, proven.user_id, proven.hash).await
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
        proven: Proven<'_>,
        new_hash: &str,
        seed: SessionSeed,
        change: Change,
        event: NewEvent,
    ) -> Result<(), Error> {
        let Proven { account_id, user_id, .. } = proven;
        let tx = self.begin().await?;
        lock_proven(&tx, &proven).await?;
        tx.execute("UPDATE users SET password_hash = $2 WHERE id = $1", [text(user_id), text(new_hash)])
            .await?;
        tx.execute("DELETE FROM sessions WHERE user_id = $1", [text(user_id)]).await?;
        void_links(&tx, user_id, change.at).await?;
        let session = NewSession { seed, account_id, user_id: Some(user_id) };
        append_changed(&tx, &session, user_id, &change, event).await?;
        tx.commit().await
    }
}

/// Begins the one session that goes on with a new password, and reports and tells both: the change, and the place if
/// it is new. Whoever has taken a password over does so from there.
pub(crate) async fn append_changed(
    tx: &Transaction,
    session: &NewSession,
    user_id: UserId,
    change: &Change,
    event: NewEvent,
) -> Result<(), Error> {
    let event = sessions::marked(event, sessions::insert(tx, session, change).await?);
    let user = users::find(tx, user_id).await?.ok_or(Error::NotFound)?;
    email_changes::tell(tx, MailKind::PasswordChanged, &event, &user, change).await?;
    audit::append(tx, change, &[event]).await
}
