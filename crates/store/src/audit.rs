//! The audit trail: events are written in the transaction of what they report, and linked by hashes.

use rndrkit_domain::audit::{Actor, ActorType, NewEvent, StoredEvent};
use rndrkit_domain::id::AccountId;
use sea_orm::FromQueryResult;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use crate::audit_chain::{Link, LinkedRow, Personal, Public};
use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::outbox;
use crate::page::{Page, probe};
use crate::sql::Transaction;
use crate::value::{bytes, optional_text, read_id, read_optional_id, read_time, text};

/// Appends events in order, and puts aside the mail that tells of them. The trail's head is one row, so this
/// comes after everything but the feed.
pub(crate) async fn append(tx: &Transaction, change: &Change, events: &[NewEvent]) -> Result<(), Error> {
    // Before the head's row is taken, for which every other change waits.
    for event in events {
        outbox::enqueue_event(tx, event).await?;
    }
    for (index, event) in events.iter().enumerate() {
        append_one(tx, event, &salt_of(change, index)).await?;
    }
    Ok(())
}

/// Every event has a salt of its own, so that equal names have unequal hashes.
fn salt_of(change: &Change, index: usize) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(change.salt);
    hasher.update(index.to_le_bytes());
    hasher.finalize().into()
}

#[derive(FromQueryResult)]
struct HeadRow {
    seq: i64,
    hash: Vec<u8>,
}

async fn append_one(tx: &Transaction, event: &NewEvent, salt: &[u8]) -> Result<(), Error> {
    let head: HeadRow = tx.one("UPDATE audit_head SET seq = seq + 1 RETURNING seq, hash", []).await?;
    let ip = event.origin.ip.map(|ip| ip.to_string());
    let personal = Personal {
        actor_name: event.actor.name.as_deref(),
        ip: ip.as_deref(),
        user_agent: event.origin.user_agent.as_deref(),
    };
    let personal_hash = personal.hash(salt);
    let public = public_of(event)?;
    let hash = public.hash(head.seq, &Link { previous: &head.hash, personal: &personal_hash });
    tx.execute(
        "INSERT INTO audit_events (seq, id, at, action, actor_type, actor_id, actor_name, account_id,
             target_type, target_id, ip, user_agent, request_id, details, personal_salt, personal_hash,
             previous_hash, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        [
            head.seq.into(),
            text(&public.id),
            public.at.into(),
            text(&public.action),
            text(&public.actor_type),
            optional_text(public.actor_id.as_ref()),
            optional_text(personal.actor_name),
            optional_text(public.account_id.as_ref()),
            text(&public.target_type),
            text(&public.target_id),
            optional_text(personal.ip),
            optional_text(personal.user_agent),
            optional_text(public.request_id.as_ref()),
            text(&public.details),
            bytes(salt),
            bytes(&personal_hash),
            bytes(&head.hash),
            bytes(&hash),
        ],
    )
    .await?;
    tx.execute("UPDATE audit_head SET hash = $1", [bytes(&hash)]).await?;
    Ok(())
}

fn public_of(event: &NewEvent) -> Result<Public, Error> {
    let details: Map<String, Json> =
        event.details.iter().map(|(name, value)| ((*name).to_owned(), Json::from(value.as_str()))).collect();
    Ok(Public {
        id: event.id.to_string(),
        at: event.at.unix_ms(),
        action: event.action.as_str().to_owned(),
        actor_type: event.actor.kind.as_str().to_owned(),
        actor_id: event.actor.id.clone(),
        account_id: event.account_id.map(|id| id.to_string()),
        target_type: event.target.kind.to_owned(),
        target_id: event.target.id.clone(),
        request_id: event.origin.request_id.map(|id| id.to_string()),
        details: serde_json::to_string(&details).map_err(|_| Error::corrupt("details of an audit event"))?,
    })
}

/// Erases who did it from an account's events. Their hashes stay, so the chain stays whole.
pub(crate) async fn erase_people(tx: &Transaction, account_id: AccountId) -> Result<(), Error> {
    tx.execute(
        "UPDATE audit_events SET actor_name = NULL, ip = NULL, user_agent = NULL, personal_salt = NULL
         WHERE account_id = $1",
        [text(account_id)],
    )
    .await?;
    Ok(())
}

/// A page of events under a condition, newest first; `$2` is how many. One statement for each condition, so
/// that SQLite uses the index: an account's events are few among those of everybody.
macro_rules! events_where {
    ($condition:literal) => {
        concat!(
            "SELECT seq, id, at, action, actor_type, actor_id, actor_name, account_id, target_type,
               target_id, ip, user_agent, request_id, details
             FROM audit_events WHERE ",
            $condition,
            " ORDER BY seq DESC LIMIT $2"
        )
    };
}

/// One event by its id.
pub(crate) const EVENT_BY_ID: &str =
    "SELECT seq, id, at, action, actor_type, actor_id, actor_name, account_id, target_type, target_id, ip,
            user_agent, request_id, details
     FROM audit_events WHERE id = $1";

#[derive(FromQueryResult)]
pub(crate) struct EventRow {
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
}

impl EventRow {
    pub(crate) fn into_event(self) -> Result<(i64, StoredEvent), Error> {
        let event = StoredEvent {
            id: read_id(&self.id)?,
            at: read_time(self.at),
            action: self.action,
            actor: read_actor(&self.actor_type, self.actor_id, self.actor_name)?,
            account_id: read_optional_id(self.account_id.as_deref())?,
            target_kind: self.target_type,
            target_id: self.target_id,
            ip: self.ip,
            user_agent: self.user_agent,
            request_id: self.request_id,
            details: read_details(&self.details)?,
        };
        Ok((self.seq, event))
    }
}

fn read_actor(kind: &str, id: Option<String>, name: Option<String>) -> Result<Actor, Error> {
    let kind = ActorType::parse(kind).ok_or_else(|| Error::corrupt("an audit event's kind of actor"))?;
    Ok(Actor { kind, id, name })
}

fn read_details(text: &str) -> Result<Vec<(String, String)>, Error> {
    let details: Map<String, Json> =
        serde_json::from_str(text).map_err(|_| Error::corrupt("an audit event's details are not JSON"))?;
    let details = details.into_iter();
    Ok(details
        .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect())
}

/// The event of a row that was read with its hashes.
pub(crate) fn event_of_row(row: LinkedRow) -> Result<StoredEvent, Error> {
    Ok(StoredEvent {
        id: read_id(&row.id)?,
        at: read_time(row.at),
        action: row.action,
        actor: read_actor(&row.actor_type, row.actor_id, row.actor_name)?,
        account_id: read_optional_id(row.account_id.as_deref())?,
        target_kind: row.target_type,
        target_id: row.target_id,
        ip: row.ip,
        user_agent: row.user_agent,
        request_id: row.request_id,
        details: read_details(&row.details)?,
    })
}

impl Store {
    /// Writes an event that belongs to no other change.
    pub async fn append_event(&self, change: Change, event: NewEvent) -> Result<(), Error> {
        let tx = self.begin().await?;
        append(&tx, &change, &[event]).await?;
        tx.commit().await
    }

    /// Events, newest first, with their positions; only those of one account if given.
    pub async fn list_events(
        &self,
        account_id: Option<AccountId>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<Page<(i64, StoredEvent)>, Error> {
        let after = after.unwrap_or(i64::MAX);
        let rows: Vec<EventRow> = match account_id {
            Some(id) => {
                self.reader()
                    .all(
                        events_where!("account_id = $3 AND seq < $1"),
                        [after.into(), probe(limit), text(id)],
                    )
                    .await?
            }
            None => self.reader().all(events_where!("seq < $1"), [after.into(), probe(limit)]).await?,
        };
        let items = rows.into_iter().map(EventRow::into_event).collect::<Result<_, _>>()?;
        Ok(Page::cut(items, limit))
    }
}
