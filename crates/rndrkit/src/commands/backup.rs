//! `rndrkit backup FILE`: one consistent copy of the SQLite database, also while the server runs.

use std::path::Path;

use rndrkit_store::{OpenOptions, SchemaStatus, Store};
use serde_json::json;

use super::console::Console;
use super::{Exit, Failure};
use crate::config::{self, Database, Sources};

pub(super) async fn run(file: &Path, sources: &Sources, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let storage = config::load(sources)?.settings.storage;
    let Database::Sqlite { path } = &storage.database else {
        let text = "this database is PostgreSQL, which has a tool of its own: pg_dump --format=custom";
        return Err(Failure::new(Exit::Usage, text));
    };
    if file.exists() {
        let text = format!("{} exists; a backup never overwrites anything", file.display());
        return Err(Failure::new(Exit::Usage, text));
    }
    let url = storage.database.url();
    match Store::schema_status(&url).await? {
        SchemaStatus::Current | SchemaStatus::NewerCompatible { .. } => {}
        SchemaStatus::Empty => {
            let text = format!("there is no database in {} to copy", path.display());
            return Err(Failure::new(Exit::No, text));
        }
        // Opening it would change it, and a copy is wanted most before a change.
        SchemaStatus::Older { .. } | SchemaStatus::NewerRefused { .. } => {
            let text = "the database was made by another version of rndrkit; make the copy with that version";
            return Err(Failure::new(Exit::No, text));
        }
    }
    let store = Store::open(&OpenOptions::new(&url).with_connections(1)).await?;
    let copied = store.backup_to(file).await;
    copied.and(store.close().await)?;
    let bytes = std::fs::metadata(file).map(|file| file.len()).unwrap_or_default();
    if console.json {
        console.document(&json!({ "file": file.display().to_string(), "bytes": bytes }));
    } else {
        console.line(format!("{} holds the database as of now ({bytes} bytes).", file.display()));
        console.line(
            "The operator token and the key that signs the audit trail are files of their own in the data folder; keep \
             copies of them too, the key away from the database.",
        );
        console.line(
            "To restore it: stop rndrkit, put it in the database's place, delete the -wal and -shm files, start, \
             and delete again what was deleted since: keys deleted after this copy was made would work again.",
        );
    }
    Ok(Exit::Done)
}
