//! The feed of changes. A change's number comes from one row whose lock is held until commit, so the order
//! of numbers is the order of commits and of visibility, without gaps.

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::sql::{NumberRow, Transaction};
use crate::value::{bytes, count, optional_text, read_digest, read_optional_id, time};

/// The most entries that one call reads.
const MAX_ENTRIES: u32 = 10_000;

/// What a change tells the verifiers.
#[derive(Debug, Clone)]
pub(crate) struct News {
    pub(crate) kind: FeedKind,
    pub(crate) account_id: Option<AccountId>,
    pub(crate) key_id: Option<KeyId>,
    pub(crate) digests: Vec<Digest>,
}

impl News {
    pub(crate) fn of_account(id: AccountId) -> Self {
        Self { kind: FeedKind::Account, account_id: Some(id), key_id: None, digests: Vec::new() }
    }

    pub(crate) fn of_set(kind: FeedKind) -> Self {
        Self { kind, account_id: None, key_id: None, digests: Vec::new() }
    }
}

/// Gives the change its number. Comes last before `state_number` and commit: from here on every other
/// change waits for this transaction.
pub(crate) async fn publish(tx: &Transaction, change: &Change, news: News) -> Result<FeedNumber, Error> {
    let head: NumberRow = tx
        .one(
            "UPDATE feed_head SET number = number + 1, tag = $1 RETURNING number AS value",
            [change.tag.into()],
        )
        .await?;
    let digests: Vec<u8> = news.digests.iter().flat_map(|digest| digest.0).collect();
    tx.execute(
        "INSERT INTO feed (number, tag, kind, account_id, key_id, digests, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            head.value.into(),
            change.tag.into(),
            i64::from(news.kind.to_number()).into(),
            optional_text(news.account_id),
            optional_text(news.key_id),
            bytes(&digests),
            time(change.at),
        ],
    )
    .await?;
    Ok(head.value)
}

#[derive(FromQueryResult)]
struct HeadRow {
    number: i64,
    tag: i64,
    oldest: i64,
}

#[derive(FromQueryResult)]
struct EntryRow {
    number: i64,
    tag: i64,
    kind: i64,
    account_id: Option<String>,
    key_id: Option<String>,
    digests: Vec<u8>,
}

impl EntryRow {
    fn into_entry(self) -> Result<FeedEntry, Error> {
        // A kind that does not even fit is as unknown as any other newer one.
        let kind = FeedKind::from_number(i16::try_from(self.kind).unwrap_or(i16::MAX));
        Ok(FeedEntry {
            number: self.number,
            tag: self.tag,
            kind,
            account_id: read_optional_id(self.account_id.as_deref())?,
            key_id: read_optional_id(self.key_id.as_deref())?,
            digests: self.digests.chunks(32).map(read_digest).collect::<Result<_, _>>()?,
        })
    }
}

impl Store {
    /// The newest position.
    pub async fn feed_head(&self) -> Result<FeedHead, Error> {
        let row: HeadRow = self.feed_reader().one("SELECT number, tag, oldest FROM feed_head", []).await?;
        Ok(FeedHead { number: row.number, tag: row.tag, oldest: row.oldest })
    }

    /// Entries from `from` on, that one included, in order.
    pub async fn feed_entries(&self, from: FeedNumber, limit: u32) -> Result<Vec<FeedEntry>, Error> {
        let rows: Vec<EntryRow> = self
            .feed_reader()
            .all(
                "SELECT number, tag, kind, account_id, key_id, digests FROM feed
                 WHERE number >= $1 ORDER BY number LIMIT $2",
                [from.into(), i64::from(limit.min(MAX_ENTRIES)).into()],
            )
            .await?;
        rows.into_iter().map(EntryRow::into_entry).collect()
    }

    /// Drops entries older than `before` from the old end, at most `batch`; how many went. The newest entry
    /// stays, so that its tag can be compared.
    pub async fn prune_feed(&self, before: Timestamp, batch: u32) -> Result<u64, Error> {
        // Committed entries do not change, so where to cut can be read before the transaction. Clocks of
        // nodes differ: the cut is at the first entry that is young enough, so that no gap appears.
        let cut: NumberRow = self
            .reader()
            .one(
                "SELECT CASE WHEN young.number < head.oldest + $2 THEN young.number ELSE head.oldest + $2 END
                        AS value
                 FROM feed_head AS head CROSS JOIN (
                     SELECT COALESCE(min(number), (SELECT number FROM feed_head)) AS number
                     FROM feed WHERE at >= $1
                 ) AS young",
                [time(before), count(u64::from(batch))],
            )
            .await?;
        let tx = self.writer().begin().await?;
        let dropped = tx.execute("DELETE FROM feed WHERE number < $1", [cut.value.into()]).await?;
        if dropped > 0 {
            tx.execute("UPDATE feed_head SET oldest = $1 WHERE oldest < $1", [cut.value.into()]).await?;
        }
        tx.commit().await?;
        Ok(dropped)
    }
}
