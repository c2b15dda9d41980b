//! Retention of the audit trail: what is too old goes from its beginning, and a checkpoint stays, signed if there is
//! a key.

use rndrkit_domain::time::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::audit_fault::AuditFault;
use crate::audit_signing::{
    AuditSignature, AuditSigner, SignatureKind, SignatureRow, SignedPlace, signature_columns,
};
use crate::audit_start::{Start, TrailStart};
use crate::audit_trail::{hash_of, read_signature, write};
use crate::error::Error;
use crate::open::Store;
use crate::sql::{Sql, Transaction};
use crate::value::{count, time};

/// What retention did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditPruning {
    /// It dropped what is old enough, or found nothing.
    Done {
        /// Events that went.
        events: u64,
        /// The checkpoint that it went on from and its own key had not signed. Its next one takes this one's place, so
        /// that nothing but a word of the caller's is left of it.
        unproven: Option<AuditSignature>,
    },
    /// The trail does not begin where retention left it: a checkpoint would cover up that somebody removed events.
    Refused(AuditFault),
}

impl AuditPruning {
    const NOTHING: Self = Self::Done { events: 0, unproven: None };
}

#[derive(FromQueryResult)]
struct CutRow {
    oldest: i64,
    cut: i64,
}

/// The oldest event, the newest checkpoint if there is one, and the newest head over an event that is gone by another
/// key than that checkpoint: read at once, as other nodes prune too.
#[derive(FromQueryResult)]
struct StartRow {
    oldest: i64,
    previous_hash: Vec<u8>,
    signed_before: Option<i64>,
    kind: Option<String>,
    seq: Option<i64>,
    hash: Option<Vec<u8>>,
    at: Option<i64>,
    public_key: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

impl StartRow {
    fn judge(self) -> Result<Result<TrailStart, AuditFault>, Error> {
        let checkpoint = match (self.kind, self.seq, self.hash, self.at) {
            (Some(kind), Some(seq), Some(hash), Some(at)) => {
                let (public_key, signature) = (self.public_key, self.signature);
                Some(read_signature(SignatureRow { kind, seq, hash, at, public_key, signature })?)
            }
            _ => None,
        };
        let start = Start {
            seq: self.oldest,
            previous_hash: &self.previous_hash,
            checkpoint: checkpoint.as_ref(),
            signed_before: self.signed_before,
        };
        Ok(match start.judge() {
            Ok(TrailStart::Checkpoint(checkpoint)) if !checkpoint.is_genuine() => {
                Err(AuditFault::BadSignature { seq: checkpoint.seq() })
            }
            judged => judged,
        })
    }
}

/// Whether the trail begins where retention left it. Without any event nothing is to be dropped either.
async fn start<C: ConnectionTrait>(sql: &Sql<C>) -> Result<Result<TrailStart, AuditFault>, Error> {
    let row: Option<StartRow> = sql
        .optional(
            concat!(
                "SELECT first.oldest, first.previous_hash,
                     (SELECT max(head.seq) FROM audit_signatures AS head
                      WHERE head.kind = 'head' AND head.seq < first.oldest
                          AND head.public_key IS DISTINCT FROM dropped.public_key) AS signed_before, ",
                signature_columns!(),
                " FROM (SELECT seq AS oldest, previous_hash FROM audit_events ORDER BY seq LIMIT 1) AS first
                  LEFT JOIN (SELECT ",
                signature_columns!(),
                " FROM audit_signatures WHERE kind = 'checkpoint' ORDER BY seq DESC LIMIT 1) AS dropped ON 1 = 1"
            ),
            [],
        )
        .await?;
    row.map_or(Ok(Ok(TrailStart::First)), StartRow::judge)
}

/// The last event to be dropped, if any: up to the first that is young enough, at most `batch`, and never the newest.
async fn last_to_drop<C: ConnectionTrait>(
    sql: &Sql<C>,
    before: Timestamp,
    batch: u32,
) -> Result<Option<i64>, Error> {
    let row: CutRow = sql
        .one(
            "SELECT old.seq AS oldest,
                    CASE WHEN young.seq < old.seq + $2 THEN young.seq ELSE old.seq + $2 END AS cut
             FROM (SELECT COALESCE(min(seq), 0) AS seq FROM audit_events) AS old
             CROSS JOIN (
                 SELECT COALESCE(min(seq), (SELECT seq FROM audit_head)) AS seq
                 FROM audit_events WHERE at >= $1
             ) AS young",
            [time(before), count(u64::from(batch))],
        )
        .await?;
    Ok((row.cut > row.oldest).then(|| row.cut - 1))
}

/// Drops the events up to `last` and leaves a checkpoint of it; how many went.
async fn drop_up_to(
    tx: &Transaction,
    last: i64,
    at: Timestamp,
    signer: Option<&AuditSigner>,
) -> Result<u64, Error> {
    let Some(hash) = hash_of(tx, last).await? else { return Ok(0) };
    let dropped = tx.execute("DELETE FROM audit_events WHERE seq <= $1", [last.into()]).await?;
    if dropped == 0 {
        return Ok(0);
    }
    write(tx, SignedPlace { kind: SignatureKind::Checkpoint, seq: last, hash, at }, signer).await?;
    tx.execute("DELETE FROM audit_signatures WHERE seq < $1 OR (seq = $1 AND kind = 'head')", [last.into()])
        .await?;
    Ok(dropped)
}

impl Store {
    /// Drops events older than `before` from the old end, at most `batch`. A checkpoint says what the last of them
    /// was, so that what is left still verifies; the newest event stays. How the trail begins is looked at also when
    /// nothing is old enough: a young installation hears of it too.
    pub async fn prune_audit(
        &self,
        before: Timestamp,
        batch: u32,
        at: Timestamp,
        signer: Option<&AuditSigner>,
    ) -> Result<AuditPruning, Error> {
        if let Err(fault) = start(self.reader()).await? {
            return Ok(AuditPruning::Refused(fault));
        }
        let Some(last) = last_to_drop(self.reader(), before, batch).await? else {
            return Ok(AuditPruning::NOTHING);
        };
        let tx = self.begin().await?;
        let begins = match start(&tx).await? {
            Ok(begins) => begins,
            Err(fault) => {
                tx.rollback().await?;
                return Ok(AuditPruning::Refused(fault));
            }
        };
        let events = drop_up_to(&tx, last, at, signer).await?;
        if events == 0 {
            // Another node was faster.
            tx.rollback().await?;
            return Ok(AuditPruning::NOTHING);
        }
        tx.commit().await?;
        let unproven = match (begins, signer) {
            (TrailStart::Checkpoint(checkpoint), Some(signer)) => {
                Some(checkpoint).filter(|checkpoint| checkpoint.public_key() != Some(signer.public_key()))
            }
            _ => None,
        };
        Ok(AuditPruning::Done { events, unproven })
    }
}
