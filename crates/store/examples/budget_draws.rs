//! Measures how many accounts one PostgreSQL carries whose budgets nodes share.
//!
//! ```text
//! cargo run --release -p rndrkit-store --example budget_draws -- postgres://…/an_empty_database [seconds]
//! ```
//!
//! Each node draws for a number of accounts in one statement, over one connection, as fast as it is answered. An
//! account that is busy on a node draws about twice a second there, because a slice lapses after half a second;
//! so the last column is what the server carries when it does nothing else. It makes tables in the database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example that measures real time and prints"
)]

use std::time::{Duration, Instant};

use rndrkit_domain::id::AccountId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_store::{BudgetDraw, OpenOptions, Store};
use tokio::task::JoinSet;

/// Accounts in the table: far more than are drawn for at once.
const ACCOUNTS: usize = 100_000;
/// Draws of one busy account on one node in a second.
const DRAWS_OF_AN_ACCOUNT: u64 = 2;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of an empty PostgreSQL database");
    let seconds = arguments.next().map_or(5, |text| text.parse().expect("seconds"));
    let at = Timestamp::from_unix_ms(1_700_000_000_000);
    let accounts: Vec<AccountId> = (0..ACCOUNTS).map(|_| AccountId::generate(at, &OsEntropy)).collect();
    let store = open(&url).await;
    for some in accounts.chunks(500) {
        store.draw_budgets(&some.iter().map(draw_of).collect::<Vec<_>>()).await.expect("first draws");
    }
    println!("nodes  accounts in a statement  ms for a statement  draws a second  busy accounts");
    for nodes in [1, 3] {
        for size in [1, 10, 100, 500] {
            measure(&url, &accounts, nodes, size, Duration::from_secs(seconds)).await;
        }
    }
}

async fn open(url: &str) -> Store {
    Store::open(&OpenOptions::new(url).with_connections(1)).await.expect("a database")
}

/// Ten requests of an Agency account: 600 a minute, 100 at once.
fn draw_of(account: &AccountId) -> BudgetDraw {
    let (rate_micros, burst_micros) = (10_000_000, 94_500_000);
    BudgetDraw { account: *account, want: 10, at_least: 1, rate_micros, burst_micros, revision: 1 }
}

async fn measure(url: &str, accounts: &[AccountId], nodes: usize, size: usize, time: Duration) {
    let mut tasks = JoinSet::new();
    for node in 0..nodes {
        let (store, accounts) = (open(url).await, accounts.to_vec());
        tasks.spawn(async move {
            let began = Instant::now();
            let mut statements = 0_u64;
            // Every node goes another way through the accounts, in leaps, so that rows lie far apart.
            let mut place = node * 7_919;
            while began.elapsed() < time {
                let draws: Vec<BudgetDraw> =
                    (0..size).map(|index| &accounts[(place + index * 101) % ACCOUNTS]).map(draw_of).collect();
                store.draw_budgets(&draws).await.expect("draws");
                place += size * 101 + 13;
                statements += 1;
            }
            statements
        });
    }
    let statements: u64 = tasks.join_all().await.into_iter().sum();
    let draws = statements * u64::try_from(size).expect("a small number") / time.as_secs();
    let each = time.as_secs_f64() * 1_000.0 * f64::from(u32::try_from(nodes).unwrap())
        / f64::from(u32::try_from(statements).unwrap());
    println!("{nodes:5}  {size:23}  {each:18.2}  {draws:14}  {:13}", draws / DRAWS_OF_AN_ACCOUNT);
}
