//! Records of creates that must not happen twice. Written in the transaction of the create itself.

use std::fmt::Display;
use std::time::Duration;

use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::sql::{NumberRow, Transaction};
use crate::value::{count, digest, read_digest, read_time, text, time};

/// How long a record holds; after that the same key begins anew.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// What makes a create unrepeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Digest of who asks, for what, with which key.
    pub digest: Digest,
    /// Digest of the body: the same key with another body is a mistake.
    pub fingerprint: Digest,
}

/// A create that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Digest of its body.
    pub fingerprint: Digest,
    /// Id of what it made.
    pub resource_id: String,
    /// When.
    pub created_at: Timestamp,
}

#[derive(FromQueryResult)]
struct RecordRow {
    fingerprint: Vec<u8>,
    resource_id: String,
    created_at: i64,
}

impl RecordRow {
    fn into_record(self) -> Result<IdempotencyRecord, Error> {
        Ok(IdempotencyRecord {
            fingerprint: read_digest(&self.fingerprint)?,
            resource_id: self.resource_id,
            created_at: read_time(self.created_at),
        })
    }
}

/// Claims the key for a new resource, or ends the create with what an earlier one made. A racing create
/// waits here until the other one has committed or gone.
pub(crate) async fn claim(
    tx: &Transaction,
    change: &Change,
    idempotency: Option<Idempotency>,
    resource_id: impl Display,
) -> Result<(), Error> {
    let Some(wanted) = idempotency else { return Ok(()) };
    let claimed: Option<NumberRow> = tx
        .optional(
            "INSERT INTO idempotency (digest, fingerprint, resource_id, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (digest) DO UPDATE SET fingerprint = excluded.fingerprint,
                 resource_id = excluded.resource_id, created_at = excluded.created_at
             WHERE idempotency.created_at <= $5
             RETURNING created_at AS value",
            [
                digest(&wanted.digest),
                digest(&wanted.fingerprint),
                text(resource_id),
                time(change.at),
                time(change.at.minus(LIFETIME)),
            ],
        )
        .await?;
    if claimed.is_some() {
        return Ok(());
    }
    let row: RecordRow = tx
        .one(
            "SELECT fingerprint, resource_id, created_at FROM idempotency WHERE digest = $1",
            [digest(&wanted.digest)],
        )
        .await?;
    Err(Error::IdempotencyReplay(row.into_record()?))
}

impl Store {
    /// The record of a create, if it happened within 24 hours before `now`.
    pub async fn find_idempotency(
        &self,
        key: Digest,
        now: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, Error> {
        let row: Option<RecordRow> = self
            .reader()
            .optional(
                "SELECT fingerprint, resource_id, created_at FROM idempotency
                 WHERE digest = $1 AND created_at > $2",
                [digest(&key), time(now.minus(LIFETIME))],
            )
            .await?;
        row.map(RecordRow::into_record).transpose()
    }

    /// Drops records that no longer hold at `now`, at most `batch`; how many went.
    pub async fn prune_idempotency(&self, now: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM idempotency WHERE digest IN
                     (SELECT digest FROM idempotency WHERE created_at <= $1 ORDER BY created_at LIMIT $2)",
                [time(now.minus(LIFETIME)), count(u64::from(batch))],
            )
            .await
    }
}
