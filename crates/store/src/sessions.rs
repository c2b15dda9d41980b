//! Sessions of the dashboard. They decide about no API request, so they have no feed number.

use std::net::IpAddr;

use rndrkit_domain::account::{Account, User};
use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::notification::{NEW_PLACE, NEW_PLACE_YES};
use rndrkit_domain::place::Place;
use rndrkit_domain::text::Email;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::accounts::{self, AccountRow, account_columns};
use crate::audit;
use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::passwords;
use crate::places;
use crate::sql::{NumberRow, Transaction};
use crate::value::{
    bytes, count, digest, optional_text, read, read_digest, read_id, read_optional_id, read_time, text, time,
};

/// Sessions listed at once: more browsers than anybody has. Beyond it "sign out everywhere" still reaches them.
const MAX_LISTED: i64 = 100;

/// What is known of a session before it is known whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSeed {
    /// Digest of the cookie's value.
    pub digest: Digest,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's own description of itself.
    pub user_agent: Option<String>,
    /// Where the client sits, as a person's places are told apart.
    pub place: Place,
}

/// A session about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Cookie, end and client.
    pub seed: SessionSeed,
    /// Whose dashboard it opens.
    pub account_id: AccountId,
    /// Who signed in; none when an operator's link opened it.
    pub user_id: Option<UserId>,
}

/// A running session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Whose dashboard it opens.
    pub account: Account,
    /// Who signed in; none when an operator's link opened it.
    pub user: Option<User>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, roughly.
    pub last_seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
}

/// A session, as the list of them shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionListing {
    /// Digest of the cookie's value. It names the session, and is never shown.
    pub digest: Digest,
    /// Who signed in; none when an operator's link opened it.
    pub user_id: Option<UserId>,
    /// The client's address when it began.
    pub ip: Option<String>,
    /// The client's own description of itself when it began.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, roughly.
    pub last_seen_at: Timestamp,
}

/// Sessions about to be ended: those of a person, and those that a link opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndSessions {
    /// The account whose dashboard they open.
    pub account_id: AccountId,
    /// Whose they are; none: only those that a link opened.
    pub user_id: Option<UserId>,
    /// The one that asks. It must still run.
    pub asking: Digest,
    /// Whether that one ends too.
    pub this_too: bool,
}

/// A session about to be ended by another one, or by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndSession {
    /// The account whose dashboard both open.
    pub account_id: AccountId,
    /// Whose they are; none: only one that a link opened.
    pub user_id: Option<UserId>,
    /// The one that asks. It must still run.
    pub asking: Digest,
    /// The one that ends.
    pub ended: Digest,
}

#[derive(FromQueryResult)]
struct ListedRow {
    digest: Vec<u8>,
    user_id: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    created_at: i64,
    last_seen_at: i64,
}

impl ListedRow {
    fn into_listing(self) -> Result<SessionListing, Error> {
        Ok(SessionListing {
            digest: read_digest(&self.digest)?,
            user_id: read_optional_id(self.user_id.as_deref())?,
            ip: self.ip,
            user_agent: self.user_agent,
            created_at: read_time(self.created_at),
            last_seen_at: read_time(self.last_seen_at),
        })
    }
}

#[derive(FromQueryResult)]
struct SessionRow {
    began_at: i64,
    last_seen_at: i64,
    expires_at: i64,
    user_id: Option<String>,
    user_email: Option<String>,
    user_created_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct SessionWithAccount {
    #[sea_orm(nested)]
    session: SessionRow,
    #[sea_orm(nested)]
    account: AccountRow,
}

impl SessionWithAccount {
    fn into_record(self) -> Result<SessionRecord, Error> {
        let account = self.account.into_account()?;
        let session = self.session;
        let user = match (session.user_id, session.user_email, session.user_created_at) {
            (Some(id), Some(email), Some(created_at)) => Some(User {
                id: read_id(&id)?,
                account_id: account.id,
                email: read(Email::parse(&email), "a user's address")?,
                created_at: read_time(created_at),
            }),
            _ => None,
        };
        Ok(SessionRecord {
            account,
            user,
            created_at: read_time(session.began_at),
            last_seen_at: read_time(session.last_seen_at),
            expires_at: read_time(session.expires_at),
        })
    }
}

/// Writes a session; whether it begins at a place that is new to the person. The account's lock is held.
pub(crate) async fn insert(tx: &Transaction, new: &NewSession, change: &Change) -> Result<bool, Error> {
    tx.execute(
        "INSERT INTO sessions (digest, account_id, user_id, created_at, last_seen_at, expires_at, user_agent,
             ip)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
        [
            digest(&new.seed.digest),
            text(new.account_id),
            optional_text(new.user_id),
            time(change.at),
            time(new.seed.expires_at),
            optional_text(new.seed.user_agent.as_ref()),
            optional_text(new.seed.ip),
        ],
    )
    .await?;
    match new.user_id {
        Some(user_id) => places::remember(tx, user_id, &new.seed.place, change.at).await,
        None => Ok(false),
    }
}

/// Insists that the session which asks still runs: of two browsers that sign each other out one is first, and the
/// other is out. The account's lock is held.
async fn require_running(tx: &Transaction, account_id: AccountId, asking: Digest) -> Result<(), Error> {
    let still_runs: Option<NumberRow> = tx
        .optional(
            "SELECT created_at AS value FROM sessions WHERE digest = $1 AND account_id = $2",
            [digest(&asking), text(account_id)],
        )
        .await?;
    still_runs.map(|_| ()).ok_or(Error::NotFound)
}

/// The event of a session that has begun, with the place if it is new.
pub(crate) fn marked(mut event: NewEvent, is_new_place: bool) -> NewEvent {
    if is_new_place {
        event.details.push((NEW_PLACE, NEW_PLACE_YES.to_owned()));
    }
    event
}

impl Store {
    /// Begins a session. With the hash that a password was checked against, only while that one is still in force:
    /// a sign-in with the old password must not outlive its change. The event says so when the place is new.
    pub async fn insert_session(
        &self,
        new: NewSession,
        checked_hash: Option<&str>,
        change: Change,
        event: NewEvent,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        accounts::lock(&tx, new.account_id).await?;
        if let (Some(user_id), Some(hash)) = (new.user_id, checked_hash) {
            passwords::require(&tx, user_id, hash).await?;
        }
        let is_new_place = insert(&tx, &new, &change).await?;
        audit::append(&tx, &change, &[marked(event, is_new_place)]).await?;
        tx.commit().await
    }

    /// A session that has not ended at `now`.
    pub async fn find_session(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, Error> {
        let row: Option<SessionWithAccount> = self
            .reader()
            .optional(
                concat!(
                    "SELECT s.created_at AS began_at, s.last_seen_at, s.expires_at,
                            u.id AS user_id, u.email AS user_email, u.created_at AS user_created_at, ",
                    account_columns!(),
                    " FROM sessions AS s
                      JOIN accounts ON accounts.id = s.account_id AND accounts.deleted_at IS NULL
                      LEFT JOIN users AS u ON u.id = s.user_id
                      WHERE s.digest = $2 AND s.expires_at > $1"
                ),
                [time(now), digest(&session)],
            )
            .await?;
        row.map(SessionWithAccount::into_record).transpose()
    }

    /// Notes that a session was used. Never backwards.
    pub async fn touch_session(&self, session: Digest, at: Timestamp) -> Result<(), Error> {
        self.writer()
            .execute(
                "UPDATE sessions SET last_seen_at = $2 WHERE digest = $1 AND last_seen_at < $2",
                [digest(&session), time(at)],
            )
            .await?;
        Ok(())
    }

    /// Ends a session. The event is written only if there was one; whether there was.
    pub async fn delete_session(
        &self,
        session: Digest,
        change: Change,
        event: Option<NewEvent>,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        // The account's lock comes first here too.
        tx.execute(
            "UPDATE accounts SET rev = rev WHERE id = (SELECT account_id FROM sessions WHERE digest = $1)",
            [digest(&session)],
        )
        .await?;
        let ended = tx.execute("DELETE FROM sessions WHERE digest = $1", [digest(&session)]).await? > 0;
        if let (true, Some(event)) = (ended, event) {
            audit::append(&tx, &change, &[event]).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Sessions that open this account's dashboard to a person or through a link, the last used first: not past their
    /// end at `now`, and seen after `seen_after`. Other people's are left out.
    pub async fn list_sessions(
        &self,
        account_id: AccountId,
        user_id: Option<UserId>,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Result<Vec<SessionListing>, Error> {
        let rows: Vec<ListedRow> = self
            .reader()
            .all(
                "SELECT digest, user_id, ip, user_agent, created_at, last_seen_at FROM sessions
                 WHERE account_id = $1 AND (user_id IS NULL OR user_id = $2)
                     AND expires_at > $3 AND last_seen_at > $4
                 ORDER BY last_seen_at DESC, created_at DESC, digest LIMIT $5",
                [text(account_id), optional_text(user_id), time(now), time(seen_after), MAX_LISTED.into()],
            )
            .await?;
        rows.into_iter().map(ListedRow::into_listing).collect()
    }

    /// Ends one session of those that [`Store::list_sessions`] lists; whether it was one of them and still there.
    /// Not found when the one that asks has ended.
    pub async fn end_session(
        &self,
        which: EndSession,
        change: Change,
        event: NewEvent,
    ) -> Result<bool, Error> {
        let EndSession { account_id, user_id, asking, ended: session } = which;
        let tx = self.begin().await?;
        accounts::lock(&tx, account_id).await?;
        require_running(&tx, account_id, asking).await?;
        let ended = tx
            .execute(
                "DELETE FROM sessions
                 WHERE digest = $1 AND account_id = $2 AND (user_id IS NULL OR user_id = $3)",
                [digest(&session), text(account_id), optional_text(user_id)],
            )
            .await?;
        if ended > 0 {
            audit::append(&tx, &change, &[event]).await?;
        }
        tx.commit().await?;
        Ok(ended > 0)
    }

    /// Ends all sessions of a person and those that a link opened, up to the one that asks; how many. The event is
    /// written only if there were any.
    pub async fn end_sessions(
        &self,
        which: EndSessions,
        change: Change,
        event: impl FnOnce(u64) -> NewEvent + Send,
    ) -> Result<u64, Error> {
        let EndSessions { account_id, user_id, asking, this_too } = which;
        let tx = self.begin().await?;
        accounts::lock(&tx, account_id).await?;
        require_running(&tx, account_id, asking).await?;
        let kept = if this_too { bytes(&[]) } else { digest(&asking) };
        let ended = tx
            .execute(
                "DELETE FROM sessions
                 WHERE account_id = $1 AND (user_id IS NULL OR user_id = $2) AND digest <> $3",
                [text(account_id), optional_text(user_id), kept],
            )
            .await?;
        if ended > 0 {
            audit::append(&tx, &change, &[event(ended)]).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Sessions that go on at `now`: not past their end, and seen after `seen_after`.
    pub async fn count_sessions(&self, now: Timestamp, seen_after: Timestamp) -> Result<u64, Error> {
        let row: NumberRow = self
            .reader()
            .one(
                "SELECT count(*) AS value FROM sessions WHERE expires_at > $1 AND last_seen_at > $2",
                [time(now), time(seen_after)],
            )
            .await?;
        Ok(u64::try_from(row.value).unwrap_or_default())
    }

    /// Drops sessions that have ended at `now`, at most `batch`; how many went.
    pub async fn prune_sessions(&self, now: Timestamp, batch: u32) -> Result<u64, Error> {
        self.writer()
            .execute(
                "DELETE FROM sessions WHERE digest IN
                     (SELECT digest FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                [time(now), count(u64::from(batch))],
            )
            .await
    }
}
