//! How audit events are hashed, and the check that nobody has changed them since.
//!
//! What names a person is hashed apart, with a salt that is erased with it; the chain covers that hash only.

use rndrkit_domain::time::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::sql::Sql;

/// Events that the check reads at once.
const VERIFY_BATCH: i64 = 500;

/// Result of checking the whole trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// Events that were checked.
    pub events: u64,
    /// Position of the first event that does not fit; none when all do.
    pub broken_at: Option<i64>,
    /// When the oldest kept event happened.
    pub oldest_at: Option<Timestamp>,
}

/// The fields that can be erased.
pub(crate) struct Personal<'a> {
    pub(crate) actor_name: Option<&'a str>,
    pub(crate) ip: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
}

impl Personal<'_> {
    pub(crate) fn hash(&self, salt: &[u8]) -> [u8; 32] {
        let mut fields = Fields::new("rndrkit audit personal 1");
        fields.bytes(salt);
        for field in [self.actor_name, self.ip, self.user_agent] {
            fields.optional(field);
        }
        fields.finish()
    }
}

/// The fields that stay, as they are stored.
pub(crate) struct Public {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) action: String,
    pub(crate) actor_type: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) target_type: String,
    pub(crate) target_id: String,
    pub(crate) request_id: Option<String>,
    pub(crate) details: String,
}

/// What an event is hashed together with.
pub(crate) struct Link<'a> {
    pub(crate) previous: &'a [u8],
    pub(crate) personal: &'a [u8],
}

impl Public {
    pub(crate) fn hash(&self, seq: i64, link: &Link<'_>) -> [u8; 32] {
        let mut fields = Fields::new("rndrkit audit event 1");
        fields.bytes(link.previous);
        fields.bytes(&seq.to_le_bytes());
        fields.bytes(self.id.as_bytes());
        fields.bytes(&self.at.to_le_bytes());
        fields.bytes(self.action.as_bytes());
        fields.bytes(self.actor_type.as_bytes());
        fields.optional(self.actor_id.as_deref());
        fields.optional(self.account_id.as_deref());
        fields.bytes(self.target_type.as_bytes());
        fields.bytes(self.target_id.as_bytes());
        fields.optional(self.request_id.as_deref());
        fields.bytes(self.details.as_bytes());
        fields.bytes(link.personal);
        fields.finish()
    }
}

/// An encoding in which no two lists of fields look alike: each has its presence and length in front.
struct Fields(Sha256);

impl Fields {
    fn new(purpose: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.bytes(purpose.as_bytes());
        fields
    }

    fn bytes(&mut self, field: &[u8]) {
        self.0.update([1]);
        self.0.update((field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    fn optional(&mut self, field: Option<&str>) {
        match field {
            Some(field) => self.bytes(field.as_bytes()),
            None => self.0.update([0]),
        }
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[derive(FromQueryResult)]
struct LinkedRow {
    seq: i64,
    id: String,
    at: i64,
    action: String,
    actor_type: String,
    actor_id: Option<String>,
    actor_name: Option<String>,
    account_id: Option<String>,
    target_type: String,
    target_id: String,
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    details: String,
    personal_salt: Option<Vec<u8>>,
    personal_hash: Vec<u8>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl LinkedRow {
    fn fits(&self, previous: Option<&(i64, Vec<u8>)>) -> bool {
        let follows = previous.is_none_or(|(seq, hash)| self.seq == seq + 1 && self.previous_hash == *hash);
        let personal = Personal {
            actor_name: self.actor_name.as_deref(),
            ip: self.ip.as_deref(),
            user_agent: self.user_agent.as_deref(),
        };
        let personal_fits = match &self.personal_salt {
            Some(salt) => personal.hash(salt).as_slice() == self.personal_hash,
            None => personal.actor_name.is_none() && personal.ip.is_none() && personal.user_agent.is_none(),
        };
        let link = Link { previous: &self.previous_hash, personal: &self.personal_hash };
        follows && personal_fits && self.public().hash(self.seq, &link).as_slice() == self.hash
    }

    fn public(&self) -> Public {
        Public {
            id: self.id.clone(),
            at: self.at,
            action: self.action.clone(),
            actor_type: self.actor_type.clone(),
            actor_id: self.actor_id.clone(),
            account_id: self.account_id.clone(),
            target_type: self.target_type.clone(),
            target_id: self.target_id.clone(),
            request_id: self.request_id.clone(),
            details: self.details.clone(),
        }
    }
}

#[derive(FromQueryResult)]
struct HeadRow {
    seq: i64,
    hash: Vec<u8>,
}

pub(crate) async fn verify<C: ConnectionTrait>(sql: &Sql<C>) -> Result<ChainReport, Error> {
    let head: HeadRow = sql.one("SELECT seq, hash FROM audit_head", []).await?;
    let mut report = ChainReport { events: 0, broken_at: None, oldest_at: None };
    let mut last: Option<(i64, Vec<u8>)> = None;
    loop {
        let after = last.as_ref().map_or(0, |(seq, _)| *seq);
        let rows = batch(sql, after, head.seq).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if !row.fits(last.as_ref()) {
                report.broken_at = Some(row.seq);
                return Ok(report);
            }
            report.oldest_at = report.oldest_at.or(Some(Timestamp::from_unix_ms(row.at)));
            report.events += 1;
            last = Some((row.seq, row.hash));
        }
    }
    // The newest event is never dropped, so a missing tail is a broken chain too.
    let (seq, hash) = last.unwrap_or((0, vec![0; 32]));
    if seq != head.seq || hash != head.hash {
        report.broken_at = Some(seq + 1);
    }
    Ok(report)
}

async fn batch<C: ConnectionTrait>(sql: &Sql<C>, after: i64, until: i64) -> Result<Vec<LinkedRow>, Error> {
    sql.all(
        "SELECT seq, id, at, action, actor_type, actor_id, actor_name, account_id, target_type, target_id,
                ip, user_agent, request_id, details, personal_salt, personal_hash, previous_hash, hash
         FROM audit_events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
        [after.into(), until.into(), VERIFY_BATCH.into()],
    )
    .await
}
