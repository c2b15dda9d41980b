//! Shared budgets: whoever draws, and however many at once, a bucket gives its burst and its rate and no more.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_store::{BudgetDraw, BudgetGrant, Error, OpenOptions, Store};
use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement, TransactionTrait as _};
use tokio::task::JoinSet;

use crate::builders::{at, behind, open};

const ONE: i64 = 1_000_000;

fn account() -> AccountId {
    AccountId::generate(at(0), &OsEntropy)
}

/// A draw of up to `want` from a bucket of 100 that refills with 10 a second.
fn draw_of(account: AccountId, want: u32) -> BudgetDraw {
    BudgetDraw { account, want, at_least: 1, rate_micros: 10 * ONE, burst_micros: 100 * ONE, revision: 1 }
}

fn granted(grant: BudgetGrant) -> u32 {
    match grant {
        BudgetGrant::Drawn { granted, .. } => granted,
        BudgetGrant::Stale => panic!("stale"),
    }
}

async fn draw_one(store: &Store, draw: BudgetDraw) -> BudgetGrant {
    store.draw_budgets(&[draw]).await.unwrap().remove(0)
}

/// A row as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    level: i64,
    at: i64,
    rate: i64,
    burst: i64,
    rev: i64,
}

async fn row(connection: &DatabaseConnection, account: AccountId) -> Option<Row> {
    let sql = "SELECT level, at, rate, burst, rev FROM budgets WHERE account_id = $1";
    let query = Statement::from_sql_and_values(DbBackend::Postgres, sql, [account.to_string().into()]);
    let found = connection.query_one_raw(query).await.unwrap()?;
    let get = |column| found.try_get("", column).unwrap();
    Some(Row { level: get("level"), at: get("at"), rate: get("rate"), burst: get("burst"), rev: get("rev") })
}

/// Time passes for every row, or goes back.
async fn pass(connection: &DatabaseConnection, micros: i64) {
    connection.execute_unprepared(&format!("UPDATE budgets SET at = at - {micros}")).await.unwrap();
}

#[test]
fn a_newborn_account_draws_its_burst_once_and_then_its_rate() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let account = account();
        let before = store.statements_total();
        let first = draw_one(&store, draw_of(account, 60)).await;
        assert_eq!(first, BudgetGrant::Drawn { granted: 60, left_micros: 40 * ONE });
        assert_eq!(store.statements_total() - before, 3, "the row is made once");
        assert_eq!(granted(draw_one(&store, draw_of(account, 60)).await), 40, "as much as there is");
        assert_eq!(store.statements_total() - before, 4);
        let rest = draw_one(&store, BudgetDraw { at_least: 60, ..draw_of(account, 60) }).await;
        assert_eq!(granted(rest), 0, "too little is nothing");
        pass(&behind(database).await, 1_500_000).await;
        let refilled = granted(draw_one(&store, draw_of(account, 60)).await);
        assert!((15..=20).contains(&refilled), "{refilled}");
    });
}

#[test]
fn draws_of_one_call_are_answered_in_order_and_twice_is_twice() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let (first, second) = (account(), account());
        let draws = [draw_of(second, 10), draw_of(first, 70), draw_of(second, 20), draw_of(first, 70)];
        let grants = store.draw_budgets(&draws).await.unwrap();
        assert_eq!(grants.into_iter().map(granted).collect::<Vec<_>>(), [10, 70, 20, 30]);
        assert_eq!(store.draw_budgets(&[]).await.unwrap(), []);
    });
}

#[test]
fn an_older_revision_draws_nothing_and_a_newer_one_settles_with_the_old_rate_first() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let connection = behind(database).await;
        let account = account();
        assert_eq!(granted(draw_one(&store, draw_of(account, 90)).await), 90);
        // Two seconds at 10 a second make 20 more, not the 200 of the new rate.
        pass(&connection, 2_000_000).await;
        let bigger = BudgetDraw {
            rate_micros: 100 * ONE,
            burst_micros: 500 * ONE,
            revision: 2,
            ..draw_of(account, 500)
        };
        let drawn = granted(draw_one(&store, bigger).await);
        assert!((30..=32).contains(&drawn), "{drawn}");
        let before = row(&connection, account).await.unwrap();
        assert_eq!(draw_one(&store, draw_of(account, 1)).await, BudgetGrant::Stale);
        assert_eq!(row(&connection, account).await.unwrap(), before, "nothing is drawn or changed");
        // A smaller plan again: what is above its burst is gone, and coming back brings nothing with it.
        pass(&connection, 60_000_000).await;
        let smaller = BudgetDraw { revision: 3, want: 0, at_least: 0, ..draw_of(account, 0) };
        assert_eq!(
            draw_one(&store, smaller).await,
            BudgetGrant::Drawn { granted: 0, left_micros: 100 * ONE }
        );
        let drawn = granted(draw_one(&store, BudgetDraw { revision: 4, ..bigger }).await);
        assert!((100..=101).contains(&drawn), "{drawn}");
    });
}

/// An account that exists, and its revision as a look-up gives it.
async fn real_account(store: &Store) -> (AccountId, i64) {
    let account = crate::builders::account(store, "ada").await.id;
    let (_, secret) = crate::builders::key(store, account, 2).await;
    let revision = store.load_key(secret).await.unwrap().found.unwrap().revision;
    (account, revision)
}

#[test]
fn a_row_newer_than_the_account_itself_comes_from_a_lost_history_and_is_drawn_from() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let (account, revision) = real_account(&store).await;
        let (missing, of_lost) =
            (self::account(), BudgetDraw { revision: revision + 1, ..draw_of(account, 30) });
        let draws = [of_lost, BudgetDraw { account: missing, ..of_lost }];
        assert_eq!(granted(store.draw_budgets(&draws).await.unwrap().remove(0)), 30);
        // An account that is not there says nothing about its row.
        let older = [draws[0], draws[1]].map(|draw| BudgetDraw { revision, ..draw });
        let answers = store.draw_budgets(&older).await.unwrap();
        assert_eq!((granted(answers[0]), answers[1]), (30, BudgetGrant::Stale));
        assert_eq!(row(&behind(database).await, account).await.unwrap().rev, revision);
        // What is older than the account stays out, whatever the row says.
        store.draw_budgets(&[of_lost]).await.unwrap();
        let stale = BudgetDraw { revision: revision - 1, ..of_lost };
        assert_eq!(draw_one(&store, stale).await, BudgetGrant::Stale);
    });
}

#[test]
fn a_draw_that_waited_while_the_account_changed_is_stale() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let (account, revision) = real_account(&store).await;
        let draw = BudgetDraw { revision, ..draw_of(account, 1) };
        assert_eq!(granted(draw_one(&store, draw).await), 1);
        let connection = behind(database).await;
        let ahead = connection.begin().await.unwrap();
        ahead.execute_unprepared("UPDATE accounts SET rev = rev + 1").await.unwrap();
        ahead.execute_unprepared("UPDATE budgets SET rev = rev + 1").await.unwrap();
        let store = std::sync::Arc::new(store);
        let waiting = tokio::spawn({
            let store = std::sync::Arc::clone(&store);
            async move { draw_one(&store, draw).await }
        });
        // Its snapshot is taken by then: there the account is as old as the draw.
        let waits = "SELECT 1 AS one FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waits = Statement::from_string(DbBackend::Postgres, waits);
        while ahead.query_one_raw(waits.clone()).await.unwrap().is_none() {
            assert!(!waiting.is_finished(), "it did not wait for the row");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        ahead.commit().await.unwrap();
        assert_eq!(waiting.await.unwrap(), BudgetGrant::Stale);
    });
}

#[test]
fn a_clock_that_steps_back_gives_nothing_and_takes_nothing() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let connection = behind(database).await;
        let account = account();
        assert_eq!(granted(draw_one(&store, draw_of(account, 95)).await), 95);
        pass(&connection, -3_600_000_000).await;
        let before = row(&connection, account).await.unwrap();
        assert_eq!(granted(draw_one(&store, draw_of(account, 95)).await), 5);
        assert_eq!(row(&connection, account).await.unwrap(), Row { level: 0, ..before });
    });
}

#[test]
fn a_full_bucket_is_forgotten_and_one_in_use_is_not() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let connection = behind(database).await;
        let (idle, busy) = (account(), account());
        store.draw_budgets(&[draw_of(idle, 50), draw_of(busy, 50)]).await.unwrap();
        assert_eq!(store.prune_budgets(9).await.unwrap(), 0, "neither is full");
        pass(&connection, 700_000_000).await;
        draw_one(&store, draw_of(busy, 50)).await;
        assert_eq!(store.prune_budgets(9).await.unwrap(), 1);
        assert_eq!(row(&connection, idle).await, None);
        assert!(row(&connection, busy).await.is_some());
        assert_eq!(granted(draw_one(&store, draw_of(idle, 200)).await), 100, "missing is full");
    });
}

#[test]
fn on_sqlite_budgets_are_not_shared() {
    on_sqlite(async |database: &TestDatabase| {
        let store = open(database).await;
        let refused = store.draw_budgets(&[draw_of(account(), 1)]).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))));
        assert_eq!(store.prune_budgets(9).await.unwrap(), 0);
    });
}

/// What a draw makes of a row, exactly. The moment is the one that the database has written.
fn expected(before: Option<Row>, draw: &BudgetDraw, now: i64) -> (Row, BudgetGrant) {
    let level = match before {
        None => draw.burst_micros,
        Some(row) if row.rev > draw.revision => return (row, BudgetGrant::Stale),
        Some(row) => {
            let refill = i128::from(row.rate) * i128::from(now - row.at) / 1_000_000;
            let level = (i128::from(row.level) + refill).min(i128::from(row.burst));
            i64::try_from(level).unwrap().min(draw.burst_micros)
        }
    };
    let most = i64::from(draw.want).min(level / ONE);
    let granted = if most >= i64::from(draw.at_least) { most } else { 0 };
    let left_micros = level - granted * ONE;
    let row = Row {
        level: left_micros,
        at: now,
        rate: draw.rate_micros,
        burst: draw.burst_micros,
        rev: draw.revision,
    };
    (row, BudgetGrant::Drawn { granted: u32::try_from(granted).unwrap(), left_micros })
}

fn any_step() -> impl Strategy<Value = (i64, BudgetDraw)> {
    let passing = prop_oneof![Just(0_i64), 0..2_000_000_i64, 0..10_000_000_000_000_i64];
    // Up to the most that a plan can say: u32::MAX a minute, u32::MAX at once.
    let rate = prop_oneof![Just(0_i64), 1..20 * ONE, 1..72_000_000 * ONE];
    let burst = prop_oneof![0..3 * ONE, 0..1_000 * ONE, 0..4_294_967_295 * ONE];
    let want = prop_oneof![0..4_u32, 0..2_000_u32, any::<u32>()];
    (passing, rate, burst, want, 0..40_u32, 0..4_i64).prop_map(
        |(passing, rate, burst, want, at_least, rev)| {
            let draw = BudgetDraw {
                account: "acc_00000000000000000000000000".parse().unwrap(),
                want,
                at_least: at_least.min(want),
                rate_micros: rate,
                burst_micros: burst,
                revision: rev,
            };
            (passing, draw)
        },
    )
}

#[test]
fn whatever_is_drawn_is_what_the_exact_bucket_gives() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let connection = behind(database).await;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let steps = proptest::collection::vec(any_step(), 300);
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let mut stale = 0;
        for (index, (passing, mut draw)) in steps.into_iter().enumerate() {
            // Revisions rise in the long run, with stragglers.
            draw.revision += i64::try_from(index / 10).unwrap();
            pass(&connection, passing).await;
            let before = row(&connection, draw.account).await;
            let grant = draw_one(&store, draw).await;
            let after = row(&connection, draw.account).await.unwrap();
            assert_eq!((after, grant), expected(before, &draw, after.at), "{before:?} {draw:?}");
            stale += u32::from(grant == BudgetGrant::Stale);
        }
        assert!((5..200).contains(&stale), "the steps try little: {stale} stale");
    });
}

/// Draws for four accounts as fast as it can, one or several at a time and in any order.
async fn draw_greedily(
    store: Store,
    accounts: Vec<AccountId>,
    from: usize,
    until: tokio::time::Instant,
) -> u64 {
    let mut total = 0;
    for turn in from.. {
        if until.elapsed() > Duration::ZERO {
            break;
        }
        let mut draws: Vec<BudgetDraw> = accounts.iter().map(|account| draw_of(*account, 3)).collect();
        draws.rotate_left(turn % 4);
        draws.truncate(1 + turn % 3);
        let grants = store.draw_budgets(&draws).await.unwrap();
        total += grants.into_iter().map(|grant| u64::from(granted(grant))).sum::<u64>();
    }
    total
}

#[test]
fn many_connections_together_draw_burst_and_rate_and_never_more() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let accounts: Vec<AccountId> = (0..4).map(|_| account()).collect();
        let mut stores = Vec::new();
        for _ in 0..12 {
            stores.push(Store::open(&OpenOptions::new(database.url()).with_connections(1)).await.unwrap());
        }
        let begun = crate::builders::now();
        let until = begun + Duration::from_secs(2);
        let mut tasks = JoinSet::new();
        for (index, store) in stores.into_iter().enumerate() {
            tasks.spawn(draw_greedily(store, accounts.clone(), index, until));
        }
        let total: u64 = tasks.join_all().await.into_iter().sum();
        // Each account: 100 at once and 10 a second. A row begins with its first draw.
        let most = 4.0 * (100.0 + 10.0 * begun.elapsed().as_secs_f64());
        let total = f64::from(u32::try_from(total).unwrap());
        assert!(total <= most, "{total} of {most}");
        assert!(total >= most * 0.8, "{total} of {most}: not all of it was to be had");
    });
}
