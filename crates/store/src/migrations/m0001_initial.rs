//! The first schema.
//!
//! Ids are texts, times UTC milliseconds, digests 32 bytes. Last use is kept apart from keys and accounts,
//! so that counting never touches a row that a decision depends on.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::for_backend;

/// See the module.
#[derive(Debug)]
pub(crate) struct Initial;

impl MigrationName for Initial {
    // Written out: derived from the file's name, a renamed file would be a new migration.
    fn name(&self) -> &'static str {
        "m0001_initial"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Initial {
    // SQLite migrations run bare by default: a crash half-way would leave half a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        for statement in TABLES.iter().chain(INDEXES) {
            connection.execute_unprepared(&for_backend(backend, statement)).await?;
        }
        if backend == DbBackend::Postgres {
            for statement in HOT_ROWS {
                connection.execute_unprepared(statement).await?;
            }
        }
        for statement in FIRST_ROWS {
            connection.execute_unprepared(statement).await?;
        }
        let first_link = Value::Bytes(Some(vec![0; 32]));
        let insert = "INSERT INTO audit_head (one, seq, hash) VALUES (1, 0, $1)";
        connection.execute_raw(Statement::from_sql_and_values(backend, insert, [first_link])).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the first schema is not undone: restore a backup".to_owned()))
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE schema_version (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        version INTEGER NOT NULL,
        oldest_runnable INTEGER NOT NULL CHECK (oldest_runnable <= version)
    ) STRICT",
    // One row per set that changes as a whole. Updating it first is what serialises such changes.
    "CREATE TABLE revisions (
        name TEXT NOT NULL PRIMARY KEY CHECK (name IN ('plans', 'tokens')),
        revision INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE plans (
        id TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 32),
        rank INTEGER NOT NULL,
        name TEXT NOT NULL,
        api_access INTEGER NOT NULL CHECK (api_access IN (0, 1)),
        active_keys INTEGER NOT NULL CHECK (active_keys >= 0),
        requests_per_minute INTEGER NOT NULL CHECK (requests_per_minute > 0),
        burst INTEGER NOT NULL CHECK (burst > 0)
    ) STRICT",
    "CREATE TABLE accounts (
        id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 30),
        external_id TEXT CHECK (length(external_id) BETWEEN 1 AND 128),
        email TEXT CHECK (length(email) <= 254),
        name TEXT CHECK (length(name) BETWEEN 1 AND 64),
        status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
        plan_id TEXT NOT NULL REFERENCES plans (id),
        rev INTEGER NOT NULL,
        state_number INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        deleted_at INTEGER,
        CHECK ((deleted_at IS NULL) = (email IS NOT NULL)),
        CHECK ((deleted_at IS NULL) = (name IS NOT NULL))
    ) STRICT",
    "CREATE TABLE users (
        id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 30),
        account_id TEXT NOT NULL REFERENCES accounts (id),
        email TEXT NOT NULL CHECK (length(email) <= 254),
        password_hash TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE sessions (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        account_id TEXT NOT NULL REFERENCES accounts (id),
        user_id TEXT REFERENCES users (id),
        created_at INTEGER NOT NULL,
        last_seen_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        user_agent TEXT,
        ip TEXT
    ) STRICT",
    "CREATE TABLE links (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        kind TEXT NOT NULL CHECK (kind IN ('first_account', 'invite', 'password_reset', 'sign_in')),
        account_id TEXT REFERENCES accounts (id),
        user_id TEXT REFERENCES users (id),
        return_to TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used_at INTEGER,
        CHECK ((kind = 'first_account') = (account_id IS NULL)),
        CHECK (kind <> 'password_reset' OR user_id IS NOT NULL)
    ) STRICT",
    "CREATE TABLE tokens (
        id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 30),
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        name TEXT NOT NULL,
        scope TEXT NOT NULL CHECK (scope IN ('admin', 'read', 'verify')),
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        deleted_at INTEGER,
        state_number INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE api_keys (
        id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 30),
        account_id TEXT NOT NULL REFERENCES accounts (id),
        name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER,
        revoked_reason TEXT CHECK (revoked_reason IN ('user', 'operator', 'holder', 'account_deleted')),
        state_number INTEGER NOT NULL,
        CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
    ) STRICT",
    "CREATE TABLE key_secrets (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        key_id TEXT NOT NULL REFERENCES api_keys (id),
        prefix TEXT NOT NULL,
        mask TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        ends_at INTEGER
    ) STRICT",
    "CREATE TABLE key_prefixes (
        prefix TEXT NOT NULL PRIMARY KEY,
        first_used_at INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE audit_head (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT",
    "CREATE TABLE audit_events (
        seq INTEGER NOT NULL PRIMARY KEY,
        id TEXT NOT NULL UNIQUE CHECK (length(id) = 30),
        at INTEGER NOT NULL,
        action TEXT NOT NULL,
        actor_type TEXT NOT NULL,
        actor_id TEXT,
        actor_name TEXT,
        account_id TEXT,
        target_type TEXT NOT NULL,
        target_id TEXT NOT NULL,
        ip TEXT,
        user_agent TEXT,
        request_id TEXT,
        details TEXT NOT NULL,
        personal_salt BLOB,
        personal_hash BLOB NOT NULL CHECK (length(personal_hash) = 32),
        previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
        hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT",
    "CREATE TABLE feed_head (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        number INTEGER NOT NULL,
        tag INTEGER NOT NULL,
        oldest INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE feed (
        number INTEGER NOT NULL PRIMARY KEY,
        tag INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        account_id TEXT,
        key_id TEXT,
        digests BLOB NOT NULL CHECK (length(digests) % 32 = 0),
        at INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE nodes (
        incarnation TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        beat TEXT NOT NULL,
        applied INTEGER NOT NULL,
        version TEXT NOT NULL,
        trust_ms INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE usage (
        key_id TEXT NOT NULL,
        period TEXT NOT NULL CHECK (period IN ('minute', 'hour', 'day')),
        starts_at INTEGER NOT NULL,
        account_id TEXT NOT NULL,
        allowed INTEGER NOT NULL,
        limited INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        PRIMARY KEY (key_id, period, starts_at)
    ) STRICT",
    "CREATE TABLE key_usage (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        key_id TEXT NOT NULL,
        last_used_at INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE idempotency (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
        resource_id TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT",
];

// The names of unique indexes are `table_column`: that is how PostgreSQL reports what was violated.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX accounts_email ON accounts (email)",
    "CREATE UNIQUE INDEX accounts_external_id ON accounts (external_id)",
    "CREATE INDEX accounts_by_creation ON accounts (created_at, id)",
    "CREATE INDEX accounts_by_plan ON accounts (plan_id)",
    "CREATE UNIQUE INDEX users_email ON users (email)",
    "CREATE INDEX users_by_account ON users (account_id)",
    "CREATE INDEX sessions_by_account ON sessions (account_id)",
    "CREATE INDEX sessions_by_user ON sessions (user_id)",
    "CREATE INDEX sessions_by_end ON sessions (expires_at)",
    "CREATE INDEX links_by_account ON links (account_id)",
    "CREATE INDEX links_by_user ON links (user_id)",
    "CREATE INDEX links_by_end ON links (expires_at)",
    "CREATE INDEX tokens_by_creation ON tokens (created_at, id)",
    "CREATE INDEX api_keys_by_account ON api_keys (account_id, created_at, id)",
    "CREATE INDEX key_secrets_by_key ON key_secrets (key_id, created_at)",
    "CREATE INDEX key_usage_by_key ON key_usage (key_id)",
    "CREATE INDEX audit_events_by_account ON audit_events (account_id, seq)",
    "CREATE INDEX usage_by_account ON usage (account_id, period, starts_at)",
    "CREATE INDEX usage_by_age ON usage (period, starts_at)",
    "CREATE INDEX idempotency_by_age ON idempotency (created_at)",
];

// Room on the page lets PostgreSQL rewrite these rows in place, without touching an index.
const HOT_ROWS: &[&str] = &[
    "ALTER TABLE feed_head SET (fillfactor = 50)",
    "ALTER TABLE audit_head SET (fillfactor = 50)",
    "ALTER TABLE nodes SET (fillfactor = 50)",
];

const FIRST_ROWS: &[&str] = &[
    "INSERT INTO schema_version (one, version, oldest_runnable) VALUES (1, 1, 1)",
    "INSERT INTO revisions (name, revision) VALUES ('plans', 0), ('tokens', 0)",
    "INSERT INTO feed_head (one, number, tag, oldest) VALUES (1, 0, 0, 1)",
];
