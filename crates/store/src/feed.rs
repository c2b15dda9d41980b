//! The feed of changes. A change's number comes from one row whose lock is held until commit, so the order
//! of numbers is the order of commits and of visibility, without gaps.

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::{AccountId, KeyId, TokenId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use sea_orm::{DbBackend, FromQueryResult, Value};

use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::sql::{NumberRow, Transaction};
use crate::value::{bytes, count, optional_text, read_digest, read_optional_id, text, time};

/// The most entries that one call reads.
pub(crate) const MAX_ENTRIES: u32 = 10_000;

/// Reads entries from `$1` on, at most `$2`.
pub(crate) const ENTRIES: &str = "SELECT number, tag, kind, account_id, key_id, digests FROM feed
     WHERE number >= $1 ORDER BY number LIMIT $2";

/// What a change tells the verifiers.
#[derive(Debug, Clone)]
pub(crate) struct News {
    kind: FeedKind,
    account_id: Option<AccountId>,
    key_id: Option<KeyId>,
    digests: Vec<Digest>,
    numbered: Numbered,
}

/// The rows that keep the number of the change. Whoever repeats it waits for that number.
#[derive(Debug, Clone, Copy)]
enum Numbered {
    Nothing,
    Key(KeyId),
    Account(AccountId),
    /// And the keys that end with it.
    DeletedAccount(AccountId),
    Token(TokenId),
}

impl News {
    pub(crate) fn of_key(kind: FeedKind, account_id: AccountId, key_id: KeyId, digests: Vec<Digest>) -> Self {
        let numbered = Numbered::Key(key_id);
        Self { kind, account_id: Some(account_id), key_id: Some(key_id), digests, numbered }
    }

    pub(crate) fn of_account(id: AccountId) -> Self {
        let numbered = Numbered::Account(id);
        Self { account_id: Some(id), numbered, ..Self::of_set(FeedKind::Account) }
    }

    pub(crate) fn of_deleted_account(id: AccountId) -> Self {
        Self { numbered: Numbered::DeletedAccount(id), ..Self::of_account(id) }
    }

    pub(crate) fn of_token(id: TokenId) -> Self {
        Self { numbered: Numbered::Token(id), ..Self::of_set(FeedKind::Tokens) }
    }

    pub(crate) fn of_set(kind: FeedKind) -> Self {
        Self { kind, account_id: None, key_id: None, digests: Vec::new(), numbered: Numbered::Nothing }
    }

    /// Parameters from `$2` on: what stands in the entry beside number and tag.
    fn values(&self, change: &Change) -> [Value; 5] {
        let digests: Vec<u8> = self.digests.iter().flat_map(|digest| digest.0).collect();
        [
            i64::from(self.kind.to_number()).into(),
            optional_text(self.account_id),
            optional_text(self.key_id),
            bytes(&digests),
            time(change.at),
        ]
    }
}

impl Numbered {
    /// The id of the row.
    fn id(self) -> Option<Value> {
        match self {
            Self::Nothing => None,
            Self::Key(id) => Some(text(id)),
            Self::Account(id) | Self::DeletedAccount(id) => Some(text(id)),
            Self::Token(id) => Some(text(id)),
        }
    }
}

/// Gives the change its number, also in the rows that keep it, and tells the nodes. The last statement before the
/// commit: from here on every other change waits for this transaction. On PostgreSQL one statement, so that the
/// wait is for one commit and not for a client's answers too.
pub(crate) async fn publish(tx: &Transaction, change: &Change, news: News) -> Result<FeedNumber, Error> {
    match tx.backend() {
        DbBackend::Postgres => publish_on_postgres(tx, change, &news).await,
        _ => publish_on_sqlite(tx, change, &news).await,
    }
}

/// `$1` is the tag, `$2` to `$6` the entry, `$7` the id of the row that keeps the number. The notification is sent
/// by the server when the transaction commits, and only then.
macro_rules! publishing {
    ($($numbered:literal)?) => {
        concat!(
            "WITH head AS (UPDATE feed_head SET number = number + 1, tag = $1 RETURNING number),
             entry AS (INSERT INTO feed (number, tag, kind, account_id, key_id, digests, at)
                 SELECT number, $1, $2, $3, $4, $5, $6 FROM head)",
            $($numbered,)?
            " SELECT number AS value, pg_notify('rndrkit', number::text)::text AS told
              FROM head"
        )
    };
}

const PUBLISH: &str = publishing!();
const PUBLISH_KEY: &str =
    publishing!(", numbered AS (UPDATE api_keys SET state_number = (SELECT number FROM head) WHERE id = $7)");
const PUBLISH_ACCOUNT: &str =
    publishing!(", numbered AS (UPDATE accounts SET state_number = (SELECT number FROM head) WHERE id = $7)");
const PUBLISH_DELETED_ACCOUNT: &str = publishing!(
    ", numbered AS (UPDATE accounts SET state_number = (SELECT number FROM head) WHERE id = $7),
     ended AS (UPDATE api_keys SET state_number = (SELECT number FROM head)
         WHERE account_id = $7 AND revoked_reason = 'account_deleted')"
);
const PUBLISH_TOKEN: &str =
    publishing!(", numbered AS (UPDATE tokens SET state_number = (SELECT number FROM head) WHERE id = $7)");

async fn publish_on_postgres(tx: &Transaction, change: &Change, news: &News) -> Result<FeedNumber, Error> {
    let statement = match news.numbered {
        Numbered::Nothing => PUBLISH,
        Numbered::Key(_) => PUBLISH_KEY,
        Numbered::Account(_) => PUBLISH_ACCOUNT,
        Numbered::DeletedAccount(_) => PUBLISH_DELETED_ACCOUNT,
        Numbered::Token(_) => PUBLISH_TOKEN,
    };
    let [kind, account_id, key_id, digests, at] = news.values(change);
    let entry = [change.tag.into(), kind, account_id, key_id, digests, at];
    let values = entry.into_iter().chain(news.numbered.id());
    let head: NumberRow = tx.one(statement, values).await?;
    Ok(head.value)
}

async fn publish_on_sqlite(tx: &Transaction, change: &Change, news: &News) -> Result<FeedNumber, Error> {
    let sql = "UPDATE feed_head SET number = number + 1, tag = $1 RETURNING number AS value";
    let head: NumberRow = tx.one(sql, [change.tag.into()]).await?;
    let number = head.value;
    let [kind, account_id, key_id, digests, at] = news.values(change);
    tx.execute(
        "INSERT INTO feed (number, tag, kind, account_id, key_id, digests, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [number.into(), change.tag.into(), kind, account_id, key_id, digests, at],
    )
    .await?;
    let numbered: &[&str] = match news.numbered {
        Numbered::Nothing => &[],
        Numbered::Key(_) => &["UPDATE api_keys SET state_number = $1 WHERE id = $2"],
        Numbered::Account(_) => &["UPDATE accounts SET state_number = $1 WHERE id = $2"],
        Numbered::DeletedAccount(_) => &[
            "UPDATE accounts SET state_number = $1 WHERE id = $2",
            "UPDATE api_keys SET state_number = $1
             WHERE account_id = $2 AND revoked_reason = 'account_deleted'",
        ],
        Numbered::Token(_) => &["UPDATE tokens SET state_number = $1 WHERE id = $2"],
    };
    for sql in numbered {
        let values = [number.into()].into_iter().chain(news.numbered.id());
        tx.execute(sql, values).await?;
    }
    Ok(number)
}

/// The newest number, as this transaction sees it.
pub(crate) async fn newest(tx: &Transaction) -> Result<FeedNumber, Error> {
    let head: NumberRow = tx.one("SELECT number AS value FROM feed_head", []).await?;
    Ok(head.value)
}

#[derive(FromQueryResult)]
struct HeadRow {
    number: i64,
    tag: i64,
    oldest: i64,
}

#[derive(FromQueryResult)]
pub(crate) struct EntryRow {
    number: i64,
    tag: i64,
    kind: i64,
    account_id: Option<String>,
    key_id: Option<String>,
    digests: Vec<u8>,
}

impl EntryRow {
    pub(crate) fn into_entry(self) -> Result<FeedEntry, Error> {
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
        let row: HeadRow = self.aside().one("SELECT number, tag, oldest FROM feed_head", []).await?;
        Ok(FeedHead { number: row.number, tag: row.tag, oldest: row.oldest })
    }

    /// Entries from `from` on, that one included, in order.
    pub async fn feed_entries(&self, from: FeedNumber, limit: u32) -> Result<Vec<FeedEntry>, Error> {
        let rows: Vec<EntryRow> =
            self.aside().all(ENTRIES, [from.into(), i64::from(limit.min(MAX_ENTRIES)).into()]).await?;
        rows.into_iter().map(EntryRow::into_entry).collect()
    }

    /// Waits until every change whose commit is under way has happened or not, whoever waits for its answer:
    /// each holds the head's row from its number to its end. What is looked up afterwards is final, and so an
    /// [`Error::OutcomeUnknown`] can be resolved by looking for the id that the change would have made. The newest
    /// number, which is not below any of them.
    pub async fn settle(&self) -> Result<FeedNumber, Error> {
        let tx = self.begin().await?;
        // SQLite has one writer, who is this transaction now.
        let sql = match tx.backend() {
            DbBackend::Postgres => "SELECT number AS value FROM feed_head FOR UPDATE",
            _ => "SELECT number AS value FROM feed_head",
        };
        let head: NumberRow = tx.one(sql, []).await?;
        tx.rollback().await?;
        Ok(head.value)
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
