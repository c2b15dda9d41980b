//! Counted use and last use. Added up by the caller, written in bulk, never read by a decision.

use std::collections::BTreeMap;

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{
    AnswerCounts, KeyUsage, LastUse, UsageCounts, UsageDelta, UsagePeriod, UsageSum,
};
use sea_orm::{FromQueryResult, Value};

use crate::error::Error;
use crate::open::Store;
use crate::secret_hours;
use crate::sql::{TextRow, Transaction, placeholders};
use crate::value::{count, digest, read_count, read_id, read_optional_id, read_time, text, time};

/// The most keys that sums are given for one by one; a chart shows fewer.
const MAX_NAMED_KEYS: usize = 50;
/// Rows of one statement: with eleven parameters each well below SQLite's limit of 32,766.
const ROWS_PER_STATEMENT: usize = 500;

/// Key, period and start of a row; rows are written in this order, so that writers never wait in a circle.
type UsageKey = (String, &'static str, i64);

/// Sums of whole numbers are of another type than the numbers on PostgreSQL.
const SUMS: &str = "CAST(sum(allowed) AS BIGINT) AS allowed, CAST(sum(limited) AS BIGINT) AS limited,
    CAST(sum(refused) AS BIGINT) AS refused, CAST(sum(successful) AS BIGINT) AS successful,
    CAST(sum(redirection) AS BIGINT) AS redirection, CAST(sum(client_error) AS BIGINT) AS client_error,
    CAST(sum(server_error) AS BIGINT) AS server_error";

/// Stretches of period `$2` from `$3` until before `$4`, the oldest `$5` of them, of those whose column is `$1`. One
/// statement for each column, so that SQLite uses an index.
macro_rules! usage_of {
    ($column:literal) => {
        concat!(
            "SELECT key_id, starts_at, allowed, limited, refused,
                    successful, redirection, client_error, server_error FROM usage
             WHERE ",
            $column,
            " = $1 AND period = $2 AND starts_at >= $3 AND starts_at < $4 ORDER BY starts_at, key_id LIMIT $5"
        )
    };
}

#[derive(FromQueryResult)]
struct UsageRow {
    key_id: String,
    starts_at: i64,
    allowed: i64,
    limited: i64,
    refused: i64,
    successful: i64,
    redirection: i64,
    client_error: i64,
    server_error: i64,
}

impl UsageRow {
    fn counts(&self) -> Result<UsageCounts, Error> {
        let answers = AnswerCounts {
            successful: read_count(self.successful)?,
            redirection: read_count(self.redirection)?,
            client_error: read_count(self.client_error)?,
            server_error: read_count(self.server_error)?,
        };
        Ok(UsageCounts {
            allowed: read_count(self.allowed)?,
            limited: read_count(self.limited)?,
            refused: read_count(self.refused)?,
            answers,
        })
    }

    fn into_usage(self, period: UsagePeriod) -> Result<KeyUsage, Error> {
        let (key_id, starts_at) = (read_id(&self.key_id)?, read_time(self.starts_at));
        Ok(KeyUsage { key_id, period, starts_at, counts: self.counts()? })
    }

    fn into_sum(self) -> Result<UsageSum, Error> {
        let key_id = Some(self.key_id.as_str()).filter(|id| !id.is_empty());
        let (key_id, starts_at) = (read_optional_id(key_id)?, read_time(self.starts_at));
        Ok(UsageSum { key_id, starts_at, counts: self.counts()? })
    }
}

impl Store {
    /// Adds counts to their minute, hour and day, moves last uses forwards, and notes the hours of secrets.
    pub async fn record_usage(&self, deltas: &[UsageDelta], last_uses: &[LastUse]) -> Result<(), Error> {
        if deltas.is_empty() && last_uses.is_empty() {
            return Ok(());
        }
        let counts: Vec<_> = summed(deltas).into_iter().collect();
        let hours = secret_hours::summed(last_uses);
        let last_uses: Vec<_> = newest(last_uses).into_iter().collect();
        let tx = self.begin().await?;
        for rows in counts.chunks(ROWS_PER_STATEMENT) {
            add_counts(&tx, rows).await?;
        }
        for rows in last_uses.chunks(ROWS_PER_STATEMENT) {
            move_last_uses(&tx, rows).await?;
        }
        for rows in hours.chunks(ROWS_PER_STATEMENT) {
            secret_hours::add(&tx, rows).await?;
        }
        tx.commit().await
    }

    /// What an account's keys did in the stretches that begin from `from` until before `to`, the oldest `limit`
    /// of them, by start and key.
    pub async fn list_usage(
        &self,
        account_id: AccountId,
        period: UsagePeriod,
        (from, to): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<KeyUsage>, Error> {
        let rows: Vec<UsageRow> = self
            .reader()
            .all(
                usage_of!("account_id"),
                [text(account_id), text(period.as_str()), time(from), time(to), count(u64::from(limit))],
            )
            .await?;
        rows.into_iter().map(|row| row.into_usage(period)).collect()
    }

    /// What one key did in the stretches that begin from `from` until before `to`, the oldest `limit` of them.
    pub async fn list_key_usage(
        &self,
        key_id: KeyId,
        period: UsagePeriod,
        (from, to): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<KeyUsage>, Error> {
        let rows: Vec<UsageRow> = self
            .reader()
            .all(
                usage_of!("key_id"),
                [text(key_id), text(period.as_str()), time(from), time(to), count(u64::from(limit))],
            )
            .await?;
        rows.into_iter().map(|row| row.into_usage(period)).collect()
    }

    /// The keys of an account that were used in that time, most requests first, at most `limit`.
    pub async fn list_busiest_keys(
        &self,
        account_id: AccountId,
        period: UsagePeriod,
        (from, to): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<KeyId>, Error> {
        let rows: Vec<TextRow> = self
            .reader()
            .all(
                "SELECT key_id AS value FROM usage
                 WHERE account_id = $1 AND period = $2 AND starts_at >= $3 AND starts_at < $4
                 GROUP BY key_id ORDER BY sum(allowed + limited + refused) DESC, key_id LIMIT $5",
                [text(account_id), text(period.as_str()), time(from), time(to), count(u64::from(limit))],
            )
            .await?;
        rows.iter().map(|row| read_id(&row.value)).collect()
    }

    /// What an account's keys did in each stretch of that time: `named` keys one by one (at most 50), all others
    /// together. However many keys there are, there are at most `named` + 1 sums for each stretch.
    pub async fn sum_usage(
        &self,
        account_id: AccountId,
        period: UsagePeriod,
        (from, to): (Timestamp, Timestamp),
        named: &[KeyId],
    ) -> Result<Vec<UsageSum>, Error> {
        let named = named.get(..MAX_NAMED_KEYS).unwrap_or(named);
        let mut values = vec![text(account_id), text(period.as_str()), time(from), time(to)];
        let places: Vec<String> =
            (values.len()..).take(named.len()).map(|at| format!("${}", at + 1)).collect();
        let who = if places.is_empty() {
            "''".to_owned()
        } else {
            format!("CASE WHEN key_id IN ({}) THEN key_id ELSE '' END", places.join(", "))
        };
        values.extend(named.iter().map(text));
        let sql = format!(
            "SELECT who AS key_id, starts_at, {SUMS} FROM
                 (SELECT {who} AS who, starts_at, allowed, limited, refused,
                         successful, redirection, client_error, server_error FROM usage
                  WHERE account_id = $1 AND period = $2 AND starts_at >= $3 AND starts_at < $4) AS counted
             GROUP BY who, starts_at ORDER BY starts_at, who"
        );
        let rows = self.reader().rows_built(sql, values).await?;
        rows.iter().map(|row| UsageRow::from_query_result(row, "")?.into_sum()).collect()
    }

    /// Drops counts that began before each period's moment, at most `batch` of each; how many went.
    pub async fn prune_usage(
        &self,
        minutes_before: Timestamp,
        hours_before: Timestamp,
        days_before: Timestamp,
        batch: u32,
    ) -> Result<u64, Error> {
        let periods = [
            (UsagePeriod::Minute, minutes_before),
            (UsagePeriod::Hour, hours_before),
            (UsagePeriod::Day, days_before),
        ];
        let mut dropped = 0;
        for (period, before) in periods {
            dropped += self
                .writer()
                .execute(
                    "DELETE FROM usage WHERE (key_id, period, starts_at) IN
                         (SELECT key_id, period, starts_at FROM usage
                          WHERE period = $1 AND starts_at < $2 ORDER BY starts_at LIMIT $3)",
                    [text(period.as_str()), time(before), count(u64::from(batch))],
                )
                .await?;
        }
        Ok(dropped)
    }
}

/// One row per key, period and start.
fn summed(deltas: &[UsageDelta]) -> BTreeMap<UsageKey, (AccountId, UsageCounts)> {
    let mut rows = BTreeMap::new();
    for delta in deltas {
        for period in UsagePeriod::ALL {
            let start = delta.minute.floor_to(period.length()).unix_ms();
            let key = (delta.key_id.to_string(), period.as_str(), start);
            let (_, sum) = rows.entry(key).or_insert((delta.account_id, UsageCounts::default()));
            *sum = sum.plus(delta.counts);
        }
    }
    rows
}

/// One row per secret.
fn newest(last_uses: &[LastUse]) -> BTreeMap<Digest, &LastUse> {
    let mut rows: BTreeMap<Digest, &LastUse> = BTreeMap::new();
    for last_use in last_uses {
        let newest = rows.entry(last_use.digest).or_insert(last_use);
        if newest.at < last_use.at {
            *newest = last_use;
        }
    }
    rows
}

async fn add_counts(tx: &Transaction, rows: &[(UsageKey, (AccountId, UsageCounts))]) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO usage (key_id, period, starts_at, account_id, allowed, limited, refused,
             successful, redirection, client_error, server_error) VALUES {}
         ON CONFLICT (key_id, period, starts_at) DO UPDATE SET allowed = usage.allowed + excluded.allowed,
             limited = usage.limited + excluded.limited, refused = usage.refused + excluded.refused,
             successful = usage.successful + excluded.successful,
             redirection = usage.redirection + excluded.redirection,
             client_error = usage.client_error + excluded.client_error,
             server_error = usage.server_error + excluded.server_error",
        placeholders(tx.backend(), rows.len(), 11)
    );
    let values = rows.iter().flat_map(|((key_id, period, start), (account_id, counts))| {
        [
            text(key_id),
            text(period),
            (*start).into(),
            text(account_id),
            count(counts.allowed),
            count(counts.limited),
            count(counts.refused),
            count(counts.answers.successful),
            count(counts.answers.redirection),
            count(counts.answers.client_error),
            count(counts.answers.server_error),
        ]
    });
    tx.execute_built(sql, values.collect()).await?;
    Ok(())
}

async fn move_last_uses(tx: &Transaction, rows: &[(Digest, &LastUse)]) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO key_usage (digest, key_id, last_used_at) VALUES {}
         ON CONFLICT (digest) DO UPDATE SET last_used_at = excluded.last_used_at
         WHERE key_usage.last_used_at < excluded.last_used_at",
        placeholders(tx.backend(), rows.len(), 3)
    );
    let values: Vec<Value> = rows
        .iter()
        .flat_map(|(secret, last_use)| [digest(secret), text(last_use.key_id), time(last_use.at)])
        .collect();
    tx.execute_built(sql, values).await?;
    Ok(())
}
