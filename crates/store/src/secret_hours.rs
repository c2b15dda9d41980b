//! When secrets were in use, hour by hour: what "nobody has used the old secret for so long" is judged by.

use std::collections::BTreeMap;
use std::time::Duration;

use rndrkit_domain::key_text::Digest;
use rndrkit_domain::observation::{SECRET_HOUR, SecretHour};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::LastUse;
use sea_orm::{DbBackend, FromQueryResult};

use crate::error::Error;
use crate::open::Store;
use crate::sql::{Transaction, placeholders};
use crate::value::{count, digest, read_count, read_digest, read_time, time};

/// Hours read at once: more than are kept of one secret.
const MAX_HOURS: u64 = 1_000;

#[derive(FromQueryResult)]
struct HourRow {
    digest: Vec<u8>,
    hour: i64,
    first_at: i64,
    last_at: i64,
    longest_pause_ms: i64,
}

impl HourRow {
    fn into_hour(self) -> Result<SecretHour, Error> {
        Ok(SecretHour {
            digest: read_digest(&self.digest)?,
            hour: read_time(self.hour),
            first_at: read_time(self.first_at),
            last_at: read_time(self.last_at),
            longest_pause: Duration::from_millis(read_count(self.longest_pause_ms)?),
        })
    }
}

/// One row per secret and hour, in the order in which all writers write them.
pub(crate) fn summed(last_uses: &[LastUse]) -> Vec<SecretHour> {
    let mut moments: Vec<(Digest, Timestamp)> =
        last_uses.iter().map(|last_use| (last_use.digest, last_use.at)).collect();
    moments.sort_unstable();
    let mut hours: BTreeMap<(Digest, Timestamp), SecretHour> = BTreeMap::new();
    for (digest, at) in moments {
        let hour = at.floor_to(SECRET_HOUR);
        let new = SecretHour { digest, hour, first_at: at, last_at: at, longest_pause: Duration::ZERO };
        let row = hours.entry((digest, hour)).or_insert(new);
        row.longest_pause = row.longest_pause.max(at.since(row.last_at));
        row.last_at = at;
    }
    hours.into_values().collect()
}

/// Adds to what is noted. What comes late, from a node that was slow to write, may make a pause look longer than
/// it was, and never shorter: a secret is rather called in use for too long than unused too early. Nothing is written of
/// a secret that is forgotten, or whose account is deleted; one that is deleted at this very moment is swept up by
/// [`Store::sweep_observations`].
pub(crate) async fn add(tx: &Transaction, rows: &[SecretHour]) -> Result<(), Error> {
    let (least, most) = match tx.backend() {
        DbBackend::Sqlite => ("min", "max"),
        _ => ("least", "greatest"),
    };
    let sql = format!(
        "WITH new (digest, hour, first_at, last_at, longest_pause_ms) AS (VALUES {})
         INSERT INTO secret_hours (digest, hour, first_at, last_at, longest_pause_ms)
         SELECT digest, hour, first_at, last_at, longest_pause_ms FROM new
         WHERE EXISTS (SELECT 1 FROM key_secrets AS s
                       JOIN api_keys AS k ON k.id = s.key_id
                       JOIN accounts AS a ON a.id = k.account_id AND a.deleted_at IS NULL
                       WHERE s.digest = new.digest)
         ON CONFLICT (digest, hour) DO UPDATE SET
             first_at = {least}(secret_hours.first_at, excluded.first_at),
             last_at = {most}(secret_hours.last_at, excluded.last_at),
             longest_pause_ms = {most}(secret_hours.longest_pause_ms, excluded.longest_pause_ms,
                 excluded.first_at - secret_hours.last_at, secret_hours.first_at - excluded.last_at)",
        placeholders(tx.backend(), rows.len(), 5)
    );
    let values = rows.iter().flat_map(|row| {
        let pause = count(u64::try_from(row.longest_pause.as_millis()).unwrap_or(u64::MAX));
        [digest(&row.digest), time(row.hour), time(row.first_at), time(row.last_at), pause]
    });
    tx.execute_built(sql, values.collect()).await?;
    Ok(())
}

impl Store {
    /// When a secret was in use, hour by hour, from the hour on that `since` lies in.
    pub async fn secret_hours(&self, secret: Digest, since: Timestamp) -> Result<Vec<SecretHour>, Error> {
        let rows: Vec<HourRow> = self
            .reader()
            .all(
                "SELECT digest, hour, first_at, last_at, longest_pause_ms FROM secret_hours
                 WHERE digest = $1 AND hour >= $2 ORDER BY hour LIMIT $3",
                [digest(&secret), time(since.floor_to(SECRET_HOUR)), count(MAX_HOURS)],
            )
            .await?;
        rows.into_iter().map(HourRow::into_hour).collect()
    }

    /// Drops hours that began before `before`, at most `batch`; how many went.
    pub async fn prune_secret_hours(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM secret_hours WHERE (digest, hour) IN
                     (SELECT digest, hour FROM secret_hours WHERE hour < $1 ORDER BY hour LIMIT $2)",
                [time(before), count(u64::from(batch))],
            )
            .await
    }
}
