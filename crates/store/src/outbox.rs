//! Mail to be sent: written with the change that it tells of, taken by one sender at a time, kept until the mail
//! server has it. An installation that sends no mail puts none aside.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::mail::{DueMail, MailBacklog, MailContent, MailKind, NamedKey, NewMail};
use rndrkit_domain::notification::NotificationKind;
use rndrkit_domain::time::Timestamp;
use sea_orm::{DbBackend, FromQueryResult};

use crate::audit::{EVENT_BY_ID, EventRow};
use crate::change::Change;
use crate::error::Error;
use crate::keys::newest_mask;
use crate::open::Store;
use crate::recipients::RECIPIENTS_MAX;
use crate::sql::{NumberRow, Transaction};
use crate::value::{count, optional_text, read_count, read_time, text, time};
use crate::week;

/// The most mails of one account in an hour. Who makes and deletes keys in a loop, with somebody else's address on
/// the account, must not be able to fill that somebody's mailbox; what is not mailed is still in the trail.
const MAILS_PER_HOUR: i64 = 100;
/// The most links to confirm an address that one account causes in an hour: they go where nobody has agreed to yet.
const CONFIRMATIONS_PER_HOUR: i64 = 5;
/// The hour of these limits.
const HOUR_MS: i64 = 3_600_000;
/// The longest error that is kept.
const ERROR_CHARS_MAX: usize = 500;

/// Wanted, by the account's choice or else by the default, and not too many in the last hour.
macro_rules! wanted {
    () => {
        "COALESCE((SELECT by_email FROM notification_settings
                   WHERE account_id = $3 AND kind = $2), $5) = 1
         AND (SELECT count(*) FROM outbox WHERE account_id = $3 AND created_at > $6) < $7"
    };
}

/// One row for each of the [recipients](crate::recipients); `$8` is the one person if it is only one.
const TELL_USERS: &str = concat!(
    "INSERT INTO outbox (id, account_id, user_id, kind, event_id, recipient, created_at, due_at)
     SELECT $1 || '.' || id, account_id, id, $2, $1, email, $4, $4 FROM users
     WHERE account_id = $3 AND ($8 IS NULL OR id = $8) AND ",
    wanted!(),
    " ORDER BY created_at, id LIMIT $9 ON CONFLICT (id) DO NOTHING"
);

/// The account's own address, while nobody has joined it.
const TELL_ACCOUNT: &str = concat!(
    "INSERT INTO outbox (id, account_id, kind, event_id, recipient, created_at, due_at)
     SELECT $1 || '.' || id, id, $2, $1, email, $4, $4 FROM accounts
     WHERE id = $3 AND email IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users WHERE account_id = $3) AND ",
    wanted!(),
    " ON CONFLICT (id) DO NOTHING"
);

/// Puts aside the mail that tells of an event, if it is news that the account wants.
pub(crate) async fn enqueue_event(tx: &Transaction, event: &NewEvent) -> Result<(), Error> {
    let (true, Some(kind), Some(account_id)) =
        (tx.sends_mail(), NotificationKind::of_event(event), event.account_id)
    else {
        return Ok(());
    };
    let only = kind.only_user(event);
    let shared = [
        text(event.id),
        text(kind.as_str()),
        text(account_id),
        time(event.at),
        i64::from(kind.on_by_default()).into(),
        (event.at.unix_ms() - HOUR_MS).into(),
        MAILS_PER_HOUR.into(),
    ];
    let told = tx
        .execute(TELL_USERS, shared.clone().into_iter().chain([optional_text(only), RECIPIENTS_MAX.into()]))
        .await?;
    if told == 0 && only.is_none() {
        tx.execute(TELL_ACCOUNT, shared).await?;
    }
    Ok(())
}

/// Puts aside a mail that no event becomes by itself. Whether it will be sent: not when this installation sends
/// none, nor when the account has caused too many of this kind. The account's lock is held.
pub(crate) async fn enqueue(tx: &Transaction, mail: &NewMail, change: &Change) -> Result<bool, Error> {
    if !tx.sends_mail() {
        return Ok(false);
    }
    let recent: NumberRow = tx
        .one(
            "SELECT count(*) AS value FROM outbox WHERE account_id = $1 AND kind = $2 AND created_at > $3",
            [text(mail.account_id), text(mail.kind.as_str()), (change.at.unix_ms() - HOUR_MS).into()],
        )
        .await?;
    let limit = match mail.kind {
        MailKind::EmailConfirmation | MailKind::EmailInUse => CONFIRMATIONS_PER_HOUR,
        MailKind::EmailChangeAsked
        | MailKind::EmailChanged
        | MailKind::PasswordChanged
        | MailKind::News(_) => MAILS_PER_HOUR,
    };
    if recent.value >= limit {
        return Ok(false);
    }
    let to = mail.user_id.map_or_else(|| mail.account_id.to_string(), |user| user.to_string());
    // The kind is part of it: one event may also be news to the same person.
    insert(tx, &format!("{}.{}.{to}", mail.event_id, mail.kind.as_str()), mail, change.at).await?;
    Ok(true)
}

/// Writes a row unless it is there.
pub(crate) async fn insert(tx: &Transaction, id: &str, mail: &NewMail, at: Timestamp) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO outbox (id, account_id, user_id, kind, payload, recipient, created_at, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (id) DO NOTHING",
        [
            text(id),
            text(mail.account_id),
            optional_text(mail.user_id),
            text(mail.kind.as_str()),
            text(&mail.payload),
            text(&mail.recipient),
            time(at),
        ],
    )
    .await?;
    Ok(())
}

/// Everything that an account was or would be told.
pub(crate) async fn erase(tx: &Transaction, account_id: AccountId) -> Result<(), Error> {
    tx.execute("DELETE FROM outbox WHERE account_id = $1", [text(account_id)]).await?;
    tx.execute("DELETE FROM notification_settings WHERE account_id = $1", [text(account_id)]).await?;
    tx.execute("DELETE FROM told_once WHERE account_id = $1", [text(account_id)]).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct ClaimedRow {
    id: String,
    account_id: String,
    kind: String,
    event_id: Option<String>,
    payload: Option<String>,
    recipient: String,
    created_at: i64,
    attempts: i64,
}

#[derive(FromQueryResult)]
struct NameRow {
    name: Option<String>,
}

#[derive(FromQueryResult)]
struct NamedKeyRow {
    name: String,
    mask: String,
}

/// Takes what is due longest. Whoever else looks at the same time takes another.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE outbox SET due_at = $2, attempts = attempts + 1
             WHERE id = (SELECT id FROM outbox
                         WHERE sent_at IS NULL AND given_up_at IS NULL AND due_at <= $1
                         ORDER BY due_at, id LIMIT 1",
            $lock,
            ") RETURNING id, account_id, kind, event_id, payload, recipient, created_at, attempts"
        )
    };
}
const CLAIM_ON_SQLITE: &str = claim!("");
const CLAIM_ON_POSTGRES: &str = claim!(" FOR UPDATE SKIP LOCKED");

impl Store {
    /// Takes one mail that is due at `now`. It is due again at `again_at`, unless it is marked before: whoever took
    /// it may have died.
    pub async fn claim_mail(&self, now: Timestamp, again_at: Timestamp) -> Result<Option<DueMail>, Error> {
        let statement = match self.writer().backend() {
            DbBackend::Postgres => CLAIM_ON_POSTGRES,
            _ => CLAIM_ON_SQLITE,
        };
        // In a transaction, because a statement that gives rows may fail to be committed after it gave them (a full
        // disk), and nobody would hear of it: the mail would be sent, and be due again at once.
        let tx = self.begin().await?;
        let row: Option<ClaimedRow> = tx.optional(statement, [time(now), time(again_at)]).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let name: Option<NameRow> = self
            .reader()
            .optional("SELECT name FROM accounts WHERE id = $1", [text(&row.account_id)])
            .await?;
        // The row is taken already: what does not read must be put off and given up like the rest.
        let content = match self.read_content(&row).await {
            Err(error @ (Error::Corrupt(_) | Error::Database(_))) => {
                MailContent::Unreadable(error.to_string())
            }
            content => content?,
        };
        Ok(Some(DueMail {
            kind: MailKind::parse(&row.kind),
            id: row.id,
            account_name: name.and_then(|row| row.name).unwrap_or_default(),
            recipient: row.recipient,
            created_at: read_time(row.created_at),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            content,
        }))
    }

    async fn read_content(&self, row: &ClaimedRow) -> Result<MailContent, Error> {
        let kind = MailKind::parse(&row.kind).ok_or_else(|| Error::corrupt("a mail's kind"))?;
        match (kind, &row.event_id, &row.payload) {
            (MailKind::EmailConfirmation, _, Some(url)) => self.read_link(row, url).await,
            (
                MailKind::EmailInUse
                | MailKind::EmailChangeAsked
                | MailKind::EmailChanged
                | MailKind::PasswordChanged,
                _,
                Some(_),
            ) => Ok(MailContent::Plain),
            (MailKind::News(NotificationKind::WeeklySummary), _, Some(written)) => week::read(written),
            (MailKind::News(_), Some(event), _) => self.read_event(event).await,
            _ => Ok(MailContent::Gone),
        }
    }

    /// A link that was cancelled, replaced or used meanwhile is not sent.
    async fn read_link(&self, row: &ClaimedRow, url: &str) -> Result<MailContent, Error> {
        let end: Option<NumberRow> = self
            .reader()
            .optional(
                "SELECT expires_at AS value FROM email_changes
                 WHERE account_id = $1 AND email = $2 AND created_at = $3 AND used_at IS NULL LIMIT 1",
                [text(&row.account_id), text(&row.recipient), row.created_at.into()],
            )
            .await?;
        Ok(end.map_or(MailContent::Gone, |end| MailContent::Link {
            url: url.to_owned(),
            works_until: read_time(end.value),
        }))
    }

    async fn read_event(&self, id: &str) -> Result<MailContent, Error> {
        let row: Option<EventRow> = self.reader().optional(EVENT_BY_ID, [text(id)]).await?;
        let Some(row) = row else { return Ok(MailContent::Gone) };
        let (_, event) = row.into_event()?;
        let key: Option<NamedKeyRow> = self
            .reader()
            .optional(
                concat!("SELECT k.name, ", newest_mask!(), " FROM api_keys AS k WHERE k.id = $1"),
                [text(&event.target_id)],
            )
            .await?;
        let key = key.map(|row| NamedKey { name: row.name, mask: row.mask });
        Ok(MailContent::Event(Box::new(event), key))
    }

    /// The mail server has it. What it said is forgotten.
    pub async fn mark_mail_sent(&self, id: &str, at: Timestamp) -> Result<(), Error> {
        self.writer()
            .execute(
                "UPDATE outbox SET sent_at = $2, given_up_at = NULL, payload = NULL, last_error = NULL
                 WHERE id = $1 AND sent_at IS NULL",
                [text(id), time(at)],
            )
            .await?;
        Ok(())
    }

    /// It did not go. The next attempt is at `again_at`; another sender's attempt since is left alone.
    pub async fn mark_mail_failed(
        &self,
        mail: &DueMail,
        again_at: Timestamp,
        why: &str,
    ) -> Result<(), Error> {
        self.writer()
            .execute(
                "UPDATE outbox SET due_at = $3, last_error = $4
                 WHERE id = $1 AND attempts = $2 AND sent_at IS NULL AND given_up_at IS NULL",
                [text(&mail.id), i64::from(mail.attempts).into(), time(again_at), text(cut(why))],
            )
            .await?;
        Ok(())
    }

    /// It will never go. What it said is forgotten.
    pub async fn mark_mail_given_up(&self, mail: &DueMail, at: Timestamp, why: &str) -> Result<(), Error> {
        self.writer()
            .execute(
                "UPDATE outbox SET given_up_at = $3, payload = NULL, last_error = $4
                 WHERE id = $1 AND attempts = $2 AND sent_at IS NULL AND given_up_at IS NULL",
                [text(&mail.id), i64::from(mail.attempts).into(), time(at), text(cut(why))],
            )
            .await?;
        Ok(())
    }

    /// What is neither sent nor given up.
    pub async fn mail_backlog(&self) -> Result<MailBacklog, Error> {
        let row: NumberRow = self
            .reader()
            .one("SELECT count(*) AS value FROM outbox WHERE sent_at IS NULL AND given_up_at IS NULL", [])
            .await?;
        Ok(MailBacklog { waiting: read_count(row.value)? })
    }

    /// Drops mail written before `before`, sent or not, at most `batch`; how many went.
    pub async fn prune_outbox(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM outbox WHERE id IN
                     (SELECT id FROM outbox WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
                [time(before), count(u64::from(batch))],
            )
            .await
    }
}

fn cut(why: &str) -> String {
    why.chars().take(ERROR_CHARS_MAX).collect()
}
