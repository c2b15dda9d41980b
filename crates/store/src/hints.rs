//! Facts behind the dashboard's hints, added up by the database: a page must not read a day of rows for one line.

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::UsagePeriod;
use sea_orm::FromQueryResult;

use crate::error::Error;
use crate::open::Store;
use crate::sql::TextRow;
use crate::value::{count, read_count, read_id, text, time};

/// The most keys that are named as used from many networks: more than plans allow, and each is looked into.
const MAX_KEYS: u64 = 20;

/// What the minutes of an account had at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinutePeak {
    /// Requests let through in the busiest minute, over all keys.
    pub allowed: u64,
    /// Requests refused in all of the minutes because the budget was spent.
    pub limited: u64,
}

#[derive(FromQueryResult)]
struct PeakRow {
    allowed: i64,
    limited: i64,
}

impl Store {
    /// The busiest minute of an account among those that begin from `since` on.
    pub async fn minute_peak(&self, account_id: AccountId, since: Timestamp) -> Result<MinutePeak, Error> {
        // PostgreSQL adds up whole numbers to a type of its own.
        let row: PeakRow = self
            .reader()
            .one(
                "SELECT CAST(COALESCE(max(allowed), 0) AS BIGINT) AS allowed,
                        CAST(COALESCE(sum(limited), 0) AS BIGINT) AS limited
                 FROM (SELECT sum(allowed) AS allowed, sum(limited) AS limited FROM usage
                       WHERE account_id = $1 AND period = $2 AND starts_at >= $3
                       GROUP BY starts_at) AS minutes",
                [text(account_id), text(UsagePeriod::Minute.as_str()), time(since)],
            )
            .await?;
        Ok(MinutePeak { allowed: read_count(row.allowed)?, limited: read_count(row.limited)? })
    }

    /// Keys of an account that were used from more than `networks` networks since then, an hour or a day apart.
    pub async fn list_keys_beyond_networks(
        &self,
        account_id: AccountId,
        since: Timestamp,
        networks: u64,
    ) -> Result<Vec<KeyId>, Error> {
        let rows: Vec<TextRow> = self
            .reader()
            .all(
                "SELECT key_id AS value FROM key_networks WHERE account_id = $1 AND slot >= $2
                 GROUP BY key_id HAVING count(DISTINCT network) > $3 ORDER BY key_id LIMIT $4",
                [text(account_id), time(since), count(networks), count(MAX_KEYS)],
            )
            .await?;
        rows.iter().map(|row| read_id(&row.value)).collect()
    }
}
