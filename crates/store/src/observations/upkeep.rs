//! Forgetting what was observed: on time, and with its account.

use rndrkit_domain::id::AccountId;
use rndrkit_domain::time::Timestamp;

use crate::error::Error;
use crate::open::Store;
use crate::sql::{NumberRow, Transaction};
use crate::value::{count, text, time};

/// Erases all that was observed of an account.
pub(crate) async fn erase(tx: &Transaction, account_id: AccountId) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM secret_hours WHERE digest IN (
             SELECT s.digest FROM key_secrets AS s JOIN api_keys AS k ON k.id = s.key_id
             WHERE k.account_id = $1)",
        [text(account_id)],
    )
    .await?;
    tx.execute("DELETE FROM sightings WHERE account_id = $1", [text(account_id)]).await?;
    tx.execute("DELETE FROM key_networks WHERE account_id = $1", [text(account_id)]).await?;
    tx.execute("DELETE FROM refusals WHERE account_id = $1", [text(account_id)]).await?;
    Ok(())
}

impl Store {
    /// Drops networks from before their moment, at most `batch`; how many went.
    pub async fn prune_networks(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM key_networks WHERE (key_id, slot, network) IN
                     (SELECT key_id, slot, network FROM key_networks WHERE slot < $1 ORDER BY slot LIMIT $2)",
                [time(before), count(u64::from(batch))],
            )
            .await
    }

    /// Drops refusals from before their moment, at most `batch`; how many went.
    pub async fn prune_refusals(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM refusals WHERE (account_id, request_id) IN
                     (SELECT account_id, request_id FROM refusals WHERE at < $1 ORDER BY at LIMIT $2)",
                [time(before), count(u64::from(batch))],
            )
            .await
    }

    /// Drops sightings of secrets that nobody has presented since, at most `batch`; how many went.
    pub async fn prune_sightings(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        // No index has the time: it would be written with each sighting. So it is looked for without a lock first, and
        // not often: see the caller.
        let old: NumberRow = self
            .reader()
            .one(
                "SELECT count(*) AS value FROM (SELECT 1 AS one FROM sightings WHERE at < $1 LIMIT 1) AS old",
                [time(before)],
            )
            .await?;
        if old.value == 0 {
            return Ok(0);
        }
        self.writer()
            .execute(
                "DELETE FROM sightings WHERE digest IN (SELECT digest FROM sightings WHERE at < $1 LIMIT $2)",
                [time(before), count(u64::from(batch))],
            )
            .await
    }

    /// Erases what was written about accounts at the very moment at which they were deleted, those deleted since
    /// then; how many rows went.
    pub async fn sweep_observations(&self, deleted_since: Timestamp) -> Result<u64, Error> {
        const DELETED: [&str; 4] = [
            "DELETE FROM secret_hours WHERE digest IN (
                 SELECT s.digest FROM accounts AS a
                 JOIN api_keys AS k ON k.account_id = a.id JOIN key_secrets AS s ON s.key_id = k.id
                 WHERE a.deleted_at >= $1)",
            "DELETE FROM sightings WHERE account_id IN (SELECT id FROM accounts WHERE deleted_at >= $1)",
            "DELETE FROM key_networks WHERE account_id IN (SELECT id FROM accounts WHERE deleted_at >= $1)",
            "DELETE FROM refusals WHERE account_id IN (SELECT id FROM accounts WHERE deleted_at >= $1)",
        ];
        let mut swept = 0;
        for statement in DELETED {
            swept += self.writer().execute(statement, [time(deleted_since)]).await?;
        }
        Ok(swept)
    }
}
