//! The database: reachable, with a schema that this version knows, and an audit trail that nobody changed.

use rndrkit_store::{AuditPublicKey, SchemaStatus, Store};

use super::{Finding, audit, postgres};
use crate::config::{Database, Settings};

const DATABASE: &str = "database";

pub(super) async fn check(settings: &Settings, keys: &[AuditPublicKey], is_running: bool) -> Vec<Finding> {
    let storage = &settings.storage;
    let database = &storage.database;
    let url = database.url();
    let status = match Store::schema_status(&url).await {
        Ok(status) => status,
        Err(error) => {
            let advice = match database {
                Database::Sqlite { path } => format!("look at {} and its folder", path.display()),
                Database::Postgres { .. } => "check database_url, and that the server accepts you".to_owned(),
            };
            return vec![Finding::fail(DATABASE, error.to_string(), advice)];
        }
    };
    let schema = judge_schema(status);
    let mut findings = vec![schema];
    // Opening a database of this version changes nothing.
    let is_ours = matches!(status, SchemaStatus::Current | SchemaStatus::NewerCompatible { .. });
    if matches!(database, Database::Postgres { .. }) {
        findings.extend(postgres::check(storage, is_ours).await);
    }
    if is_ours {
        findings.extend(audit::check(settings, keys, is_running).await);
    }
    findings
}

fn judge_schema(status: SchemaStatus) -> Finding {
    match status {
        SchemaStatus::Empty => Finding::ok(DATABASE, "empty; the first start makes the tables"),
        SchemaStatus::Current => Finding::ok(DATABASE, "reachable, and its schema is this version's"),
        SchemaStatus::Older { found } => Finding::warn(
            DATABASE,
            format!("its schema is an older version's ({found})"),
            "make a backup; the next start, or `rndrkit migrate`, brings it up to date",
        ),
        SchemaStatus::NewerCompatible { found } => Finding::warn(
            DATABASE,
            format!("its schema is a newer version's ({found}), which this version can still use"),
            "install the newer version of rndrkit here too",
        ),
        SchemaStatus::NewerRefused { found, needs } => Finding::fail(
            DATABASE,
            format!("its schema is a newer version's ({found})"),
            format!("install a version of rndrkit that knows schema {needs}"),
        ),
    }
}
