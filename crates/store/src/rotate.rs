//! Rotating a key: another secret for the same key, and the end of the one before.
//!
//! Deliberately absent: judging ends, which the verifier does when a request comes.

use std::time::Duration;

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::{ApiKey, KeyStatus};
use rndrkit_domain::key_text::{Digest, KeyPrefix, Mask};
use rndrkit_domain::rotation::WORKS_UNTIL;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::idempotency::{self, Idempotency};
use crate::key_owner::{self, KeyOwner, Revision};
use crate::keys::{insert_secret, require_access};
use crate::open::Store;
use crate::revoke::{DigestRow, digests_of, read_key};
use crate::sql::Transaction;
use crate::value::{digest, read_digest, read_optional_time, read_time, text};

/// The end of a secret that somebody ended: earlier than every clock shows, also one that is behind the clock of
/// the node that wrote it. When that was is in the audit trail.
const ENDED_MS: i64 = 0;
/// How many secrets of a key are remembered, so that an old one is refused as such and not as unknown. Older ones
/// go: what a change tells the verifiers names all of them.
const MAX_SECRETS: u32 = 20;

/// A secret about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// Its digest.
    pub digest: Digest,
    /// The prefix that it begins with.
    pub prefix: KeyPrefix,
    /// The part of it that may be shown.
    pub mask: Mask,
}

/// A rotation about to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key.
    pub key_id: KeyId,
    /// With it, a key of another account is not found.
    pub only_account: Option<AccountId>,
    /// With it, a key whose newest secret has another mask is left as it is: somebody else rotated it meanwhile.
    pub only_secret: Option<String>,
    /// The secret to come.
    pub secret: NewSecret,
    /// How long the one before works on; zero ends it at once.
    pub overlap: Duration,
}

/// A secret of a key, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySecret {
    /// Its digest.
    pub digest: Digest,
    /// The part of it that may be shown.
    pub mask: Mask,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, or ended; none for the key's newest.
    pub ends_at: Option<Timestamp>,
    /// When it was last presented, within a minute.
    pub last_used_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct SecretRow {
    digest: Vec<u8>,
    mask: String,
    created_at: i64,
    ends_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl SecretRow {
    fn into_secret(self) -> Result<KeySecret, Error> {
        Ok(KeySecret {
            digest: read_digest(&self.digest)?,
            mask: Mask::from_stored(self.mask),
            created_at: read_time(self.created_at),
            ends_at: read_optional_time(self.ends_at),
            last_used_at: read_optional_time(self.last_used_at),
        })
    }
}

impl Store {
    /// Gives an active key another secret. The one before works on for the overlap; one that was before that ends
    /// at once, so that never more than two work.
    pub async fn rotate_key(
        &self,
        rotation: Rotation,
        idempotency: Option<Idempotency>,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<ApiKey>, Error> {
        let id = rotation.key_id;
        let tx = self.begin().await?;
        let KeyOwner { account_id, row: owner, .. } =
            key_owner::lock(&tx, id, rotation.only_account, Revision::Rises).await?;
        idempotency::claim(&tx, &change, idempotency, id).await?;
        let before = read_key(&tx, id).await?.into_key()?;
        if before.status(change.at) != KeyStatus::Active {
            return Err(Error::KeyNotActive);
        }
        require_secret(before.mask.as_str(), rotation.only_secret.as_deref())?;
        require_access(&tx, &owner).await?;
        let mut digests = digests_of(&tx, id).await?;
        digests.push(rotation.secret.digest);
        replace_secret(&tx, &rotation, &change).await?;
        let key = read_key(&tx, id).await?.into_key()?;
        let mut event = NewEvent { account_id: Some(account_id), ..event };
        // The key's own end may come before the overlap's.
        let works_until = key.previous.as_ref().map(|previous| previous.works_until.to_string());
        event.details.extend(works_until.map(|end| (WORKS_UNTIL, end)));
        audit::append(&tx, &change, &[event]).await?;
        let news = News::of_key(FeedKind::Key, account_id, id, digests);
        let number = feed::publish(&tx, &change, news).await?;
        tx.commit().await?;
        Ok(Committed::done(key, number))
    }

    /// Ends the old secret of a rotated key before its time. Repeating it changes nothing. With `only_account`, a
    /// key of another account is not found; with `only_secret`, an old secret with another mask is left as it is.
    pub async fn end_previous(
        &self,
        id: KeyId,
        only_account: Option<AccountId>,
        only_secret: Option<&str>,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<ApiKey>, Error> {
        let tx = self.begin().await?;
        let account_id = key_owner::lock(&tx, id, only_account, Revision::Rises).await?.account_id;
        let before = read_key(&tx, id).await?;
        if let Some(mask) = &before.previous_mask {
            require_secret(mask, only_secret)?;
        }
        // Also one whose time is over by this node's clock: it need not be over by another.
        let ended = match before.revoked_at {
            Some(_) => 0,
            None => end_older(&tx, id).await?,
        };
        if ended == 0 {
            let number = before.state_number;
            tx.rollback().await?;
            return Ok(Committed::unchanged(before.into_key()?, number));
        }
        let digests = digests_of(&tx, id).await?;
        let event = NewEvent { account_id: Some(account_id), ..event };
        audit::append(&tx, &change, &[event]).await?;
        let news = News::of_key(FeedKind::Key, account_id, id, digests);
        let number = feed::publish(&tx, &change, news).await?;
        tx.commit().await?;
        Ok(Committed::done(ApiKey { previous: None, ..before.into_key()? }, number))
    }

    /// The secrets of a key that are remembered, the newest first.
    pub async fn list_secrets(&self, id: KeyId) -> Result<Vec<KeySecret>, Error> {
        let rows: Vec<SecretRow> = self
            .reader()
            .all(
                "SELECT s.digest, s.mask, s.created_at, s.ends_at, u.last_used_at
                 FROM key_secrets AS s LEFT JOIN key_usage AS u ON u.digest = s.digest
                 WHERE s.key_id = $1
                 ORDER BY CASE WHEN s.ends_at IS NULL THEN 0 WHEN s.ends_at > 0 THEN 1 ELSE 2 END,
                     s.created_at DESC, s.digest LIMIT $2",
                [text(id), i64::from(MAX_SECRETS).into()],
            )
            .await?;
        rows.into_iter().map(SecretRow::into_secret).collect()
    }
}

/// Whether a secret is the one that somebody was looking at, if they said which.
fn require_secret(mask: &str, wanted: Option<&str>) -> Result<(), Error> {
    if wanted.is_none_or(|wanted| wanted == mask) { Ok(()) } else { Err(Error::SecretChanged) }
}

/// Ends at once whatever has an end already; how many did.
async fn end_older(tx: &Transaction, id: KeyId) -> Result<u64, Error> {
    let values = [text(id), ENDED_MS.into()];
    tx.execute("UPDATE key_secrets SET ends_at = $2 WHERE key_id = $1 AND ends_at > $2", values).await
}

async fn replace_secret(tx: &Transaction, rotation: &Rotation, change: &Change) -> Result<(), Error> {
    let id = rotation.key_id;
    end_older(tx, id).await?;
    let end_ms =
        if rotation.overlap.is_zero() { ENDED_MS } else { change.at.plus(rotation.overlap).unix_ms() };
    tx.execute(
        "UPDATE key_secrets SET ends_at = $2 WHERE key_id = $1 AND ends_at IS NULL",
        [text(id), end_ms.into()],
    )
    .await?;
    insert_secret(tx, id, &rotation.secret, change).await?;
    forget_oldest(tx, id).await
}

/// Forgets the secrets beyond [`MAX_SECRETS`], and with them when and by whom they were used. The last use of all of a
/// key's stays, whichever secret it was of: that is the key's own.
async fn forget_oldest(tx: &Transaction, id: KeyId) -> Result<(), Error> {
    let forgotten: Vec<DigestRow> = tx
        .all(
            "DELETE FROM key_secrets WHERE key_id = $1 AND digest NOT IN
                 (SELECT digest FROM key_secrets WHERE key_id = $1
                  ORDER BY CASE WHEN ends_at IS NULL THEN 0 WHEN ends_at > 0 THEN 1 ELSE 2 END, created_at DESC, digest
                  LIMIT $2)
             RETURNING digest",
            [text(id), i64::from(MAX_SECRETS).into()],
        )
        .await?;
    for row in &forgotten {
        let values = [digest(&read_digest(&row.digest)?)];
        tx.execute("DELETE FROM secret_hours WHERE digest = $1", values.clone()).await?;
        tx.execute("DELETE FROM sightings WHERE digest = $1", values).await?;
    }
    // Also what was written late, of secrets that were forgotten before.
    tx.execute(
        "DELETE FROM key_usage
         WHERE key_id = $1 AND digest NOT IN (SELECT digest FROM key_secrets WHERE key_id = $1)
             AND digest <> (SELECT digest FROM key_usage WHERE key_id = $1
                            ORDER BY last_used_at DESC, digest DESC LIMIT 1)",
        [text(id)],
    )
    .await?;
    Ok(())
}
