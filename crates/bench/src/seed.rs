//! Accounts with keys, straight into a stopped installation's SQLite file: through the product each key is a
//! durable transaction, and a million of them would take an hour.
//!
//! Knows the tables, so a migration that changes them has to change this; the server that is then started on the
//! file, and the load's demand for answers of 200, tell when it was forgotten. Writes no audit events.

use std::io::Write as _;

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::time::Timestamp;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseTransaction, DbBackend, Statement,
    TransactionTrait as _, Value,
};

use crate::arguments::Arguments;
use crate::keys::{self, Seeded};

/// Rows of one statement: SQLite takes 32,766 values.
const ROWS: usize = 1_000;
/// When all of it was made; any moment in the past will do.
const CREATED_AT: i64 = 1_700_000_000_000;

/// Rows that wait for the next statement.
struct Batch {
    insert: &'static str,
    columns: usize,
    values: Vec<Value>,
}

impl Batch {
    fn new(insert: &'static str, columns: usize) -> Self {
        Self { insert, columns, values: Vec::new() }
    }

    async fn add(&mut self, tx: &DatabaseTransaction, row: Vec<Value>) {
        self.values.extend(row);
        if self.values.len() == ROWS * self.columns {
            self.write(tx).await;
        }
    }

    async fn write(&mut self, tx: &DatabaseTransaction) {
        let rows = self.values.len() / self.columns;
        if rows == 0 {
            return;
        }
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        let text = format!("{} VALUES {}", self.insert, vec![row; rows].join(", "));
        let values = std::mem::take(&mut self.values);
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, text, values);
        tx.execute_raw(statement).await.expect("the tables as they are seeded here");
    }
}

/// `rndrkit-bench seed`.
pub(crate) fn run(arguments: &Arguments) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut secrets = runtime.block_on(write(arguments));
    // The order of first use must not be the order of insertion: neighbours share pages of the file.
    let random = Seeded::new(7);
    for place in (1..secrets.len()).rev() {
        secrets.swap(place, random.below(place + 1));
    }
    let file = std::fs::File::create(arguments.text("keys")).expect("the file for the keys");
    let mut file = std::io::BufWriter::new(file);
    for secret in &secrets {
        writeln!(file, "{secret}").expect("the file for the keys");
    }
}

async fn write(arguments: &Arguments) -> Vec<String> {
    let mut options = ConnectOptions::new(format!("sqlite://{}", arguments.text("database")));
    options.max_connections(1).sqlx_logging(false);
    let connection = Database::connect(options).await.expect("a database");
    // What is written here can be made again: no waiting for the disk.
    connection.execute_unprepared("PRAGMA synchronous = OFF").await.expect("a pragma");
    connection.execute_unprepared("PRAGMA cache_size = -262144").await.expect("a pragma");
    // Accounts are written in batches too, so that some of them come after their keys.
    connection.execute_unprepared("PRAGMA foreign_keys = OFF").await.expect("a pragma");
    let tx = connection.begin().await.expect("a transaction");
    let entropy = Seeded::new(42);
    let secrets = rows(&tx, arguments, &entropy).await;
    tx.commit().await.expect("a commit");
    connection.close().await.expect("the end");
    secrets
}

async fn rows(tx: &DatabaseTransaction, arguments: &Arguments, entropy: &Seeded) -> Vec<String> {
    let at = Timestamp::from_unix_ms(CREATED_AT);
    let plan = arguments.find("plan").unwrap_or("bench");
    let (count, of_account) =
        (arguments.number("count", 1_000_usize), arguments.number("keys-of-account", 5_usize));
    let mut accounts = Batch::new(
        "INSERT INTO accounts (id, email, name, status, plan_id, rev, state_number, created_at)",
        8,
    );
    let mut api_keys = Batch::new("INSERT INTO api_keys (id, account_id, name, created_at, state_number)", 5);
    let mut key_secrets = Batch::new("INSERT INTO key_secrets (digest, key_id, prefix, mask, created_at)", 5);
    let prefix = keys::prefix();
    let known = "INSERT OR IGNORE INTO key_prefixes (prefix, first_used_at) VALUES (?, ?)";
    let known =
        Statement::from_sql_and_values(DbBackend::Sqlite, known, [prefix.as_str().into(), CREATED_AT.into()]);
    tx.execute_raw(known).await.expect("the prefix");
    let mut secrets = Vec::with_capacity(count);
    let mut account = String::new();
    for number in 0..count {
        if number % of_account == 0 {
            account = AccountId::generate(at, entropy).to_string();
            let email = format!("customer{number}@example.com");
            let row = [&account, &email, "Measured", "active", plan].map(Value::from).into_iter();
            let row = row.chain([0_i64.into(), 0_i64.into(), CREATED_AT.into()]);
            accounts.add(tx, row.collect()).await;
        }
        let key = KeyId::generate(at, entropy).to_string();
        let minted = keys::next(entropy);
        let row =
            vec![key.clone().into(), account.clone().into(), "Key".into(), CREATED_AT.into(), 0_i64.into()];
        api_keys.add(tx, row).await;
        let digest = Value::Bytes(Some(minted.digest.0.to_vec()));
        let row =
            vec![digest, key.into(), prefix.as_str().into(), minted.mask.as_str().into(), CREATED_AT.into()];
        key_secrets.add(tx, row).await;
        secrets.push(minted.secret.reveal().to_owned());
    }
    for batch in [&mut accounts, &mut api_keys, &mut key_secrets] {
        batch.write(tx).await;
    }
    secrets
}
