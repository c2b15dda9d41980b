//! What the dashboard shows beyond the list of keys: where and how keys are used, refusals, notifications and
//! their mail, known places of people, changes of address, and signatures over the audit trail.
//!
//! Only adds: a node of version 3 goes on deciding and writing, and simply observes and notifies less.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::for_backend;

/// See the module.
#[derive(Debug)]
pub(crate) struct Dashboard;

impl MigrationName for Dashboard {
    // Written out: derived from the file's name, a renamed file would be a new migration.
    fn name(&self) -> &'static str {
        "m0004_dashboard"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Dashboard {
    // SQLite migrations run bare by default: a crash half-way would leave half a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        for statement in COLUMNS.iter().chain(TABLES).chain(INDEXES) {
            connection.execute_unprepared(&for_backend(backend, statement)).await?;
        }
        connection.execute_unprepared(VERSION).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the older version runs on this schema as it is".to_owned()))
    }
}

const COLUMNS: &[&str] = &[
    // Where its owner uses a key: `production`, `staging`, `CI/CD`, or words of their own.
    "ALTER TABLE api_keys ADD COLUMN environment TEXT CHECK (length(environment) BETWEEN 1 AND 32)",
];

const TABLES: &[&str] = &[
    // Who last presented a secret: one row for each secret.
    "CREATE TABLE sightings (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        key_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        ip TEXT,
        user_agent TEXT CHECK (length(user_agent) <= 256)
    ) STRICT",
    // When a secret was in use, hour by hour: the longest pause of the last days is read from it.
    "CREATE TABLE secret_hours (
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        hour INTEGER NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        longest_pause_ms INTEGER NOT NULL CHECK (longest_pause_ms >= 0),
        PRIMARY KEY (digest, hour)
    ) STRICT",
    // From which networks (/24, /48) a key was used, in slots of ten minutes.
    "CREATE TABLE key_networks (
        key_id TEXT NOT NULL,
        slot INTEGER NOT NULL,
        network TEXT NOT NULL,
        account_id TEXT NOT NULL,
        PRIMARY KEY (key_id, slot, network)
    ) STRICT",
    // Refused requests with a key that is known, as they were judged.
    "CREATE TABLE refusals (
        account_id TEXT NOT NULL,
        request_id TEXT NOT NULL CHECK (length(request_id) = 30),
        key_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        code TEXT NOT NULL,
        facts TEXT NOT NULL CHECK (length(facts) <= 4096),
        ip TEXT,
        user_agent TEXT CHECK (length(user_agent) <= 256),
        PRIMARY KEY (account_id, request_id)
    ) STRICT",
    // Only what an account has changed; the defaults are in the code.
    "CREATE TABLE notification_settings (
        account_id TEXT NOT NULL REFERENCES accounts (id),
        kind TEXT NOT NULL,
        by_email INTEGER NOT NULL CHECK (by_email IN (0, 1)),
        PRIMARY KEY (account_id, kind)
    ) STRICT",
    // Mail to be sent, written with the change that it tells of. The id follows from what it tells and whom, so
    // that the same news makes one row however often it is written.
    "CREATE TABLE outbox (
        id TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 200),
        account_id TEXT NOT NULL,
        user_id TEXT,
        kind TEXT NOT NULL,
        event_id TEXT,
        payload TEXT CHECK (length(payload) <= 8192),
        recipient TEXT NOT NULL CHECK (length(recipient) <= 254),
        created_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        sent_at INTEGER,
        given_up_at INTEGER,
        last_error TEXT CHECK (length(last_error) <= 500),
        CHECK (sent_at IS NULL OR given_up_at IS NULL)
    ) STRICT",
    // News that must be told once, such as that a key expires in seven days.
    "CREATE TABLE told_once (
        name TEXT NOT NULL PRIMARY KEY CHECK (length(name) <= 200),
        account_id TEXT,
        at INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE email_changes (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        user_id TEXT NOT NULL REFERENCES users (id),
        account_id TEXT NOT NULL REFERENCES accounts (id),
        email TEXT NOT NULL CHECK (length(email) <= 254),
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used_at INTEGER
    ) STRICT",
    // From where a person has signed in before.
    "CREATE TABLE known_places (
        user_id TEXT NOT NULL REFERENCES users (id),
        place TEXT NOT NULL CHECK (length(place) <= 300),
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        PRIMARY KEY (user_id, place)
    ) STRICT",
    // `head` says what the trail ended with at a time; `checkpoint` what the last event ended with that
    // retention has dropped. Signed with a key that is not in the database; without such a key there are no heads,
    // and checkpoints are unsigned.
    "CREATE TABLE audit_signatures (
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('head', 'checkpoint')),
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        at INTEGER NOT NULL,
        public_key BLOB CHECK (length(public_key) = 32),
        signature BLOB CHECK (length(signature) = 64),
        PRIMARY KEY (seq, kind),
        CHECK ((public_key IS NULL) = (signature IS NULL)),
        CHECK (kind = 'checkpoint' OR signature IS NOT NULL)
    ) STRICT",
];

// The names of unique indexes are `table_column`: that is how PostgreSQL reports what was violated.
const INDEXES: &[&str] = &[
    // A key has one secret without an end; a rotation gives it another, and the one before its end.
    "CREATE UNIQUE INDEX key_secrets_current ON key_secrets (key_id) WHERE ends_at IS NULL",
    "CREATE INDEX sightings_by_key ON sightings (key_id)",
    "CREATE INDEX sightings_by_account ON sightings (account_id)",
    // Few: what was written about an account while it was being deleted is found by it.
    "CREATE INDEX accounts_by_deletion ON accounts (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX secret_hours_by_age ON secret_hours (hour)",
    "CREATE INDEX key_networks_by_age ON key_networks (slot)",
    "CREATE INDEX key_networks_by_account ON key_networks (account_id)",
    "CREATE INDEX refusals_by_account ON refusals (account_id, at)",
    "CREATE INDEX refusals_by_key ON refusals (key_id, at)",
    "CREATE INDEX refusals_by_age ON refusals (at)",
    "CREATE INDEX outbox_by_account ON outbox (account_id, created_at)",
    "CREATE INDEX outbox_by_due ON outbox (due_at) WHERE sent_at IS NULL AND given_up_at IS NULL",
    "CREATE INDEX outbox_by_age ON outbox (created_at)",
    "CREATE INDEX told_once_by_account ON told_once (account_id)",
    "CREATE INDEX told_once_by_age ON told_once (at)",
    // What is news is found without reading every key and every minute.
    "CREATE INDEX api_keys_by_expiry ON api_keys (expires_at)
        WHERE revoked_at IS NULL AND expires_at IS NOT NULL",
    "CREATE INDEX usage_by_limit ON usage (starts_at) WHERE period = 'minute' AND limited > 0",
    "CREATE INDEX email_changes_by_user ON email_changes (user_id)",
    "CREATE INDEX email_changes_by_end ON email_changes (expires_at)",
    "CREATE INDEX audit_signatures_by_age ON audit_signatures (at)",
    "CREATE INDEX audit_events_by_target ON audit_events (target_id, seq)",
];

const VERSION: &str = "UPDATE schema_version SET version = 4";
