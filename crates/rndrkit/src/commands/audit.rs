//! `rndrkit audit export FILE`: the whole audit trail with its signatures, also while the server runs.

use std::fs::OpenOptions as FileOptions;
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rndrkit_domain::time::{Clock as _, SystemClock};
use rndrkit_store::{ExportError, ExportSummary, OpenOptions, SchemaStatus, Store};
use serde_json::json;

use super::console::Console;
use super::{Exit, Failure};
use crate::config::{self, Sources};

pub(super) async fn export(
    file: &Path,
    sources: &Sources,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let storage = config::load(sources)?.settings.storage;
    let url = storage.database.url();
    match Store::schema_status(&url).await? {
        SchemaStatus::Current | SchemaStatus::NewerCompatible { .. } => {}
        SchemaStatus::Empty => {
            return Err(Failure::new(Exit::No, "the database is empty: there is no audit trail yet"));
        }
        SchemaStatus::Older { .. } | SchemaStatus::NewerRefused { .. } => {
            let text = "the database was made by another version of rndrkit; export with that version";
            return Err(Failure::new(Exit::No, text));
        }
    }
    // It holds names and addresses of people.
    let opened = FileOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let out = opened.map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", file.display())))?;
    let store = Store::open(&OpenOptions::new(&url).with_connections(1)).await?;
    let written = write(&store, &out).await;
    store.close().await?;
    let summary = written.map_err(|error| {
        // Half an export is refused by whoever reads it, and only in the way.
        let _ = std::fs::remove_file(file);
        match error {
            ExportError::Store(error) => Failure::from(error),
            error => Failure::new(Exit::No, format!("{}: {error}", file.display())),
        }
    })?;
    let ExportSummary { events, signatures } = summary;
    if console.json {
        console.document(&json!({
            "file": file.display().to_string(), "events": events, "signatures": signatures,
        }));
    } else {
        console.line(format!("{} holds {events} events and {signatures} signatures.", file.display()));
        console.line(format!(
            "To check it anywhere: rndrkit doctor --audit-export {} --audit-public-key KEY",
            file.display()
        ));
    }
    Ok(Exit::Done)
}

async fn write(store: &Store, file: &std::fs::File) -> Result<ExportSummary, ExportError> {
    let summary = store.export_audit(SystemClock::default().now(), &mut BufWriter::new(file)).await?;
    file.sync_all()?;
    Ok(summary)
}
