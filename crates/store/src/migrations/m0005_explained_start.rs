//! What makes every beginning of an audit trail one that is explained, what secrets that are forgotten have left
//! behind, and indexes for what is read of one key.
//!
//! Only adds and tidies: a node of version 4 goes on as it was.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::for_backend;

/// See the module.
#[derive(Debug)]
pub(crate) struct ExplainedStart;

impl MigrationName for ExplainedStart {
    // Written out: derived from the file's name, a renamed file would be a new migration.
    fn name(&self) -> &'static str {
        "m0005_explained_start"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for ExplainedStart {
    // SQLite migrations run bare by default: a crash half-way would leave half a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        for statement in ROWS.iter().chain(INDEXES) {
            connection.execute_unprepared(&for_backend(backend, statement)).await?;
        }
        connection.execute_unprepared(VERSION).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the older version runs on this schema as it is".to_owned()))
    }
}

const ROWS: &[&str] = &[
    // Up to version 3 retention dropped events and left nothing to say so. From now on only a checkpoint explains
    // why a trail does not begin with event 1; nobody has signed this one, and none is made later.
    "INSERT INTO audit_signatures (seq, kind, hash, at)
     SELECT oldest.seq - 1, 'checkpoint', oldest.previous_hash, oldest.at
     FROM (SELECT seq, previous_hash, at FROM audit_events ORDER BY seq LIMIT 1) AS oldest
     WHERE oldest.seq > 1 AND NOT EXISTS (SELECT 1 FROM audit_signatures WHERE kind = 'checkpoint')",
    // Rotation forgot secrets and left when they were last used. The key's own last use stays.
    "DELETE FROM key_usage
     WHERE NOT EXISTS (SELECT 1 FROM key_secrets AS s WHERE s.digest = key_usage.digest)
         AND EXISTS (SELECT 1 FROM key_usage AS newer
                     WHERE newer.key_id = key_usage.key_id
                         AND (newer.last_used_at, newer.digest) > (key_usage.last_used_at, key_usage.digest))",
    "DELETE FROM sightings WHERE NOT EXISTS (SELECT 1 FROM key_secrets AS s WHERE s.digest = sightings.digest)",
];

const INDEXES: &[&str] = &[
    // An account's networks of the last hours, of two days that are kept.
    "DROP INDEX key_networks_by_account",
    "CREATE INDEX key_networks_by_account ON key_networks (account_id, slot)",
    // With the account in front: SQLite else takes the index that has the account alone.
    "DROP INDEX audit_events_by_target",
    "CREATE INDEX audit_events_by_target ON audit_events (account_id, target_id, seq)",
    // The one checkpoint among the heads of a year.
    "CREATE INDEX audit_signatures_by_kind ON audit_signatures (kind, seq)",
];

const VERSION: &str = "UPDATE schema_version SET version = 5";

#[cfg(test)]
mod tests {
    use rndrkit_testkit::database::{TestDatabase, on_sqlite};

    use crate::open::{OpenOptions, Store};

    #[test]
    fn what_is_read_of_one_account_or_kind_is_found_by_an_index_up_to_the_last_column() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            for (query, index) in [
                (
                    "SELECT network FROM key_networks WHERE account_id = 'a' AND slot >= 1 ORDER BY slot",
                    "key_networks USING INDEX key_networks_by_account (account_id=? AND slot>?)",
                ),
                (
                    "SELECT hash FROM audit_signatures WHERE kind = 'checkpoint' ORDER BY seq DESC LIMIT 1",
                    "audit_signatures USING INDEX audit_signatures_by_kind (kind=?)",
                ),
            ] {
                let plan = store.reader().rows_built(format!("EXPLAIN QUERY PLAN {query}"), Vec::new()).await;
                let steps: Vec<String> =
                    plan.unwrap().iter().map(|row| row.try_get("", "detail").unwrap()).collect();
                assert_eq!(steps, [format!("SEARCH {index}")]);
            }
        });
    }
}
