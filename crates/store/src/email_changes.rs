//! Changes of the address that a person signs in with: asked for, and confirmed from the new address.
//!
//! Deliberately absent: what the mail says. It goes out through the outbox, in the transaction of the asking.

use rndrkit_domain::account::User;
use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::mail::{MailKind, NewMail};
use rndrkit_domain::text::Email;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::accounts;
use crate::audit;
use crate::change::Change;
use crate::error::Error;
use crate::feed::{self, News};
use crate::open::Store;
use crate::outbox;
use crate::passwords::{self, Proven};
use crate::sql::{NumberRow, TextRow, Transaction};
use crate::users;
use crate::value::{count, digest, read, read_id, read_time, text, time};

/// A change of address about to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEmailChange {
    /// Digest of the link that confirms it.
    pub digest: Digest,
    /// The new address.
    pub email: Email,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

/// How often one person may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskingLimit {
    /// At most so often …
    pub times: u32,
    /// … since then.
    pub since: Timestamp,
}

/// A change of address that waits for its confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailChangeRecord {
    /// Whose address.
    pub user_id: UserId,
    /// Their account.
    pub account_id: AccountId,
    /// The new address.
    pub email: Email,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

/// A change of address that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedEmail {
    /// The person, with the new address.
    pub user: User,
    /// The account's own address was the same, and has changed with it.
    pub account_too: bool,
    /// Feed number of the account's change; none when only the person changed.
    pub number: Option<FeedNumber>,
}

#[derive(FromQueryResult)]
struct EmailChangeRow {
    user_id: String,
    account_id: String,
    email: String,
    created_at: i64,
    expires_at: i64,
}

impl EmailChangeRow {
    fn into_record(self) -> Result<EmailChangeRecord, Error> {
        Ok(EmailChangeRecord {
            user_id: read_id(&self.user_id)?,
            account_id: read_id(&self.account_id)?,
            email: read(Email::parse(&self.email), "the address of a change")?,
            created_at: read_time(self.created_at),
            expires_at: read_time(self.expires_at),
        })
    }
}

/// Voids what waits for this person. The rows stay until they are pruned: they are counted.
pub(crate) async fn void(tx: &Transaction, user_id: UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(
        "UPDATE email_changes SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL",
        [text(user_id), time(at)],
    )
    .await?;
    Ok(())
}

/// Whether an account's own address is that of its only user: the two are one address to them, and change together.
pub(crate) async fn is_shared(tx: &Transaction, user: &User) -> Result<bool, Error> {
    let row: NumberRow = tx
        .one(
            "SELECT count(*) AS value FROM accounts AS a JOIN users AS u ON u.account_id = a.id
             WHERE a.id = $1 AND a.email = $2",
            [text(user.account_id), text(&user.email)],
        )
        .await?;
    Ok(row.value == 1)
}

/// Whether somebody else has an address, as far as this change is concerned.
async fn is_taken(tx: &Transaction, user: &User, email: &Email) -> Result<bool, Error> {
    let by_user: Option<TextRow> =
        tx.optional("SELECT id AS value FROM users WHERE email = $1", [text(email)]).await?;
    if by_user.is_some() {
        return Ok(true);
    }
    if !is_shared(tx, user).await? {
        return Ok(false);
    }
    let by_account: Option<TextRow> =
        tx.optional("SELECT id AS value FROM accounts WHERE email = $1", [text(email)]).await?;
    Ok(by_account.is_some())
}

/// Tells a person of a change to their own address or password, which this event reports. `user` has the address that
/// they had before it: whoever reads that mailbox is who must hear.
pub(crate) async fn tell(
    tx: &Transaction,
    kind: MailKind,
    event: &NewEvent,
    user: &User,
    change: &Change,
) -> Result<(), Error> {
    outbox::enqueue(tx, &mail(kind, event, user, &user.email, ""), change).await?;
    Ok(())
}

/// Mail about a person's own address or password, beside the event that reports it.
fn mail(kind: MailKind, event: &NewEvent, user: &User, recipient: &Email, payload: &str) -> NewMail {
    NewMail {
        kind,
        event_id: event.id,
        account_id: user.account_id,
        user_id: Some(user.id),
        recipient: recipient.clone(),
        payload: payload.to_owned(),
    }
}

/// Uses a change up. Of several that try, one succeeds.
async fn consume(tx: &Transaction, link: Digest, at: Timestamp) -> Result<EmailChangeRecord, Error> {
    let row: Option<EmailChangeRow> = tx
        .optional(
            "UPDATE email_changes SET used_at = $2 WHERE digest = $1 AND used_at IS NULL AND expires_at > $2
             RETURNING user_id, account_id, email, created_at, expires_at",
            [digest(&link), time(at)],
        )
        .await?;
    row.ok_or(Error::LinkInvalid)?.into_record()
}

impl Store {
    /// Puts a change of address down, in place of any earlier one that waits, with the mail that confirms it, or says
    /// that the address is taken, and word of it to the address so far.
    pub async fn ask_email_change(
        &self,
        proven: Proven<'_>,
        new: NewEmailChange,
        link_url: &str,
        limit: AskingLimit,
        change: Change,
        event: NewEvent,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        passwords::lock_proven(&tx, &proven).await?;
        let user = users::find(&tx, proven.user_id).await?.ok_or(Error::NotFound)?;
        let asked: NumberRow = tx
            .one(
                "SELECT count(*) AS value FROM email_changes WHERE user_id = $1 AND created_at > $2",
                [text(user.id), time(limit.since)],
            )
            .await?;
        if asked.value >= i64::from(limit.times) {
            return Err(Error::TooManyEmailChanges);
        }
        let confirming = if is_taken(&tx, &user, &new.email).await? {
            mail(MailKind::EmailInUse, &event, &user, &new.email, "")
        } else {
            mail(MailKind::EmailConfirmation, &event, &user, &new.email, link_url)
        };
        void(&tx, user.id, change.at).await?;
        tx.execute(
            "INSERT INTO email_changes (digest, user_id, account_id, email, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                digest(&new.digest),
                text(user.id),
                text(user.account_id),
                text(&new.email),
                time(change.at),
                time(new.expires_at),
            ],
        )
        .await?;
        // To nobody who signs in with it yet. The account has its own bound of such mail.
        if !outbox::enqueue(&tx, &NewMail { user_id: None, ..confirming }, &change).await? {
            return Err(Error::TooManyEmailChanges);
        }
        tell(&tx, MailKind::EmailChangeAsked, &event, &user, &change).await?;
        audit::append(&tx, &change, &[event]).await?;
        tx.commit().await
    }

    /// The change that a link confirms, if it still does at `now`. Looking does not use it up.
    pub async fn find_email_change(
        &self,
        link: Digest,
        now: Timestamp,
    ) -> Result<Option<EmailChangeRecord>, Error> {
        let row: Option<EmailChangeRow> = self
            .reader()
            .optional(
                "SELECT user_id, account_id, email, created_at, expires_at FROM email_changes
                 WHERE digest = $1 AND used_at IS NULL AND expires_at > $2",
                [digest(&link), time(now)],
            )
            .await?;
        row.map(EmailChangeRow::into_record).transpose()
    }

    /// The change of address that waits for this person at `now`.
    pub async fn find_waiting_email_change(
        &self,
        user_id: UserId,
        now: Timestamp,
    ) -> Result<Option<EmailChangeRecord>, Error> {
        let row: Option<EmailChangeRow> = self
            .reader()
            .optional(
                "SELECT user_id, account_id, email, created_at, expires_at FROM email_changes
                 WHERE user_id = $1 AND used_at IS NULL AND expires_at > $2
                 ORDER BY created_at DESC LIMIT 1",
                [text(user_id), time(now)],
            )
            .await?;
        row.map(EmailChangeRow::into_record).transpose()
    }

    /// Gives up the change of address that waits.
    pub async fn cancel_email_change(&self, user: &User, change: Change) -> Result<(), Error> {
        let tx = self.begin().await?;
        accounts::lock(&tx, user.account_id).await?;
        void(&tx, user.id, change.at).await?;
        tx.commit().await
    }

    /// Changes the address as its link says. Links made before are void: they may lie in the old mailbox. `event`
    /// reports it, from the person as they were and whether the account's own address changes too.
    pub async fn confirm_email_change(
        &self,
        link: Digest,
        change: Change,
        event: impl FnOnce(&User, bool) -> NewEvent + Send,
    ) -> Result<ConfirmedEmail, Error> {
        let tx = self.begin().await?;
        let owner: Option<TextRow> = tx
            .optional(
                "UPDATE accounts SET rev = rev
                 WHERE id = (SELECT account_id FROM email_changes WHERE digest = $1) AND deleted_at IS NULL
                 RETURNING id AS value",
                [digest(&link)],
            )
            .await?;
        owner.ok_or(Error::LinkInvalid)?;
        let asked = consume(&tx, link, change.at).await?;
        let before = users::find(&tx, asked.user_id).await?.ok_or(Error::LinkInvalid)?;
        let account_too = is_shared(&tx, &before).await?;
        write(&tx, &before, &asked.email, account_too).await?;
        passwords::void_links(&tx, before.id, change.at).await?;
        let event = event(&before, account_too);
        tell(&tx, MailKind::EmailChanged, &event, &before, &change).await?;
        audit::append(&tx, &change, &[event]).await?;
        let number = if account_too {
            Some(feed::publish(&tx, &change, News::of_account(before.account_id)).await?)
        } else {
            None
        };
        tx.commit().await?;
        Ok(ConfirmedEmail { user: User { email: asked.email, ..before }, account_too, number })
    }

    /// Drops changes that have ended at `now`, used or not, at most `batch`; how many went.
    pub async fn prune_email_changes(&self, now: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM email_changes WHERE digest IN
                     (SELECT digest FROM email_changes WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                [time(now), count(u64::from(batch))],
            )
            .await
    }
}

/// Writes a person's new address, and the account's if that is the same one.
async fn write(tx: &Transaction, user: &User, email: &Email, account_too: bool) -> Result<(), Error> {
    tx.execute("UPDATE users SET email = $2 WHERE id = $1", [text(user.id), text(email)]).await?;
    if account_too {
        let account = "UPDATE accounts SET email = $2, rev = rev + 1 WHERE id = $1";
        tx.execute(account, [text(user.account_id), text(email)]).await?;
    }
    Ok(())
}

/// Changes the address that the only user of an account signs in with, when the account's own is changed and was the
/// same. Who that was, with the address as it was.
pub(crate) async fn follow_account(
    tx: &Transaction,
    account_id: AccountId,
    before: &Email,
    email: &Email,
    at: Timestamp,
) -> Result<Option<User>, Error> {
    let only: Option<TextRow> = tx
        .optional(
            "SELECT min(id) AS value FROM users WHERE account_id = $1 GROUP BY account_id HAVING count(*) = 1",
            [text(account_id)],
        )
        .await?;
    let Some(only) = only else { return Ok(None) };
    let Some(user) = users::find(tx, read_id(&only.value)?).await? else { return Ok(None) };
    if user.email != *before {
        return Ok(None);
    }
    write(tx, &user, email, false).await?;
    passwords::void_links(tx, user.id, at).await?;
    Ok(Some(user))
}
