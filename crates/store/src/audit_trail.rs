//! The audit trail as a whole: its check, and its signed heads.

use rndrkit_domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

use crate::audit_chain::{LinkedRow, linked_columns};
use crate::audit_check::{ChainReport, TrailCheck};
use crate::audit_erased::deletion_of_the_living;
use crate::audit_fault::AuditFault;
use crate::audit_signing::{
    AuditPublicKey, AuditSignature, AuditSigner, SignatureKind, SignatureRow, SignedPlace, signature_columns,
};
use crate::error::Error;
use crate::open::Store;
use crate::sql::{Sql, Transaction};
use crate::value::{bytes, count, text};

/// Events that the check reads at once.
const CHECK_BATCH: i64 = 500;
/// Signatures that are read at most: an hour of ten years has 87,600, and a checkpoint takes those before it away.
pub(crate) const MAX_SIGNATURES: usize = 200_000;
/// A head is signed once in each of these, whichever node comes first.
const HEAD_EVERY: std::time::Duration = std::time::Duration::from_secs(3_600);

/// A head that a process remembers to have signed or seen: what it must find again before it signs another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHead(AuditSignature);

/// What became of a wish to sign the head.
#[derive(Debug)]
pub enum HeadSigning {
    /// It is signed.
    Signed(AuditSignature),
    /// This hour has a signed head already.
    AlreadySigned(AuditSignature),
    /// The trail is not the one that was signed before: a signature over it would cover that up.
    Refused(AuditFault),
}

impl From<AuditSignature> for KnownHead {
    fn from(signature: AuditSignature) -> Self {
        Self(signature)
    }
}

#[derive(FromQueryResult)]
pub(crate) struct HeadRow {
    pub(crate) seq: i64,
    pub(crate) hash: Vec<u8>,
}

#[derive(FromQueryResult)]
struct HashRow {
    hash: Vec<u8>,
}

pub(crate) async fn head<C: ConnectionTrait>(sql: &Sql<C>) -> Result<HeadRow, Error> {
    sql.one("SELECT seq, hash FROM audit_head", []).await
}

/// All signatures, in the order of their positions.
pub(crate) async fn signatures<C: ConnectionTrait>(sql: &Sql<C>) -> Result<Vec<AuditSignature>, Error> {
    let rows: Vec<SignatureRow> = sql
        .all(
            concat!("SELECT ", signature_columns!(), " FROM audit_signatures ORDER BY seq, kind LIMIT $1"),
            [count(MAX_SIGNATURES as u64)],
        )
        .await?;
    rows.into_iter().map(read_signature).collect()
}

pub(crate) fn read_signature(row: SignatureRow) -> Result<AuditSignature, Error> {
    row.into_signature().ok_or_else(|| Error::corrupt("a signature of the audit trail has the wrong shape"))
}

/// The next events after a position.
pub(crate) async fn batch<C: ConnectionTrait>(sql: &Sql<C>, after: i64) -> Result<Vec<LinkedRow>, Error> {
    sql.all(
        concat!("SELECT ", linked_columns!(), " FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT $2"),
        [after.into(), CHECK_BATCH.into()],
    )
    .await
}

/// Checks the whole trail, as a transaction with one view of it sees it.
pub(crate) async fn verify<C: ConnectionTrait>(
    sql: &Sql<C>,
    trusted: &[AuditPublicKey],
) -> Result<ChainReport, Error> {
    let head = head(sql).await?;
    let mut check = TrailCheck::begin(signatures(sql).await?, trusted);
    let mut after = i64::MIN;
    loop {
        let rows = batch(sql, after).await?;
        let Some(last) = rows.last().map(|row| row.seq) else { break };
        after = last;
        for row in rows {
            check.event(row);
            if check.is_over() {
                return Ok(check.stop());
            }
        }
    }
    let mut report = check.finish((head.seq, &head.hash));
    if report.fault.is_none() {
        report.fault = deletion_of_the_living(sql).await?.map(|seq| AuditFault::NotDeleted { seq });
    }
    Ok(report)
}

/// The newest signature of a kind.
async fn newest(tx: &Transaction, kind: SignatureKind) -> Result<Option<AuditSignature>, Error> {
    let row: Option<SignatureRow> = tx
        .optional(
            concat!(
                "SELECT ",
                signature_columns!(),
                " FROM audit_signatures WHERE kind = $1 ORDER BY seq DESC LIMIT 1"
            ),
            [text(kind.as_str())],
        )
        .await?;
    row.map(read_signature).transpose()
}

pub(crate) async fn hash_of(tx: &Transaction, seq: i64) -> Result<Option<[u8; 32]>, Error> {
    let row: Option<HashRow> =
        tx.optional("SELECT hash FROM audit_events WHERE seq = $1", [seq.into()]).await?;
    row.map(|row| row.hash.try_into().map_err(|_| Error::corrupt("an audit event's hash"))).transpose()
}

pub(crate) async fn write(
    tx: &Transaction,
    place: SignedPlace,
    signer: Option<&AuditSigner>,
) -> Result<AuditSignature, Error> {
    let signature = AuditSignature { place, by: signer.map(|signer| signer.sign(&place)) };
    let row = SignatureRow::of(&signature);
    let optional = |value: Option<Vec<u8>>| sea_orm::Value::Bytes(value);
    tx.execute(
        "INSERT INTO audit_signatures (kind, seq, hash, at, public_key, signature) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (seq, kind) DO UPDATE SET hash = excluded.hash, at = excluded.at,
             public_key = excluded.public_key, signature = excluded.signature",
        [
            text(row.kind),
            row.seq.into(),
            bytes(&row.hash),
            row.at.into(),
            optional(row.public_key),
            optional(row.signature),
        ],
    )
    .await?;
    Ok(signature)
}

/// Up to where retention has dropped events and this key has signed for it: heads over those are rightly gone. Anybody
/// who can write to the database can say as much without a signature.
async fn vouched_for(tx: &Transaction, signer: &AuditSigner) -> Result<i64, Error> {
    let checkpoint = newest(tx, SignatureKind::Checkpoint).await?;
    let own = checkpoint
        .filter(|checkpoint| checkpoint.is_signed() && checkpoint.public_key() == Some(signer.public_key()));
    Ok(own.map_or(0, |checkpoint| checkpoint.seq()))
}

/// Whether the trail still holds what an earlier head says.
async fn holds(
    tx: &Transaction,
    head: &HeadRow,
    signed: &AuditSignature,
) -> Result<Option<AuditFault>, Error> {
    let seq = signed.seq();
    if !signed.is_genuine() {
        return Ok(Some(AuditFault::BadSignature { seq }));
    }
    if seq > head.seq {
        return Ok(Some(AuditFault::CutShort { last: head.seq, signed: seq }));
    }
    Ok(match hash_of(tx, seq).await? {
        Some(hash) if hash == signed.place.hash => None,
        Some(_) => Some(AuditFault::SignedOtherwise { seq }),
        None => Some(AuditFault::Missing { from: seq, to: seq }),
    })
}

impl Store {
    /// A transaction that sees the database as it is now, for as long as it takes to read much of it.
    pub(crate) async fn begin_long_reading(&self) -> Result<Transaction, Error> {
        let tx = self.reader().begin_reading().await?;
        if tx.backend() == DbBackend::Postgres {
            tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", []).await?;
            // A slow disk that the export goes to must not count as a process that forgot its transaction.
            tx.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'", []).await?;
        }
        Ok(tx)
    }

    /// Recomputes every hash of the trail and checks every signature. Those by others than `trusted` are a fault,
    /// unless it is empty.
    pub async fn verify_audit_trail(&self, trusted: &[AuditPublicKey]) -> Result<ChainReport, Error> {
        let tx = self.begin_long_reading().await?;
        let report = verify(&tx, trusted).await;
        tx.rollback().await?;
        report
    }

    /// [`Store::verify_audit_trail`], whoever signed.
    pub async fn verify_audit_chain(&self) -> Result<ChainReport, Error> {
        self.verify_audit_trail(&[]).await
    }

    /// Signs what the trail ends with, unless this hour has a signed head. First it looks for the heads that were
    /// signed before, in the database and in this process's memory.
    pub async fn sign_audit_head(
        &self,
        signer: &AuditSigner,
        at: Timestamp,
        known: Option<&KnownHead>,
    ) -> Result<HeadSigning, Error> {
        let tx = self.begin().await?;
        // Locks the head: nodes take turns, and nothing is appended meanwhile.
        let head: HeadRow = tx.one("UPDATE audit_head SET seq = seq RETURNING seq, hash", []).await?;
        let newest_head = newest(&tx, SignatureKind::Head).await?;
        let dropped = vouched_for(&tx, signer).await?;
        for signed in known.iter().map(|known| &known.0).chain(&newest_head) {
            if signed.seq() > dropped
                && let Some(fault) = holds(&tx, &head, signed).await?
            {
                tx.rollback().await?;
                return Ok(HeadSigning::Refused(fault));
            }
        }
        if let Some(seq) = known.map(|known| known.0.seq())
            && seq > dropped
            && newest_head.as_ref().is_none_or(|newest| newest.seq() < seq)
        {
            tx.rollback().await?;
            return Ok(HeadSigning::Refused(AuditFault::SignatureGone { seq }));
        }
        let hour = |moment: Timestamp| moment.floor_to(HEAD_EVERY);
        if let Some(signed) = newest_head
            && signed.public_key() == Some(signer.public_key())
            && hour(signed.at()) >= hour(at)
            // One that is further ahead was signed by a wrong clock, and would stop all signing until then.
            && signed.at() <= at.plus(HEAD_EVERY)
        {
            tx.rollback().await?;
            return Ok(HeadSigning::AlreadySigned(signed));
        }
        let hash = head.hash.try_into().map_err(|_| Error::corrupt("the hash of the audit trail's head"))?;
        let place = SignedPlace { kind: SignatureKind::Head, seq: head.seq, hash, at };
        let signature = write(&tx, place, Some(signer)).await?;
        tx.commit().await?;
        Ok(HeadSigning::Signed(signature))
    }
}
