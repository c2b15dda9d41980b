//! The database: reachable, with a schema that this version knows, and an audit trail that nobody changed.

use rndrkit_store::{OpenOptions, SchemaStatus, Store};

use super::{Finding, postgres};
use crate::config::{Database, Storage};

const DATABASE: &str = "database";
const AUDIT: &str = "audit trail";

pub(super) async fn check(storage: &Storage) -> Vec<Finding> {
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
        findings.push(check_audit(&url).await);
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

async fn check_audit(url: &str) -> Finding {
    match verify_audit(url).await {
        Ok((events, None)) => Finding::ok(AUDIT, format!("{events} events, each fits the one before")),
        Ok((_, Some(position))) => Finding::fail(
            AUDIT,
            format!("event {position} does not fit the one before: somebody changed the trail"),
            "compare with a backup from before; do not delete anything",
        ),
        Err(error) => Finding::fail(AUDIT, error.to_string(), "run this again when the database is at rest"),
    }
}

async fn verify_audit(url: &str) -> Result<(u64, Option<i64>), rndrkit_store::Error> {
    let store = Store::open(&OpenOptions::new(url).with_connections(1)).await?;
    let report = store.verify_audit_chain().await;
    store.close().await?;
    report.map(|report| (report.events, report.broken_at))
}
