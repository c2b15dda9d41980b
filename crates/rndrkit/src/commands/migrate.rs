//! `rndrkit migrate`: brings the schema up to date, as a start would, and stops.

use rndrkit_store::{OpenOptions, SchemaStatus, Store};
use serde_json::json;

use super::console::Console;
use super::{Exit, Failure};
use crate::config::{self, DataFolder, Database, Sources};

pub(super) async fn run(sources: &Sources, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let storage = config::load(sources)?.settings.storage;
    let url = storage.database.url();
    // On SQLite the folder's lock keeps a server from starting in the middle; PostgreSQL has a lock of its own.
    let _folder = match &storage.database {
        Database::Sqlite { path } => {
            let folder = DataFolder::open(&storage.data_dir)?;
            DataFolder::prepare_database_file(path)?;
            Some(folder)
        }
        Database::Postgres { .. } => None,
    };
    let before = Store::schema_status(&url).await?;
    let store = Store::open(&OpenOptions::new(&url)).await?;
    store.close().await?;
    let changed = matches!(before, SchemaStatus::Empty | SchemaStatus::Older { .. });
    if console.json {
        console.document(&json!({ "changed": changed }));
    } else if changed {
        console.line("The database is up to date now.");
    } else {
        console.line("The database was up to date already.");
    }
    Ok(Exit::Done)
}
