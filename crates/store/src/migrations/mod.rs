//! The schema's history. Each migration runs whole or not at all, on both databases, from one text.

mod m0001_initial;
mod m0002_several_nodes;
mod m0003_answers;
mod m0004_dashboard;
mod m0005_explained_start;

use sea_orm::DbBackend;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The migrations, oldest first.
#[derive(Debug)]
pub(crate) struct Migrator;

#[sea_orm_migration::async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_initial::Initial),
            Box::new(m0002_several_nodes::SeveralNodes),
            Box::new(m0003_answers::Answers),
            Box::new(m0004_dashboard::Dashboard),
            Box::new(m0005_explained_start::ExplainedStart),
        ]
    }
}

/// Migrations are written in SQLite's words; this says them in PostgreSQL's. SQLite's `INTEGER` has 64 bits,
/// PostgreSQL's has 32; bytes and strictness have other names or none.
fn for_backend(backend: DbBackend, sqlite: &str) -> String {
    match backend {
        DbBackend::Postgres => {
            sqlite.replace(" INTEGER", " BIGINT").replace(" BLOB", " BYTEA").replace(") STRICT", ")")
        }
        _ => sqlite.to_owned(),
    }
}
