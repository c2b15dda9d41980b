//! Reading what was observed, for pages.

use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::{AccountId, KeyId, RequestId};
use rndrkit_domain::observation::{NETWORK_SLOT, Refusal, Sighting};
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use super::{bounded, facts};
use crate::error::Error;
use crate::open::Store;
use crate::value::{count, read_digest, read_id, read_time, text, time};

/// Networks of one key that are read: from as many as are noted of each ten minutes, for a day.
const MAX_NETWORKS: u64 = 10_000;
/// Secrets of one key whose sightings are read, newest first: a rotation leaves one each time.
const MAX_SIGHTINGS: u64 = 1_000;

#[derive(FromQueryResult)]
struct SightingRow {
    digest: Vec<u8>,
    key_id: String,
    account_id: String,
    at: i64,
    ip: Option<String>,
    user_agent: Option<String>,
}

impl SightingRow {
    fn into_sighting(self) -> Result<Sighting, Error> {
        Ok(Sighting {
            digest: read_digest(&self.digest)?,
            key_id: read_id(&self.key_id)?,
            account_id: read_id(&self.account_id)?,
            at: read_time(self.at),
            ip: self.ip.as_deref().map(read_id).transpose()?,
            user_agent: self.user_agent,
        })
    }
}

#[derive(FromQueryResult)]
struct NetworkRow {
    slot: i64,
    network: String,
}

#[derive(FromQueryResult)]
struct RefusalRow {
    account_id: String,
    request_id: String,
    key_id: String,
    at: i64,
    code: String,
    facts: String,
    ip: Option<String>,
    user_agent: Option<String>,
}

impl RefusalRow {
    fn into_refusal(self) -> Result<Refusal, Error> {
        Ok(Refusal {
            request_id: read_id(&self.request_id)?,
            account_id: read_id(&self.account_id)?,
            key_id: read_id(&self.key_id)?,
            at: read_time(self.at),
            code: Denial::parse_stored(&self.code).ok_or_else(|| Error::corrupt("the code of a refusal"))?,
            facts: facts::read(&self.facts)?,
            ip: self.ip.as_deref().map(read_id).transpose()?,
            user_agent: self.user_agent,
        })
    }
}

/// Refusals of account `$1` under a condition. One statement for each, so that SQLite uses an index.
macro_rules! refusals_where {
    ($condition:literal) => {
        concat!(
            "SELECT account_id, request_id, key_id, at, code, facts, ip, user_agent FROM refusals
             WHERE account_id = $1 AND ",
            $condition
        )
    };
}

impl Store {
    /// Who last presented each secret of a key, newest first. A secret that nobody has presented is not there.
    pub async fn list_sightings(&self, key_id: KeyId) -> Result<Vec<Sighting>, Error> {
        let rows: Vec<SightingRow> = self
            .reader()
            .all(
                "SELECT digest, key_id, account_id, at, ip, user_agent FROM sightings
                 WHERE key_id = $1 ORDER BY at DESC, digest LIMIT $2",
                [text(key_id), count(MAX_SIGHTINGS)],
            )
            .await?;
        rows.into_iter().map(SightingRow::into_sighting).collect()
    }

    /// From which networks a key was used since then: start of the ten minutes, and network; by time. The ten minutes
    /// that `since` lies in count. Of too many the newest.
    pub async fn list_networks(
        &self,
        key_id: KeyId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, Error> {
        let rows: Vec<NetworkRow> = self
            .reader()
            .all(
                "SELECT slot, network FROM key_networks WHERE key_id = $1 AND slot >= $2
                 ORDER BY slot DESC, network DESC LIMIT $3",
                [text(key_id), time(since.floor_to(NETWORK_SLOT)), count(MAX_NETWORKS)],
            )
            .await?;
        Ok(rows.into_iter().rev().map(|row| (read_time(row.slot), row.network)).collect())
    }

    /// The last refusals of an account's known keys, newest first; only those of one key if given. The last 200 of an
    /// account are kept, for seven days.
    pub async fn list_refusals(
        &self,
        account_id: AccountId,
        key_id: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<Refusal>, Error> {
        let rows: Vec<RefusalRow> = if let Some(key_id) = key_id {
            let sql = refusals_where!("key_id = $2 ORDER BY at DESC, request_id DESC LIMIT $3");
            self.reader().all(sql, [text(account_id), text(key_id), bounded(limit)]).await?
        } else {
            let sql = refusals_where!("1 = 1 ORDER BY at DESC, request_id DESC LIMIT $2");
            self.reader().all(sql, [text(account_id), bounded(limit)]).await?
        };
        rows.into_iter().map(RefusalRow::into_refusal).collect()
    }

    /// One refusal of an account.
    pub async fn find_refusal(
        &self,
        account_id: AccountId,
        request_id: RequestId,
    ) -> Result<Option<Refusal>, Error> {
        let row: Option<RefusalRow> = self
            .reader()
            .optional(refusals_where!("request_id = $2"), [text(account_id), text(request_id)])
            .await?;
        row.map(RefusalRow::into_refusal).transpose()
    }
}
