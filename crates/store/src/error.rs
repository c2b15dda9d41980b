//! What a store call can answer instead of its result, and the one place that reads database errors.

use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::idempotency::IdempotencyRecord;

/// Text of a database error, for logs. Keeps the message only: drivers attach the values of the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

/// Why a store call did nothing. Except where said, the transaction was rolled back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such row, or it belongs to another account.
    #[error("not found")]
    NotFound,
    /// Another account or user has the e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another account has the external id.
    #[error("the external id is taken")]
    ExternalIdTaken,
    /// No plan has this id.
    #[error("there is no such plan")]
    UnknownPlan,
    /// A plan that accounts hold cannot disappear.
    #[error("plan `{plan}` cannot be removed: {accounts} accounts hold it")]
    PlanInUse {
        /// The plan.
        plan: String,
        /// How many accounts hold it.
        accounts: u64,
    },
    /// The account's plan has no API access.
    #[error("the account's plan has no API access")]
    PlanRequired,
    /// The operator stopped the account.
    #[error("the account is suspended")]
    AccountSuspended,
    /// The key was revoked or has expired: it gets no other secret.
    #[error("the key is not active")]
    KeyNotActive,
    /// The key has another secret than whoever asked was looking at.
    #[error("the key was rotated meanwhile")]
    SecretChanged,
    /// As many active keys as the plan allows.
    #[error("the limit of {limit} active keys is reached")]
    KeyLimitReached {
        /// The plan's limit.
        limit: u32,
    },
    /// As many live tokens as an installation may have.
    #[error("the limit of live tokens is reached")]
    TokenLimitReached,
    /// The link is unknown, used, expired, replaced, or of another kind.
    #[error("the link is not valid")]
    LinkInvalid,
    /// The password was changed since it was checked.
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// As many changes of address as one person may ask for in an hour.
    #[error("too many changes of address were asked for")]
    TooManyEmailChanges,
    /// A create with this idempotency key has already happened.
    #[error("the create has already happened")]
    IdempotencyReplay(IdempotencyRecord),
    /// A process of version 1, which has to be alone, serves this database. It must stop first.
    #[error("a process of version 1 serves this database: stop it first")]
    AlreadyServed,
    /// A newer version has changed the schema so that this one must not touch it.
    #[error(
        "the database has schema {found}, which needs a version that knows schema {needs}; this one knows {known}"
    )]
    NewerSchema {
        /// The schema's version.
        found: i64,
        /// The oldest schema version that a program must know to run on it.
        needs: i64,
        /// What this program knows.
        known: i64,
    },
    /// The backup's destination exists, or this database cannot be copied to a file.
    #[error("the backup cannot be written: {0}")]
    Backup(Cause),
    /// Busy, full, read-only, or gone. Nothing has happened.
    #[error("the database is unavailable: {0}")]
    Unavailable(Cause),
    /// The answer to a commit was lost: the change has happened, or it has not, or it will in a moment.
    /// [`Store::settle`](crate::Store::settle) and a look-up of what it would have made tell.
    #[error("nobody knows whether the change happened: {0}")]
    OutcomeUnknown(Cause),
    /// A row that no version of this program can have written.
    #[error("the database holds a row that does not read: {0}")]
    Corrupt(Cause),
    /// Anything else that the database said.
    #[error("the database refused a statement: {0}")]
    Database(Cause),
}

impl Error {
    pub(crate) fn corrupt(what: &str) -> Self {
        Self::Corrupt(Cause(what.to_owned()))
    }

    pub(crate) fn backup(what: impl std::fmt::Display) -> Self {
        Self::Backup(Cause(what.to_string()))
    }

    pub(crate) fn unavailable(what: impl std::fmt::Display) -> Self {
        Self::Unavailable(Cause(what.to_string()))
    }

    pub(crate) fn outcome_unknown(what: impl std::fmt::Display) -> Self {
        Self::OutcomeUnknown(Cause(what.to_string()))
    }

    /// Reads the error of a commit. Only an answer which says that the transaction is rolled back is a no.
    pub(crate) fn of_commit(error: DbErr) -> Self {
        let is_a_no = match &error {
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => is_rollback(inner),
            _ => false,
        };
        let read = Self::from(error);
        match read {
            read if is_a_no => read,
            Self::Unavailable(cause) | Self::Database(cause) => Self::OutcomeUnknown(cause),
            read => read,
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) => Self::Unavailable(Cause(error.to_string())),
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => classify(inner),
            _ => Self::Database(Cause(error.to_string())),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        classify(&error)
    }
}

/// Whether a commit was answered with a definite no.
fn is_rollback(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(answer) = error else { return false };
    if answer.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_none() {
        // SQLite answers from the same process: what it calls failed, it has not made visible to anybody.
        return true;
    }
    let code = answer.code().unwrap_or_default();
    // Constraints (23), transaction rollback (40), limits and locks (53, 55), read-only (25006), idle for too long
    // (25P03). Not 57: a server that is told to stop ends waiting for a stand-by after it has committed.
    matches!(code.get(..2).unwrap_or_default(), "23" | "40" | "53" | "55")
        || matches!(code.as_ref(), "25006" | "25P03")
}

fn classify(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(inner) => classify_answer(inner.as_ref()),
        // The connection failed before, while or after the database answered.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Error::unavailable(error),
        _ => Error::Database(Cause(error.to_string())),
    }
}

fn classify_answer(error: &dyn DatabaseError) -> Error {
    let cause = Cause(error.message().to_owned());
    match error.kind() {
        // A plan is the only parent that a caller names; every other parent row was locked before.
        ErrorKind::ForeignKeyViolation => Error::UnknownPlan,
        ErrorKind::UniqueViolation if violates(error, "accounts", "email") => Error::EmailTaken,
        ErrorKind::UniqueViolation if violates(error, "users", "email") => Error::EmailTaken,
        ErrorKind::UniqueViolation if violates(error, "accounts", "external_id") => Error::ExternalIdTaken,
        _ if is_passing(error) => Error::Unavailable(cause),
        _ => Error::Database(cause),
    }
}

/// PostgreSQL names the index (`accounts_email`), SQLite the column (`accounts.email`).
fn violates(error: &dyn DatabaseError, table: &str, column: &str) -> bool {
    match error.constraint() {
        Some(index) => index == format!("{table}_{column}"),
        None => error.message().ends_with(&format!(" {table}.{column}")),
    }
}

/// Whether the same statement could work later or elsewhere.
fn is_passing(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        // Connection (08), transaction rollback such as deadlock (40), resources (53), lock or time limit
        // (55, 57), system (58), a stand-by that refuses writes (25006), idle transaction ended (25P03).
        let class = code.get(..2).unwrap_or_default();
        return matches!(class, "08" | "40" | "53" | "55" | "57" | "58")
            || matches!(code.as_ref(), "25006" | "25P03");
    }
    // SQLite's primary codes: busy 5, locked 6, out of memory 7, read-only 8, interrupted 9, I/O 10, full 13,
    // cannot open 14, locking protocol 15. Extended codes carry them in the low byte.
    let primary = code.parse::<u32>().map_or(0, |code| code & 0xff);
    matches!(primary, 5..=10 | 13..=15)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn failed(error: sqlx::Error) -> DbErr {
        DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
    }

    #[test]
    fn a_commit_whose_connection_broke_has_happened_or_not() {
        let broken = || failed(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(matches!(Error::of_commit(broken()), Error::OutcomeUnknown(_)));
        assert!(matches!(Error::of_commit(failed(sqlx::Error::WorkerCrashed)), Error::OutcomeUnknown(_)));
        assert!(matches!(Error::of_commit(DbErr::Custom("?".to_owned())), Error::OutcomeUnknown(_)));
        // Before a commit the same has not happened: the server rolls back what nobody commits.
        assert!(matches!(Error::from(broken()), Error::Unavailable(_)));
    }
}
