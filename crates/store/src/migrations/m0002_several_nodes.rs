//! What several nodes on one PostgreSQL share: budgets, and the longest trust that any of them may have.
//!
//! On SQLite the tables stay empty. Version 1 must not run on this schema: it took the database for itself and
//! removed the rows of all other nodes, and those rows now say who is waited for.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::for_backend;

/// See the module.
#[derive(Debug)]
pub(crate) struct SeveralNodes;

impl MigrationName for SeveralNodes {
    // Written out: derived from the file's name, a renamed file would be a new migration.
    fn name(&self) -> &'static str {
        "m0002_several_nodes"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for SeveralNodes {
    // SQLite migrations run bare by default: a crash half-way would leave half a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        for statement in TABLES {
            connection.execute_unprepared(&for_backend(backend, statement)).await?;
        }
        if backend == DbBackend::Postgres {
            connection.execute_unprepared(ROOM).await?;
        }
        for statement in ROWS {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration(
            "nodes of the older version would not be waited for: restore a backup".to_owned(),
        ))
    }
}

const TABLES: &[&str] = &[
    // Amounts in millionths of a request, moments in microseconds of the database's clock. A missing row is a
    // full bucket. No reference to the account: a row is made by drawing, which must not lock the account.
    "CREATE TABLE budgets (
        account_id TEXT NOT NULL PRIMARY KEY,
        level INTEGER NOT NULL CHECK (level >= 0),
        at INTEGER NOT NULL,
        rate INTEGER NOT NULL CHECK (rate >= 0),
        burst INTEGER NOT NULL CHECK (burst >= 0),
        rev INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE cluster (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        longest_trust_ms INTEGER NOT NULL
    ) STRICT",
];

// Room on the page lets PostgreSQL rewrite these rows in place, without touching an index.
const ROOM: &str = "ALTER TABLE budgets SET (fillfactor = 50)";

const ROWS: &[&str] = &[
    "INSERT INTO cluster (one, longest_trust_ms) VALUES (1, 0)",
    // A row that a process of version 1 left behind when it did not stop in order: it may still decide for a
    // while, so it stays, as a node that says nothing, until it has been waited out.
    "UPDATE nodes SET beat = '00000000000000000000000000000000' WHERE beat = ''",
    "UPDATE schema_version SET version = 2, oldest_runnable = 2",
];
