//! API keys: making one under the plan's limit, and finding one. Ending one is in `revoke`.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::{ApiKey, PreviousSecret, RevokedReason};
use rndrkit_domain::key_text::{Digest, KeyPrefix, Mask};
use rndrkit_domain::text::{Environment, Name};
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::accounts::read_status;
use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::idempotency::{self, Idempotency};
use crate::open::Store;
use crate::rotate::NewSecret;
use crate::sql::{NumberRow, Transaction};
use crate::value::{
    digest, optional_text, optional_time, read, read_id, read_optional_time, read_small, read_time, text,
    time,
};

/// A key about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Id.
    pub id: KeyId,
    /// Whose it is.
    pub account_id: AccountId,
    /// What its owner calls it.
    pub name: Name,
    /// Where its owner uses it.
    pub environment: Option<Environment>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Digest of its secret.
    pub digest: Digest,
    /// The prefix its secret begins with.
    pub prefix: KeyPrefix,
    /// The part of its secret that may be shown.
    pub mask: Mask,
}

/// The column `mask` for `api_keys AS k`: of the one secret without an end. By the time it was made an older one may
/// look newer, on another node's clock.
macro_rules! newest_mask {
    () => {
        "(SELECT s.mask FROM key_secrets AS s WHERE s.key_id = k.id AND s.ends_at IS NULL) AS mask"
    };
}
pub(crate) use newest_mask;

/// Columns of a [`KeyRow`] from `api_keys AS k`: mask and age are those of the secret without an end, of which there
/// is one; last use any secret's. The previous secret is the one with an end that nobody brought about: at most one.
macro_rules! key_columns {
    () => {
        concat!(
            "k.id, k.account_id, k.name, k.environment, k.created_at, k.expires_at, k.revoked_at, k.revoked_reason,
             k.state_number,
             (SELECT s.created_at FROM key_secrets AS s WHERE s.key_id = k.id AND s.ends_at IS NULL) AS secret_created_at, ",
            $crate::keys::newest_mask!(),
            ",
             (SELECT s.mask FROM key_secrets AS s WHERE s.key_id = k.id AND s.ends_at > 0
                 ORDER BY s.digest LIMIT 1) AS previous_mask,
             (SELECT s.ends_at FROM key_secrets AS s WHERE s.key_id = k.id AND s.ends_at > 0
                 ORDER BY s.digest LIMIT 1) AS previous_ends_at,
             (SELECT max(u.last_used_at) FROM key_usage AS u WHERE u.key_id = k.id) AS last_used_at"
        )
    };
}
pub(crate) use key_columns;

#[derive(FromQueryResult)]
pub(crate) struct KeyRow {
    id: String,
    account_id: String,
    name: String,
    environment: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    revoked_reason: Option<String>,
    pub(crate) state_number: i64,
    mask: String,
    secret_created_at: Option<i64>,
    pub(crate) previous_mask: Option<String>,
    previous_ends_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl KeyRow {
    pub(crate) fn into_key(self) -> Result<ApiKey, Error> {
        let revoked = match (self.revoked_at, self.revoked_reason.as_deref()) {
            (Some(at), Some(reason)) => {
                let reason = RevokedReason::parse(reason);
                Some((read_time(at), reason.ok_or_else(|| Error::corrupt("a key's reason"))?))
            }
            _ => None,
        };
        let expires_at = read_optional_time(self.expires_at);
        let previous = self.previous_mask.zip(self.previous_ends_at).map(|(mask, ends_at)| {
            let ends_at = read_time(ends_at);
            let works_until = expires_at.map_or(ends_at, |end| end.min(ends_at));
            PreviousSecret { mask: Mask::from_stored(mask), works_until }
        });
        Ok(ApiKey {
            id: read_id(&self.id)?,
            account_id: read_id(&self.account_id)?,
            name: read(Name::parse(&self.name), "a key's name")?,
            environment: read_environment(self.environment.as_deref())?,
            mask: Mask::from_stored(self.mask),
            created_at: read_time(self.created_at),
            secret_created_at: read_time(self.secret_created_at.unwrap_or(self.created_at)),
            last_used_at: read_optional_time(self.last_used_at),
            expires_at,
            revoked,
            previous,
        })
    }
}

fn read_environment(column: Option<&str>) -> Result<Option<Environment>, Error> {
    column.map(|label| read(Environment::parse(label), "a key's environment")).transpose()
}

impl Store {
    /// Makes a key if the account may have one more.
    pub async fn insert_key(
        &self,
        new: NewKey,
        idempotency: Option<Idempotency>,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<ApiKey>, Error> {
        let tx = self.begin().await?;
        // The account's row is locked before anything is counted; whoever races waits here and counts us.
        let owner: Option<OwnerRow> = tx
            .optional(
                "UPDATE accounts SET rev = rev + 1 WHERE id = $1 AND deleted_at IS NULL
                 RETURNING status, plan_id",
                [text(new.account_id)],
            )
            .await?;
        let owner = owner.ok_or(Error::NotFound)?;
        idempotency::claim(&tx, &change, idempotency, new.id).await?;
        require_room(&tx, &owner, new.account_id, change.at).await?;
        insert(&tx, &new, &change).await?;
        audit::append(&tx, &change, &[event]).await?;
        let news = News::of_key(FeedKind::Key, new.account_id, new.id, vec![new.digest]);
        let number = feed::publish(&tx, &change, news).await?;
        tx.commit().await?;
        let key = ApiKey {
            id: new.id,
            account_id: new.account_id,
            name: new.name,
            environment: new.environment,
            mask: new.mask,
            created_at: change.at,
            secret_created_at: change.at,
            last_used_at: None,
            expires_at: new.expires_at,
            revoked: None,
            previous: None,
        };
        Ok(Committed::done(key, number))
    }

    /// One key, whatever its status.
    pub async fn find_key(&self, id: KeyId) -> Result<Option<ApiKey>, Error> {
        let row: Option<KeyRow> = self
            .reader()
            .optional(concat!("SELECT ", key_columns!(), " FROM api_keys AS k WHERE k.id = $1"), [text(id)])
            .await?;
        row.map(KeyRow::into_key).transpose()
    }
}

#[derive(FromQueryResult)]
pub(crate) struct OwnerRow {
    status: String,
    plan_id: String,
}

#[derive(FromQueryResult)]
struct AllowanceRow {
    api_access: i64,
    active_keys: i64,
}

/// Checks status and plan, in the order in which a decision on a request judges them; the most active keys.
pub(crate) async fn require_access(tx: &Transaction, owner: &OwnerRow) -> Result<i64, Error> {
    if read_status(&owner.status)? == rndrkit_domain::account::AccountStatus::Suspended {
        return Err(Error::AccountSuspended);
    }
    let allowance: AllowanceRow =
        tx.one("SELECT api_access, active_keys FROM plans WHERE id = $1", [text(&owner.plan_id)]).await?;
    if allowance.api_access == 0 {
        return Err(Error::PlanRequired);
    }
    Ok(allowance.active_keys)
}

/// Checks status, plan and limit.
async fn require_room(
    tx: &Transaction,
    owner: &OwnerRow,
    account_id: AccountId,
    now: Timestamp,
) -> Result<(), Error> {
    let limit = require_access(tx, owner).await?;
    let active: NumberRow = tx
        .one(
            "SELECT count(*) AS value FROM api_keys
             WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
            [text(account_id), time(now)],
        )
        .await?;
    if active.value >= limit {
        return Err(Error::KeyLimitReached { limit: read_small(limit)? });
    }
    Ok(())
}

async fn insert(tx: &Transaction, new: &NewKey, change: &Change) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO api_keys (id, account_id, name, environment, created_at, expires_at, state_number)
         VALUES ($1, $2, $3, $4, $5, $6, 0)",
        [
            text(new.id),
            text(new.account_id),
            text(&new.name),
            optional_text(new.environment.as_ref()),
            time(change.at),
            optional_time(new.expires_at),
        ],
    )
    .await?;
    let secret = NewSecret { digest: new.digest, prefix: new.prefix.clone(), mask: new.mask.clone() };
    insert_secret(tx, new.id, &secret, change).await
}

/// Gives a key its newest secret. The one before must have an end by now: a unique index insists.
pub(crate) async fn insert_secret(
    tx: &Transaction,
    key_id: KeyId,
    new: &NewSecret,
    change: &Change,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO key_secrets (digest, key_id, prefix, mask, created_at) VALUES ($1, $2, $3, $4, $5)",
        [digest(&new.digest), text(key_id), text(&new.prefix), text(&new.mask), time(change.at)],
    )
    .await?;
    Ok(())
}
