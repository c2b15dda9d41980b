//! Which schema a database has, and whether this program may run on it.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, FromQueryResult, Statement};

use crate::error::Error;

/// The schema that this program makes. Raised by every migration, which also writes it to the database
/// beside the oldest version that a program must know to run on the result.
///
/// A migration that only adds (tables, columns that may be empty, kinds of feed entries) leaves the oldest version
/// as it is: nodes of both versions run side by side, and the way back is open. One that takes away, or gives
/// something another meaning, comes in a later release, when no node needs it any more, and raises the oldest
/// version: an older program then does not start, and a running one is not believed from its next beat on.
pub(crate) const KNOWN_VERSION: i64 = 5;

/// What a database says about its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaStatus {
    /// No tables of ours: a first start would make them.
    Empty,
    /// This program runs on it as it is.
    Current,
    /// This program would migrate it first.
    Older {
        /// The schema's version.
        found: i64,
    },
    /// Made by a newer version, and this program may run on it.
    NewerCompatible {
        /// The schema's version.
        found: i64,
    },
    /// Made by a newer version; this program refuses it.
    NewerRefused {
        /// The schema's version.
        found: i64,
        /// The oldest schema version that a program must know to run on it.
        needs: i64,
    },
}

impl SchemaStatus {
    /// Whether migrations have to run; an error when this program must leave the database alone.
    pub(crate) fn needs_migration(self) -> Result<bool, Error> {
        match self {
            Self::Empty | Self::Older { .. } => Ok(true),
            Self::Current | Self::NewerCompatible { .. } => Ok(false),
            Self::NewerRefused { found, needs } => {
                Err(Error::NewerSchema { found, needs, known: KNOWN_VERSION })
            }
        }
    }
}

#[derive(FromQueryResult)]
struct SchemaRow {
    version: i64,
    oldest_runnable: i64,
}

/// Reads the schema's version without touching anything.
pub(crate) async fn read(connection: &DatabaseConnection) -> Result<SchemaStatus, Error> {
    let backend = connection.get_database_backend();
    let catalogue = match backend {
        DbBackend::Postgres => "SELECT 1 WHERE to_regclass('schema_version') IS NOT NULL",
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'",
    };
    if connection.query_one_raw(Statement::from_string(backend, catalogue)).await?.is_none() {
        return Ok(SchemaStatus::Empty);
    }
    let query = Statement::from_string(backend, "SELECT version, oldest_runnable FROM schema_version");
    let row = connection.query_one_raw(query).await?;
    let row = row.ok_or_else(|| Error::corrupt("the schema's version is missing"))?;
    let SchemaRow { version: found, oldest_runnable: needs } = SchemaRow::from_query_result(&row, "")?;
    Ok(match found {
        _ if needs > KNOWN_VERSION => SchemaStatus::NewerRefused { found, needs },
        KNOWN_VERSION => SchemaStatus::Current,
        _ if found > KNOWN_VERSION => SchemaStatus::NewerCompatible { found },
        _ => SchemaStatus::Older { found },
    })
}
