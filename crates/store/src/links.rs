//! Single-use links: made, looked at, and used up. What each kind does when used is in `sign_in`.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::link::LinkKind;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::accounts;
use crate::audit;
use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::sql::{TextRow, Transaction};
use crate::users;
use crate::value::{count, digest, optional_text, read_id, read_optional_id, read_time, text, time};

/// A link to an account about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// Digest of its text.
    pub digest: Digest,
    /// What it is good for.
    pub kind: LinkKind,
    /// The account it leads to.
    pub account_id: AccountId,
    /// The user it is for: whose password is set, or who signs in.
    pub user_id: Option<UserId>,
    /// Where to go afterwards.
    pub return_to: Option<String>,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// A link that still works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRecord {
    /// What it is good for.
    pub kind: LinkKind,
    /// The account it leads to; none for the first account.
    pub account_id: Option<AccountId>,
    /// The user it is for.
    pub user_id: Option<UserId>,
    /// Where to go afterwards.
    pub return_to: Option<String>,
    /// When it stops working.
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct LinkRow {
    kind: String,
    account_id: Option<String>,
    user_id: Option<String>,
    return_to: Option<String>,
    expires_at: i64,
}

impl LinkRow {
    fn into_record(self) -> Result<LinkRecord, Error> {
        Ok(LinkRecord {
            kind: LinkKind::parse(&self.kind).ok_or_else(|| Error::corrupt("a link's kind"))?,
            account_id: read_optional_id(self.account_id.as_deref())?,
            user_id: read_optional_id(self.user_id.as_deref())?,
            return_to: self.return_to,
            expires_at: read_time(self.expires_at),
        })
    }
}

/// Locks the account that a link leads to, before the link itself: a deletion takes them in that order.
pub(crate) async fn lock_account(tx: &Transaction, link: Digest) -> Result<AccountId, Error> {
    let owner: Option<TextRow> = tx
        .optional(
            "UPDATE accounts SET rev = rev
             WHERE id = (SELECT account_id FROM links WHERE digest = $1) AND deleted_at IS NULL
             RETURNING id AS value",
            [digest(&link)],
        )
        .await?;
    read_id(&owner.ok_or(Error::LinkInvalid)?.value)
}

/// Uses a link up. Of several that try, one succeeds.
pub(crate) async fn consume(
    tx: &Transaction,
    link: Digest,
    kind: LinkKind,
    at: Timestamp,
) -> Result<LinkRecord, Error> {
    let row: Option<LinkRow> = tx
        .optional(
            "UPDATE links SET used_at = $3
             WHERE digest = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3
             RETURNING kind, account_id, user_id, return_to, expires_at",
            [digest(&link), text(kind.as_str()), time(at)],
        )
        .await?;
    row.ok_or(Error::LinkInvalid)?.into_record()
}

impl Store {
    /// Makes a link to an account. A user named in it must be the account's.
    pub async fn insert_link(&self, new: NewLink, change: Change, event: NewEvent) -> Result<(), Error> {
        let tx = self.begin().await?;
        accounts::lock(&tx, new.account_id).await?;
        if let Some(user_id) = new.user_id {
            let user = users::find(&tx, user_id).await?.ok_or(Error::NotFound)?;
            if user.account_id != new.account_id {
                return Err(Error::NotFound);
            }
        }
        tx.execute(
            "INSERT INTO links (digest, kind, account_id, user_id, return_to, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                digest(&new.digest),
                text(new.kind.as_str()),
                text(new.account_id),
                optional_text(new.user_id),
                optional_text(new.return_to),
                time(change.at),
                time(new.expires_at),
            ],
        )
        .await?;
        audit::append(&tx, &change, &[event]).await?;
        tx.commit().await
    }

    /// Makes the link for the first account, in place of any earlier one.
    pub async fn replace_first_account_link(
        &self,
        link: Digest,
        expires_at: Timestamp,
        change: Change,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        tx.execute("DELETE FROM links WHERE kind = 'first_account'", []).await?;
        tx.execute(
            "INSERT INTO links (digest, kind, created_at, expires_at) VALUES ($1, 'first_account', $2, $3)",
            [digest(&link), time(change.at), time(expires_at)],
        )
        .await?;
        tx.commit().await
    }

    /// A link that works at `now`. Looking does not use it up.
    pub async fn find_link(&self, link: Digest, now: Timestamp) -> Result<Option<LinkRecord>, Error> {
        let row: Option<LinkRow> = self
            .reader()
            .optional(
                "SELECT kind, account_id, user_id, return_to, expires_at FROM links
                 WHERE digest = $1 AND used_at IS NULL AND expires_at > $2",
                [digest(&link), time(now)],
            )
            .await?;
        row.map(LinkRow::into_record).transpose()
    }

    /// Drops links that have ended at `now`, used or not, at most `batch`; how many went.
    pub async fn prune_links(&self, now: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM links WHERE digest IN
                     (SELECT digest FROM links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                [time(now), count(u64::from(batch))],
            )
            .await
    }
}
