//! The processes that serve this database. While a node stands alone there is one row at most; a row that
//! is still there at the next start was left behind by a process that did not stop in order.

use rndrkit_domain::time::Timestamp;

use crate::error::Error;
use crate::open::Store;
use crate::value::{text, time};

impl Store {
    /// Registers this process in place of all others; whether there were any. Repeating it finds none. Call it
    /// only while holding the right to serve.
    pub async fn replace_nodes(
        &self,
        incarnation: &str,
        version: &str,
        trust_ms: i64,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let left_behind =
            tx.execute("DELETE FROM nodes WHERE incarnation <> $1", [text(incarnation)]).await? > 0;
        tx.execute(
            "INSERT INTO nodes (incarnation, name, beat, applied, version, trust_ms, started_at, seen_at)
             VALUES ($1, '', '', 0, $2, $3, $4, $4)
             ON CONFLICT (incarnation) DO UPDATE SET seen_at = excluded.seen_at",
            [text(incarnation), text(version), trust_ms.into(), time(at)],
        )
        .await?;
        tx.commit().await?;
        Ok(left_behind)
    }

    /// Takes this process's row away: it has stopped deciding.
    pub async fn remove_node(&self, incarnation: &str) -> Result<(), Error> {
        self.writer().execute("DELETE FROM nodes WHERE incarnation = $1", [text(incarnation)]).await?;
        Ok(())
    }
}
