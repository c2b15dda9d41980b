//! What admitted requests were answered, counted beside how many they were.
//!
//! Only adds: a node of version 2 goes on writing its three counts, and the answers that it saw are not counted.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::for_backend;

/// See the module.
#[derive(Debug)]
pub(crate) struct Answers;

impl MigrationName for Answers {
    // Written out: derived from the file's name, a renamed file would be a new migration.
    fn name(&self) -> &'static str {
        "m0003_answers"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Answers {
    // SQLite migrations run bare by default: a crash half-way would leave half a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        for statement in COLUMNS {
            connection.execute_unprepared(&for_backend(backend, statement)).await?;
        }
        connection.execute_unprepared(VERSION).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the older version runs on this schema as it is".to_owned()))
    }
}

// The default is for the rows that are there, and for those that a node of version 2 writes.
const COLUMNS: &[&str] = &[
    "ALTER TABLE usage ADD COLUMN successful INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage ADD COLUMN redirection INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage ADD COLUMN client_error INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage ADD COLUMN server_error INTEGER NOT NULL DEFAULT 0",
];

const VERSION: &str = "UPDATE schema_version SET version = 3";
