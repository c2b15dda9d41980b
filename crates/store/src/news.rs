//! News that no call of anybody brings: keys about to end or long unused, limits reached, the week's summary. Each
//! is told once, however many nodes find it: who writes its name into `told_once` first tells it.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::{AccountId, KeyId, UserId};
use rndrkit_domain::mail::{KeyWeek, MailKind, NamedKey, NewMail, WeeklySummary};
use rndrkit_domain::notification::NotificationKind;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::audit;
use crate::change::Change;
use crate::error::Error;
use crate::keys::newest_mask;
use crate::open::Store;
use crate::outbox;
use crate::recipients;
use crate::sql::Transaction;
use crate::value::{count, optional_text, read_count, read_id, read_optional_time, read_time, text, time};
use crate::week;

/// Active keys of one account that a summary adds up. Plans allow fewer.
const SUMMARY_KEYS: i64 = 1_000;
/// One UTC day.
const DAY_MS: i64 = 86_400_000;

/// A key that ends soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndingKey {
    /// The key.
    pub key_id: KeyId,
    /// Whose it is.
    pub account_id: AccountId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// How long a key was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestingKey {
    /// The key.
    pub key_id: KeyId,
    /// Whose it is.
    pub account_id: AccountId,
    /// When it was last used; when it was made, if never.
    pub since: Timestamp,
    /// Whether it was ever used.
    pub was_used: bool,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReachedLimit {
    /// Whose.
    pub account_id: AccountId,
    /// The first minute of the day in which requests were refused for it, as far as was looked.
    pub minute: Timestamp,
}

impl EndingKey {
    /// The name of this news: another end makes other news.
    #[must_use]
    pub fn name(&self, days: u32) -> String {
        format!("{}{}.{}", ending(days), self.key_id, self.expires_at.unix_ms())
    }
}

impl RestingKey {
    /// The name of this news: a use in between makes other news.
    #[must_use]
    pub fn name(&self, days: u32) -> String {
        format!("key_unused.{days}.{}.{}", self.key_id, self.since.unix_ms())
    }
}

impl ReachedLimit {
    /// The name of this news: one for each day.
    #[must_use]
    pub fn name(&self) -> String {
        format!("limit_reached.{}.{}", self.account_id, self.minute.unix_ms() / DAY_MS)
    }
}

fn ending(days: u32) -> String {
    format!("key_expiring.{days}.")
}

fn weekly(to: Timestamp) -> String {
    format!("weekly_summary.{}.", to.unix_ms())
}

#[derive(FromQueryResult)]
struct EndingRow {
    id: String,
    account_id: String,
    expires_at: i64,
}

#[derive(FromQueryResult)]
struct RestingRow {
    id: String,
    account_id: String,
    created_at: i64,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
    expires_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct LimitRow {
    account_id: String,
    minute: i64,
}

#[derive(FromQueryResult)]
struct IdRow {
    id: String,
}

#[derive(FromQueryResult)]
struct WeekRow {
    name: String,
    mask: String,
    allowed: i64,
    limited: i64,
    refused: i64,
}

impl Store {
    /// Keys of working accounts that end after `after` and not later than `until`, of which that was not told yet
    /// under this number of days. Keys that lived shorter from the start are left out: their owner has just
    /// chosen that.
    pub async fn list_ending_keys(
        &self,
        days: u32,
        (after, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<EndingKey>, Error> {
        let rows: Vec<EndingRow> = self
            .reader()
            .all(
                "SELECT k.id, k.account_id, k.expires_at FROM api_keys AS k
                 JOIN accounts AS a ON a.id = k.account_id AND a.status = 'active'
                 WHERE k.revoked_at IS NULL AND k.expires_at > $1 AND k.expires_at <= $2
                   AND k.created_at <= k.expires_at - $3
                   AND NOT EXISTS (SELECT 1 FROM told_once
                                   WHERE name = $4 || k.id || '.' || CAST(k.expires_at AS TEXT))
                 ORDER BY k.expires_at, k.id LIMIT $5",
                [
                    time(after),
                    time(until),
                    (i64::from(days) * DAY_MS).into(),
                    text(ending(days)),
                    count(u64::from(limit)),
                ],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(EndingKey {
                    key_id: read_id(&row.id)?,
                    account_id: read_id(&row.account_id)?,
                    expires_at: read_time(row.expires_at),
                })
            })
            .collect()
    }

    /// Keys by id, whatever their state, behind `after`: one page of a walk through all of them.
    pub async fn walk_keys(&self, after: Option<KeyId>, limit: u32) -> Result<Vec<RestingKey>, Error> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<RestingRow> = self
            .reader()
            .all(
                "SELECT k.id, k.account_id, k.created_at, k.revoked_at, k.expires_at,
                        (SELECT max(u.last_used_at) FROM key_usage AS u WHERE u.key_id = k.id) AS last_used_at
                 FROM api_keys AS k WHERE k.id > $1 ORDER BY k.id LIMIT $2",
                [text(after), count(u64::from(limit))],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RestingKey {
                    key_id: read_id(&row.id)?,
                    account_id: read_id(&row.account_id)?,
                    since: read_time(row.last_used_at.unwrap_or(row.created_at)),
                    was_used: row.last_used_at.is_some(),
                    revoked_at: read_optional_time(row.revoked_at),
                    expires_at: read_optional_time(row.expires_at),
                })
            })
            .collect()
    }

    /// Working accounts whose requests were refused for their limit since `since`, of which that was not told
    /// yet for that day.
    pub async fn list_reached_limits(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<ReachedLimit>, Error> {
        let rows: Vec<LimitRow> = self
            .reader()
            .all(
                "SELECT u.account_id, min(u.starts_at) AS minute FROM usage AS u
                 JOIN accounts AS a ON a.id = u.account_id AND a.status = 'active' AND a.deleted_at IS NULL
                 WHERE u.period = 'minute' AND u.limited > 0 AND u.starts_at >= $1
                   AND NOT EXISTS (
                       SELECT 1 FROM told_once WHERE name = 'limit_reached.' || u.account_id || '.'
                           || CAST(u.starts_at / 86400000 AS TEXT))
                 GROUP BY u.account_id, u.starts_at / 86400000 ORDER BY u.account_id, minute LIMIT $2",
                [time(since), count(u64::from(limit))],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ReachedLimit { account_id: read_id(&row.account_id)?, minute: read_time(row.minute) })
            })
            .collect()
    }

    /// Tells news of a working account, unless it was told before under this name. Whether this call did.
    pub async fn tell_once(
        &self,
        name: &str,
        account_id: AccountId,
        change: Change,
        event: NewEvent,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        if !lock_working(&tx, account_id).await? || !claim(&tx, name, Some(account_id), change.at).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        audit::append(&tx, &change, &[event]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a name that stands for work of this whole installation. Whether it was free: of several nodes one
    /// does the work.
    pub async fn claim_once(&self, name: &str, at: Timestamp) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let claimed = claim(&tx, name, None, at).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Working accounts that want a summary of the week up to `to` and have none yet.
    pub async fn list_accounts_without_summary(
        &self,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<AccountId>, Error> {
        let rows: Vec<IdRow> = self
            .reader()
            .all(
                "SELECT a.id FROM notification_settings AS n
                 JOIN accounts AS a ON a.id = n.account_id AND a.status = 'active' AND a.deleted_at IS NULL
                 WHERE n.kind = 'weekly_summary' AND n.by_email = 1
                   AND NOT EXISTS (SELECT 1 FROM told_once WHERE name = $1 || a.id)
                 ORDER BY a.id LIMIT $2",
                [text(weekly(to)), count(u64::from(limit))],
            )
            .await?;
        rows.iter().map(|row| read_id(&row.id)).collect()
    }

    /// Writes an account's summary of a week into the outbox, once. An account without an active key that was there in
    /// that week gets none.
    /// Whether this call wrote one.
    pub async fn write_summary(
        &self,
        account_id: AccountId,
        (from, to): (Timestamp, Timestamp),
        change: Change,
        event_id: rndrkit_domain::id::EventId,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let name = format!("{}{account_id}", weekly(to));
        if !lock_working(&tx, account_id).await? || !claim(&tx, &name, Some(account_id), change.at).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        let summary = summarize(&tx, account_id, (from, to), &change).await?;
        if !summary.keys.is_empty() && tx.sends_mail() {
            let payload = week::write(&summary);
            for (user_id, recipient) in recipients::list(&tx, account_id).await? {
                let whom = user_id.map_or_else(|| account_id.to_string(), |id: UserId| id.to_string());
                let kind = MailKind::News(NotificationKind::WeeklySummary);
                let payload = payload.clone();
                let mail = NewMail { kind, event_id, account_id, user_id, recipient, payload };
                outbox::insert(&tx, &format!("week_{}.{whom}", to.unix_ms()), &mail, change.at).await?;
            }
        }
        tx.commit().await?;
        Ok(!summary.keys.is_empty())
    }

    /// Drops names older than `before`, at most `batch`; how many went.
    pub async fn prune_told(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM told_once WHERE name IN
                     (SELECT name FROM told_once WHERE at < $1 ORDER BY at LIMIT $2)",
                [time(before), count(u64::from(batch))],
            )
            .await
    }
}

/// Locks an account that is neither deleted nor suspended; whether it is such.
async fn lock_working(tx: &Transaction, id: AccountId) -> Result<bool, Error> {
    let locked = tx
        .execute(
            "UPDATE accounts SET rev = rev WHERE id = $1 AND deleted_at IS NULL AND status = 'active'",
            [text(id)],
        )
        .await?;
    Ok(locked > 0)
}

/// Writes the name if it is not there; of several that try, one succeeds.
async fn claim(
    tx: &Transaction,
    name: &str,
    account_id: Option<AccountId>,
    at: Timestamp,
) -> Result<bool, Error> {
    let written = tx
        .execute(
            "INSERT INTO told_once (name, account_id, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            [text(name), optional_text(account_id), time(at)],
        )
        .await?;
    Ok(written > 0)
}

async fn summarize(
    tx: &Transaction,
    account_id: AccountId,
    (from, to): (Timestamp, Timestamp),
    change: &Change,
) -> Result<WeeklySummary, Error> {
    // PostgreSQL adds up to numbers of any length.
    let rows: Vec<WeekRow> = tx
        .all(
            concat!(
                "SELECT k.name, ",
                newest_mask!(),
                ",
                    CAST(COALESCE(sum(u.allowed), 0) AS BIGINT) AS allowed,
                    CAST(COALESCE(sum(u.limited), 0) AS BIGINT) AS limited,
                    CAST(COALESCE(sum(u.refused), 0) AS BIGINT) AS refused
             FROM api_keys AS k LEFT JOIN usage AS u
                 ON u.key_id = k.id AND u.period = 'day' AND u.starts_at >= $2 AND u.starts_at < $3
             WHERE k.account_id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $4)
                AND k.created_at < $3
             GROUP BY k.id, k.name ORDER BY 3 DESC, k.name, k.id LIMIT $5"
            ),
            [text(account_id), time(from), time(to), time(change.at), SUMMARY_KEYS.into()],
        )
        .await?;
    let more = rows.len().saturating_sub(week::KEYS_MAX);
    let keys = rows.into_iter().take(week::KEYS_MAX).map(|row| {
        Ok(KeyWeek {
            key: NamedKey { name: row.name, mask: row.mask },
            allowed: read_count(row.allowed)?,
            limited: read_count(row.limited)?,
            refused: read_count(row.refused)?,
        })
    });
    let keys = keys.collect::<Result<_, Error>>()?;
    Ok(WeeklySummary { from, to, keys, more_keys: u32::try_from(more).unwrap_or(u32::MAX) })
}
