//! An account's own part of the audit trail, filtered, with what is needed to recompute each event's hash.

use std::collections::BTreeMap;

use rndrkit_domain::audit::{Action, ActorType, StoredEvent};
use rndrkit_domain::id::{AccountId, KeyId, UserId};
use rndrkit_domain::text::Name;
use rndrkit_domain::time::Timestamp;
use sea_orm::{DbBackend, FromQueryResult};

use crate::audit;
use crate::audit_chain::{LinkedRow, linked_columns};
use crate::error::Error;
use crate::open::Store;
use crate::page::{Page, probe};
use crate::value::{optional_text, optional_time, read, read_id, text};

/// Keys whose names are looked up in one statement: as many as a page may have events.
const MAX_NAMES: usize = 1_000;

/// Whose events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityActor {
    /// One person's.
    User(UserId),
    /// Those of all of a kind.
    Kind(ActorType),
}

/// Which of an account's events are wanted; what is none filters nothing.
#[derive(Debug, Clone, Default)]
pub struct ActivityFilter {
    /// What was done.
    pub actions: Option<Vec<Action>>,
    /// To which key.
    pub key: Option<KeyId>,
    /// By whom; a refused sign-in as somebody counts as theirs.
    pub actor: Option<ActivityActor>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityPlace {
    /// The newest events.
    Newest,
    /// Those before this position.
    Before(i64),
    /// Those after this position.
    After(i64),
}

/// An event with its place in the chain.
#[derive(Debug, Clone)]
pub struct ChainedEvent {
    /// Position.
    pub seq: i64,
    /// The event.
    pub event: StoredEvent,
    /// The event's details, letter by letter as they are hashed.
    pub details_text: String,
    /// Salt of what names a person; none once that was erased.
    pub personal_salt: Option<Vec<u8>>,
    /// Hash of what names a person.
    pub personal_hash: Vec<u8>,
    /// Hash of the event before, whoever's it is.
    pub previous_hash: Vec<u8>,
    /// Its own hash.
    pub hash: Vec<u8>,
}

/// A page under the condition on `$5`, the key, and at its place; `$2` is how many. One statement for each condition:
/// under `target_id = $5 OR $5 IS NULL` SQLite reads all events of the account.
macro_rules! activity_where {
    ($key:literal, $place:literal) => {
        concat!(
            "SELECT ",
            linked_columns!(),
            " FROM audit_events
             WHERE account_id = $3
               AND ($4 IS NULL OR $4 LIKE '%,' || action || ',%')
               AND ($6 IS NULL OR actor_id = $6 OR (action = 'user.sign_in_failed' AND target_id = $6))
               AND ($7 IS NULL OR actor_type = $7)
               AND ($8 IS NULL OR at >= $8)
               AND ($9 IS NULL OR at < $9)
               AND ",
            $key,
            " AND ",
            $place,
            " LIMIT $2"
        )
    };
}

const UPWARDS: &str = activity_where!("$5 IS NULL", "seq > $1 ORDER BY seq");
const DOWNWARDS: &str = activity_where!("$5 IS NULL", "seq < $1 ORDER BY seq DESC");
const OF_KEY_UPWARDS: &str = activity_where!("target_id = $5", "seq > $1 ORDER BY seq");
const OF_KEY_DOWNWARDS: &str = activity_where!("target_id = $5", "seq < $1 ORDER BY seq DESC");

#[derive(FromQueryResult)]
struct NameRow {
    id: String,
    name: String,
}

fn chained(row: LinkedRow) -> Result<ChainedEvent, Error> {
    Ok(ChainedEvent {
        seq: row.seq,
        details_text: row.details.clone(),
        personal_salt: row.personal_salt.clone(),
        personal_hash: row.personal_hash.clone(),
        previous_hash: row.previous_hash.clone(),
        hash: row.hash.clone(),
        event: audit::event_of_row(row)?,
    })
}

impl Store {
    /// An account's events, newest first whatever the place.
    pub async fn list_activity(
        &self,
        account_id: AccountId,
        filter: &ActivityFilter,
        place: ActivityPlace,
        limit: u32,
    ) -> Result<Page<ChainedEvent>, Error> {
        let words = filter.actions.as_ref().map(|actions| {
            actions.iter().fold(",".to_owned(), |words, action| words + action.as_str() + ",")
        });
        let (user, kind) = match filter.actor {
            Some(ActivityActor::User(id)) => (Some(id), None),
            Some(ActivityActor::Kind(kind)) => (None, Some(kind.as_str())),
            None => (None, None),
        };
        let position = match place {
            ActivityPlace::Newest => i64::MAX,
            ActivityPlace::Before(seq) | ActivityPlace::After(seq) => seq,
        };
        let values = [
            position.into(),
            probe(limit),
            text(account_id),
            optional_text(words),
            optional_text(filter.key),
            optional_text(user),
            optional_text(kind),
            optional_time(filter.from),
            optional_time(filter.until),
        ];
        let upwards = matches!(place, ActivityPlace::After(_));
        let statement = match (filter.key, upwards) {
            (None, true) => UPWARDS,
            (None, false) => DOWNWARDS,
            (Some(_), true) => OF_KEY_UPWARDS,
            (Some(_), false) => OF_KEY_DOWNWARDS,
        };
        let rows: Vec<LinkedRow> = self.reader().all(statement, values).await?;
        let mut page = Page::cut(rows.into_iter().map(chained).collect::<Result<_, _>>()?, limit);
        if upwards {
            page.items.reverse();
        }
        Ok(page)
    }

    /// Names of an account's keys, also of those that have ended; others are left out, and so is what is beyond a
    /// thousand.
    pub async fn names_of_keys(
        &self,
        account_id: AccountId,
        ids: &[KeyId],
    ) -> Result<BTreeMap<KeyId, Name>, Error> {
        let ids = ids.get(..ids.len().min(MAX_NAMES)).unwrap_or_default();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sqlite = self.reader().backend() == DbBackend::Sqlite;
        let places: Vec<String> =
            (2..ids.len() + 2).map(|n| if sqlite { "?".to_owned() } else { format!("${n}") }).collect();
        let sql = format!(
            "SELECT id, name FROM api_keys WHERE account_id = {} AND id IN ({})",
            if sqlite { "?" } else { "$1" },
            places.join(", ")
        );
        let values = std::iter::once(text(account_id)).chain(ids.iter().map(text)).collect();
        let rows = self.reader().rows_built(sql, values).await?;
        rows.iter()
            .map(|row| {
                let row = NameRow::from_query_result(row, "")?;
                Ok((read_id(&row.id)?, read(Name::parse(&row.name), "a key's name")?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rndrkit_testkit::database::{TestDatabase, on_sqlite};
    use sea_orm::Value;

    use super::*;
    use crate::open::OpenOptions;

    #[test]
    fn events_of_a_key_are_read_by_the_key() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            for (statement, index) in [
                (OF_KEY_UPWARDS, "audit_events_by_target (account_id=? AND target_id=? AND seq>?)"),
                (OF_KEY_DOWNWARDS, "audit_events_by_target (account_id=? AND target_id=? AND seq<?)"),
                (UPWARDS, "audit_events_by_account (account_id=? AND seq>?)"),
                (DOWNWARDS, "audit_events_by_account (account_id=? AND seq<?)"),
            ] {
                let values = (0..9).map(|_| Value::from("x")).collect();
                let plan = store
                    .reader()
                    .rows_built(format!("EXPLAIN QUERY PLAN {statement}"), values)
                    .await
                    .unwrap();
                let steps: Vec<String> = plan.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
                assert_eq!(steps, [format!("SEARCH audit_events USING INDEX {index}")]);
            }
        });
    }
}
