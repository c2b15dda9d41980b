//! Tokens of the operator API.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::TokenId;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::text::Name;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::{Scope, Token};
use sea_orm::FromQueryResult;

use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::idempotency::{self, Idempotency};
use crate::open::Store;
use crate::page::{Page, PageRequest};
use crate::sql::{NumberRow, Transaction};
use crate::value::{
    digest, optional_time, read, read_digest, read_id, read_optional_time, read_time, text, time,
};

/// The most tokens that work at once: every verifier holds all of them in memory.
const MAX_LIVE_TOKENS: i64 = 1_000;

/// A token about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Id.
    pub id: TokenId,
    /// Digest of its secret.
    pub digest: Digest,
    /// What its maker calls it.
    pub name: Name,
    /// What it may do.
    pub scope: Scope,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Every token that works, in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedTokens {
    /// Newest change that the snapshot takes into account.
    pub head: FeedNumber,
    /// The tokens.
    pub tokens: Vec<(Digest, Token)>,
}

#[derive(FromQueryResult)]
struct TokenRow {
    id: String,
    name: String,
    scope: String,
    created_at: i64,
    expires_at: Option<i64>,
}

impl TokenRow {
    fn into_token(self) -> Result<Token, Error> {
        Ok(Token {
            id: read_id(&self.id)?,
            name: read(Name::parse(&self.name), "a token's name")?,
            scope: Scope::parse(&self.scope).ok_or_else(|| Error::corrupt("a token's scope"))?,
            created_at: read_time(self.created_at),
            expires_at: read_optional_time(self.expires_at),
        })
    }
}

/// A row of the outer join: the head always, a token perhaps.
struct SnapshotRow {
    head: i64,
    token: Option<(Vec<u8>, TokenRow)>,
}

impl FromQueryResult for SnapshotRow {
    fn from_query_result(row: &sea_orm::QueryResult, prefix: &str) -> Result<Self, sea_orm::DbErr> {
        let digest: Option<Vec<u8>> = row.try_get(prefix, "digest")?;
        let token = match digest {
            Some(digest) => Some((digest, TokenRow::from_query_result(row, prefix)?)),
            None => None,
        };
        Ok(Self { head: row.try_get(prefix, "head")?, token })
    }
}

#[derive(FromQueryResult)]
struct DeletionRow {
    deleted_at: Option<i64>,
    state_number: i64,
}

/// Tokens change one at a time.
async fn lock(tx: &Transaction) -> Result<(), Error> {
    tx.execute("UPDATE revisions SET revision = revision + 1 WHERE name = 'tokens'", []).await?;
    Ok(())
}

impl Store {
    /// Makes a token if there is room for one more.
    pub async fn insert_token(
        &self,
        new: NewToken,
        idempotency: Option<Idempotency>,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<Token>, Error> {
        let tx = self.begin().await?;
        lock(&tx).await?;
        idempotency::claim(&tx, &change, idempotency, new.id).await?;
        let live: NumberRow = tx
            .one(
                "SELECT count(*) AS value FROM tokens
                 WHERE deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $1)",
                [time(change.at)],
            )
            .await?;
        if live.value >= MAX_LIVE_TOKENS {
            return Err(Error::TokenLimitReached);
        }
        tx.execute(
            "INSERT INTO tokens (id, digest, name, scope, created_at, expires_at, state_number)
             VALUES ($1, $2, $3, $4, $5, $6, 0)",
            [
                text(new.id),
                digest(&new.digest),
                text(&new.name),
                text(new.scope.as_str()),
                time(change.at),
                optional_time(new.expires_at),
            ],
        )
        .await?;
        audit::append(&tx, &change, &[event]).await?;
        let number = feed::publish(&tx, &change, News::of_token(new.id)).await?;
        tx.commit().await?;
        let NewToken { id, name, scope, expires_at, .. } = new;
        Ok(Committed::done(Token { id, name, scope, created_at: change.at, expires_at }, number))
    }

    /// Tokens that are not deleted, newest first.
    pub async fn list_tokens(&self, page: PageRequest) -> Result<Page<Token>, Error> {
        let [after_time, after_id] = page.position();
        let rows: Vec<TokenRow> = self
            .reader()
            .all(
                "SELECT id, name, scope, created_at, expires_at FROM tokens
                 WHERE deleted_at IS NULL AND (created_at, id) < ($1, $2)
                 ORDER BY created_at DESC, id DESC LIMIT $3",
                [after_time, after_id, page.probe()],
            )
            .await?;
        let items = rows.into_iter().map(TokenRow::into_token).collect::<Result<_, _>>()?;
        Ok(Page::cut(items, page.limit))
    }

    /// One token that is not deleted.
    pub async fn find_token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        let row: Option<TokenRow> = self
            .reader()
            .optional(
                "SELECT id, name, scope, created_at, expires_at FROM tokens
                 WHERE id = $1 AND deleted_at IS NULL",
                [text(id)],
            )
            .await?;
        row.map(TokenRow::into_token).transpose()
    }

    /// Deletes a token. Repeating it changes nothing.
    pub async fn delete_token(
        &self,
        id: TokenId,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<()>, Error> {
        let tx = self.begin().await?;
        lock(&tx).await?;
        let row: Option<DeletionRow> =
            tx.optional("SELECT deleted_at, state_number FROM tokens WHERE id = $1", [text(id)]).await?;
        let row = row.ok_or(Error::NotFound)?;
        if row.deleted_at.is_some() {
            tx.rollback().await?;
            return Ok(Committed::unchanged((), row.state_number));
        }
        tx.execute("UPDATE tokens SET deleted_at = $2 WHERE id = $1", [text(id), time(change.at)]).await?;
        audit::append(&tx, &change, &[event]).await?;
        let number = feed::publish(&tx, &change, News::of_token(id)).await?;
        tx.commit().await?;
        Ok(Committed::done((), number))
    }

    /// Every token that works at `now`, with the position of the feed at that moment.
    pub async fn load_tokens(&self, now: Timestamp) -> Result<LoadedTokens, Error> {
        let rows: Vec<SnapshotRow> = self
            .reader()
            .all(
                "SELECT h.number AS head, t.digest, t.id, t.name, t.scope, t.created_at, t.expires_at
                 FROM feed_head AS h
                 LEFT JOIN tokens AS t
                     ON t.deleted_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $1)",
                [time(now)],
            )
            .await?;
        let head = rows.first().map(|row| row.head);
        let head = head.ok_or_else(|| Error::corrupt("the feed's head is missing"))?;
        let tokens = rows.into_iter().filter_map(|row| row.token);
        let tokens = tokens.map(|(digest, row)| Ok((read_digest(&digest)?, row.into_token()?)));
        Ok(LoadedTokens { head, tokens: tokens.collect::<Result<_, Error>>()? })
    }
}
