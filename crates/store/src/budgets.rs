//! The budgets that several nodes share: one bucket for each account, from which nodes draw. By the database's
//! clock, so that it does not matter who asks; on PostgreSQL only, as a process on SQLite keeps its budgets itself.
//!
//! Absent here: how much to draw and how long what was drawn may be spent (verifier).

use rndrkit_domain::id::AccountId;
use sea_orm::sqlx;
use sea_orm::sqlx::Row as _;
use sea_orm::sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::Error;
use crate::open::{Store, postgres_options, tried_after_rest};
use crate::value::{read_id, read_small};

/// How long a draw may take. Requests wait for it.
const DEADLINE: Duration = Duration::from_secs(1);
/// How often a draw is tried whose rows keep coming and going. One repetition is usual: the first draw of an
/// account finds no row.
const ROUNDS: u32 = 4;

/// What one node wants of one account's budget. Amounts are millionths of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetDraw {
    /// The account.
    pub account: AccountId,
    /// Whole requests wanted.
    pub want: u32,
    /// Fewer than this are of no use: then nothing is drawn.
    pub at_least: u32,
    /// Refill in a second, in millionths.
    pub rate_micros: i64,
    /// What the bucket holds at most, in millionths.
    pub burst_micros: i64,
    /// Revision of the account that the two came with.
    pub revision: i64,
}

/// What came of one draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetGrant {
    /// Whole requests drawn (perhaps none), and what is left in the bucket, in millionths.
    Drawn {
        /// Drawn.
        granted: u32,
        /// Left.
        left_micros: i64,
    },
    /// The budget follows a newer revision of the account.
    Stale,
}

/// The database's clock in microseconds. Numeric inside, so it is exact.
macro_rules! now_us {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}

/// What a row `b` holds at the moment `moment`: settled with its own rate and burst.
macro_rules! settled {
    ($moment:literal) => {
        concat!("LEAST(b.burst, b.level + floor(b.rate::numeric * (", $moment, " - b.at) / 1000000))")
    };
}

/// Draws for all accounts that have a row. The rows are locked in the order of their ids, so that nodes never
/// wait for each other in a circle; what they hold is read after that, and time does not run backwards for a row.
/// (Where the server's clock is set back, nothing flows into a row until the clock has caught up with it.)
/// A row of an older revision is settled with the rate that it had before it is cut to the new burst. A row of a
/// newer one is left alone, unless the account itself is not that new: a node that still trusts a history that was
/// lost has drawn. The account is only asked where the row has that revision in the statement's snapshot already:
/// a draw that waited for the row sees an account older than it.
const DRAW: &str = concat!(
    "WITH wanted AS (
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
             AS wanted (account_id, want, at_least, rate, burst, rev)
     ), locked AS (
         SELECT * FROM budgets WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE
     ), settled AS (
         SELECT b.account_id, w.want, w.at_least, w.rate, w.burst, w.rev, clock.now,
                LEAST(w.burst, ",
    settled!("clock.now"),
    ")::bigint AS level
         FROM locked AS b JOIN wanted AS w USING (account_id)
         CROSS JOIN LATERAL (SELECT GREATEST(",
    now_us!(),
    ", b.at) AS now) AS clock
         WHERE w.rev >= b.rev OR w.rev >= (
             SELECT a.rev + r.revision
             FROM accounts AS a JOIN revisions AS r ON r.name = 'plans'
             JOIN budgets AS before ON before.account_id = a.id
             WHERE a.id = b.account_id AND before.rev = b.rev)
     ), granted AS (
         SELECT *, CASE WHEN LEAST(want, level / 1000000) >= at_least THEN LEAST(want, level / 1000000)
                        ELSE 0 END AS granted
         FROM settled
     ), drawn AS (
         UPDATE budgets AS b SET level = g.level - g.granted * 1000000, at = g.now, rate = g.rate,
             burst = g.burst, rev = g.rev
         FROM granted AS g WHERE b.account_id = g.account_id
     )
     SELECT locked.account_id, g.granted, g.level - g.granted * 1000000 AS left_micros
     FROM locked LEFT JOIN granted AS g USING (account_id)"
);

/// Makes rows for accounts that have none: those begin full.
const FILL: &str = concat!(
    "INSERT INTO budgets (account_id, level, at, rate, burst, rev)
     SELECT account_id, burst, ",
    now_us!(),
    ", rate, burst, rev
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS wanted (account_id, rate, burst, rev)
     ORDER BY account_id ON CONFLICT (account_id) DO NOTHING"
);

/// A row that is full and has been for a while says no more than a row that is missing. Rows in use are skipped.
const PRUNE: &str = concat!(
    "DELETE FROM budgets WHERE account_id IN (
         SELECT account_id FROM budgets AS b CROSS JOIN (SELECT ",
    now_us!(),
    " AS now) AS clock
         WHERE b.at < clock.now - 600000000 AND ",
    settled!("clock.now"),
    " >= b.burst
         ORDER BY account_id LIMIT $1 FOR UPDATE OF b SKIP LOCKED)"
);

impl Store {
    /// Draws for several accounts at once: one grant for each draw, in the same order. One statement, and one or
    /// two more for accounts that draw for the first time. When it fails, nobody knows what was drawn.
    pub async fn draw_budgets(&self, draws: &[BudgetDraw]) -> Result<Vec<BudgetGrant>, Error> {
        let mut answers = Vec::with_capacity(draws.len());
        // Two draws on one account are two draws: the second must see what the first has left.
        for once in split(draws) {
            match tokio::time::timeout(DEADLINE, self.draw_distinct(once)).await {
                Ok(grants) => answers.append(&mut grants?),
                Err(_) => return Err(Error::unavailable("the database did not answer in time")),
            }
        }
        Ok(answers)
    }

    /// Drops the rows of budgets that have been full for some minutes, at most `batch`; how many went.
    pub async fn prune_budgets(&self, batch: u32) -> Result<u64, Error> {
        if self.budgets().is_err() {
            return Ok(0);
        }
        // Reads the whole table, so not over the connection that requests wait for.
        self.writer().execute(PRUNE, [i64::from(batch).into()]).await
    }

    async fn draw_distinct(&self, draws: &[BudgetDraw]) -> Result<Vec<BudgetGrant>, Error> {
        let pool = self.budgets()?;
        let mut answers: BTreeMap<AccountId, BudgetGrant> = BTreeMap::new();
        for round in 0..ROUNDS {
            let is_open = |draw: &&BudgetDraw| !answers.contains_key(&draw.account);
            let open: Vec<&BudgetDraw> = draws.iter().filter(is_open).collect();
            if open.is_empty() {
                break;
            }
            if round > 0 {
                self.count_statement();
                fill(pool, &open).await?;
            }
            self.count_statement();
            answers.extend(draw(pool, &open).await?);
        }
        let answer = |draw: &BudgetDraw| answers.get(&draw.account).copied();
        let answers = draws.iter().map(answer).collect::<Option<Vec<_>>>();
        answers.ok_or_else(|| Error::unavailable("rows of budgets come and go"))
    }
}

/// Cuts a list where an account would stand in it twice.
fn split(draws: &[BudgetDraw]) -> impl Iterator<Item = &[BudgetDraw]> {
    let mut seen = BTreeSet::new();
    draws.chunk_by(move |before, draw| {
        if seen.is_empty() {
            seen.insert(before.account);
        }
        let is_new = seen.insert(draw.account);
        if !is_new {
            seen.clear();
        }
        is_new
    })
}

async fn draw(pool: &PgPool, draws: &[&BudgetDraw]) -> Result<Vec<(AccountId, BudgetGrant)>, Error> {
    let rows = sqlx::query(DRAW)
        .bind(column(draws, |draw| draw.account.to_string()))
        .bind(column(draws, |draw| i64::from(draw.want)))
        .bind(column(draws, |draw| i64::from(draw.at_least)))
        .bind(column(draws, |draw| draw.rate_micros))
        .bind(column(draws, |draw| draw.burst_micros))
        .bind(column(draws, |draw| draw.revision))
        .fetch_all(pool)
        .await?;
    rows.iter().map(read_grant).collect()
}

async fn fill(pool: &PgPool, draws: &[&BudgetDraw]) -> Result<(), Error> {
    sqlx::query(FILL)
        .bind(column(draws, |draw| draw.account.to_string()))
        .bind(column(draws, |draw| draw.rate_micros))
        .bind(column(draws, |draw| draw.burst_micros))
        .bind(column(draws, |draw| draw.revision))
        .execute(pool)
        .await?;
    Ok(())
}

fn column<T>(draws: &[&BudgetDraw], read: impl Fn(&BudgetDraw) -> T) -> Vec<T> {
    draws.iter().map(|draw| read(draw)).collect()
}

fn read_grant(row: &PgRow) -> Result<(AccountId, BudgetGrant), Error> {
    let account = read_id(row.try_get("account_id")?)?;
    let granted: Option<i64> = row.try_get("granted")?;
    let left_micros: Option<i64> = row.try_get("left_micros")?;
    let grant = match (granted, left_micros) {
        (Some(granted), Some(left_micros)) => {
            BudgetGrant::Drawn { granted: read_small(granted)?, left_micros }
        }
        _ => BudgetGrant::Stale,
    };
    Ok((account, grant))
}

/// Budgets have a connection of their own, made when it is first needed. Its commits do not wait for the disk: a
/// server that crashes may forget the draws of the last moments, which is one burst more at most.
pub(crate) fn budget_pool(url: &str) -> Result<PgPool, Error> {
    let options = postgres_options(url, DEADLINE)?.options([("synchronous_commit", "off")]);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(DEADLINE);
    // The first request after a restart of the server is not the one to find the connection broken.
    Ok(tried_after_rest(pool).connect_lazy_with(options))
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_list_is_cut_before_an_account_stands_in_it_twice() {
        let ids: Vec<AccountId> =
            (0..3).map(|ms| AccountId::generate(Timestamp::from_unix_ms(ms), &OsEntropy)).collect();
        let list = |order: &[usize]| -> Vec<BudgetDraw> {
            let of = |&index: &usize| BudgetDraw {
                account: ids[index],
                want: 1,
                at_least: 0,
                rate_micros: 1,
                burst_micros: 1,
                revision: 1,
            };
            order.iter().map(of).collect()
        };
        let lengths = |order: &[usize]| -> Vec<usize> { split(&list(order)).map(<[_]>::len).collect() };
        assert_eq!(lengths(&[]), [0_usize; 0]);
        assert_eq!(lengths(&[0]), [1]);
        assert_eq!(lengths(&[0, 1, 2]), [3]);
        assert_eq!(lengths(&[0, 0, 0]), [1, 1, 1]);
        assert_eq!(lengths(&[0, 1, 1, 0, 2, 0]), [2, 3, 1]);
    }
}
