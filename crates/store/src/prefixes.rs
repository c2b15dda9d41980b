//! Every key prefix that this installation has used: a new prefix revokes nothing.

use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::time::Timestamp;

use crate::error::Error;
use crate::open::Store;
use crate::sql::TextRow;
use crate::value::{read, text, time};

/// The most prefixes that are read: parsing tries each.
const MAX_PREFIXES: i64 = 100;

impl Store {
    /// Remembers a prefix; whether it is new to this installation.
    pub async fn ensure_prefix(&self, prefix: &KeyPrefix, at: Timestamp) -> Result<bool, Error> {
        let added = self
            .writer()
            .execute(
                "INSERT INTO key_prefixes (prefix, first_used_at) VALUES ($1, $2) ON CONFLICT (prefix) DO NOTHING",
                [text(prefix), time(at)],
            )
            .await?;
        Ok(added > 0)
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
