//! Every key prefix that this installation has used: a new prefix revokes nothing.

use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::time::Timestamp;

use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::open::Store;
use crate::sql::{NumberRow, TextRow};
use crate::value::{read, read_time, text, time};

/// The most prefixes that are read: parsing tries each.
const MAX_PREFIXES: i64 = 100;

impl Store {
    /// Remembers a prefix. A new one has a number of its own: before a node has applied it, the node would call
    /// a key with that prefix malformed. One that is known already answers with the newest number of all.
    pub async fn ensure_prefix(&self, prefix: &KeyPrefix, change: Change) -> Result<Committed<()>, Error> {
        let tx = self.begin().await?;
        let added = tx
            .execute(
                "INSERT INTO key_prefixes (prefix, first_used_at) VALUES ($1, $2) ON CONFLICT (prefix) DO NOTHING",
                [text(prefix), time(change.at)],
            )
            .await?;
        if added == 0 {
            let number = feed::newest(&tx).await?;
            tx.rollback().await?;
            return Ok(Committed::unchanged((), number));
        }
        let number = feed::publish(&tx, &change, News::of_set(FeedKind::Prefixes)).await?;
        tx.commit().await?;
        Ok(Committed::done((), number))
    }

    /// Since when a prefix is stored. One that was lost and stored again is so since another time.
    pub async fn prefix_since(&self, prefix: &KeyPrefix) -> Result<Option<Timestamp>, Error> {
        let row: Option<NumberRow> = self
            .reader()
            .optional("SELECT first_used_at AS value FROM key_prefixes WHERE prefix = $1", [text(prefix)])
            .await?;
        Ok(row.map(|row| read_time(row.value)))
    }

    /// Every prefix, newest first.
    pub async fn list_prefixes(&self) -> Result<Vec<KeyPrefix>, Error> {
        let rows: Vec<TextRow> = self
            .reader()
            .all(
                "SELECT prefix AS value FROM key_prefixes ORDER BY first_used_at DESC, prefix LIMIT $1",
                [MAX_PREFIXES.into()],
            )
            .await?;
        rows.iter().map(|row| read(KeyPrefix::parse(&row.value), "a key prefix")).collect()
    }
}
