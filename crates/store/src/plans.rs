//! Plans: written as a whole list, read by everybody.

use std::num::NonZeroU32;

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use sea_orm::{FromQueryResult, Value};

use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::open::Store;
use crate::sql::{NumberRow, Transaction};
use crate::value::{read, read_count, read_small, text};

/// The most plans that are read.
const MAX_PLANS: i64 = 1_000;

const SELECT_PLANS: &str = "SELECT id, name, api_access, active_keys, requests_per_minute, burst
     FROM plans ORDER BY rank, id LIMIT $1";

#[derive(FromQueryResult)]
pub(crate) struct PlanRow {
    id: String,
    name: String,
    api_access: i64,
    active_keys: i64,
    requests_per_minute: i64,
    burst: i64,
}

impl PlanRow {
    pub(crate) fn into_plan(self) -> Result<Plan, Error> {
        Ok(Plan {
            id: read(PlanId::parse(&self.id), "a plan's id")?,
            name: self.name,
            api_access: self.api_access != 0,
            active_keys: read_small(self.active_keys)?,
            rate_limit: read_rate_limit(self.requests_per_minute, self.burst)?,
        })
    }
}

pub(crate) fn read_rate_limit(requests_per_minute: i64, burst: i64) -> Result<RateLimit, Error> {
    let positive = |number| {
        NonZeroU32::new(read_small(number)?).ok_or_else(|| Error::corrupt("a plan's budget is zero"))
    };
    Ok(RateLimit { per_minute: positive(requests_per_minute)?, burst: positive(burst)? })
}

fn read_plans(rows: Vec<PlanRow>) -> Result<Vec<Plan>, Error> {
    rows.into_iter().map(PlanRow::into_plan).collect()
}

impl Store {
    /// The plans, in order of rank.
    pub async fn list_plans(&self) -> Result<Vec<Plan>, Error> {
        read_plans(self.reader().all(SELECT_PLANS, [MAX_PLANS.into()]).await?)
    }

    /// Makes the stored plans equal to `plans`, whose order is the rank. Changes nothing when they are
    /// equal already, or when a plan that accounts hold would disappear.
    pub async fn sync_plans(
        &self,
        plans: &[Plan],
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<()>, Error> {
        let tx = self.begin().await?;
        tx.execute("UPDATE revisions SET revision = revision + 1 WHERE name = 'plans'", []).await?;
        let stored = read_plans(tx.all(SELECT_PLANS, [MAX_PLANS.into()]).await?)?;
        if stored == plans {
            // Plans carry no number of their own; the newest change of all is at least as new as theirs.
            let number = feed::newest(&tx).await?;
            tx.rollback().await?;
            return Ok(Committed::unchanged((), number));
        }
        for (rank, plan) in (0_i64..).zip(plans) {
            write(&tx, rank, plan).await?;
        }
        let gone: Vec<&Plan> =
            stored.iter().filter(|old| plans.iter().all(|plan| plan.id != old.id)).collect();
        for plan in gone {
            remove(&tx, plan, plans.first()).await?;
        }
        audit::append(&tx, &change, &[event]).await?;
        let number = feed::publish(&tx, &change, News::of_set(FeedKind::Plans)).await?;
        tx.commit().await?;
        Ok(Committed::done((), number))
    }
}

/// Ids and names.
pub(crate) async fn names(tx: &Transaction) -> Result<Vec<(PlanId, String)>, Error> {
    let plans = read_plans(tx.all(SELECT_PLANS, [MAX_PLANS.into()]).await?)?;
    Ok(plans.into_iter().map(|plan| (plan.id, plan.name)).collect())
}

async fn write(tx: &Transaction, rank: i64, plan: &Plan) -> Result<(), Error> {
    let number = |value: u32| Value::BigInt(Some(i64::from(value)));
    tx.execute(
        "INSERT INTO plans (id, rank, name, api_access, active_keys, requests_per_minute, burst)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET rank = excluded.rank, name = excluded.name,
             api_access = excluded.api_access, active_keys = excluded.active_keys,
             requests_per_minute = excluded.requests_per_minute, burst = excluded.burst",
        [
            text(&plan.id),
            rank.into(),
            text(&plan.name),
            i64::from(plan.api_access).into(),
            number(plan.active_keys),
            number(plan.rate_limit.per_minute.get()),
            number(plan.rate_limit.burst.get()),
        ],
    )
    .await?;
    Ok(())
}

async fn remove(tx: &Transaction, plan: &Plan, first: Option<&Plan>) -> Result<(), Error> {
    let holders = holders_of(tx, plan).await?;
    if holders > 0 {
        return Err(Error::PlanInUse { plan: plan.id.to_string(), accounts: holders });
    }
    // Deleted accounts hold nothing, but their rows name a plan.
    if let Some(first) = first {
        tx.execute(
            "UPDATE accounts SET plan_id = $2 WHERE plan_id = $1 AND deleted_at IS NOT NULL",
            [text(&plan.id), text(&first.id)],
        )
        .await?;
    }
    match tx.execute("DELETE FROM plans WHERE id = $1", [text(&plan.id)]).await {
        // An account moved to the plan after the count: the reference has kept the plan.
        Err(Error::UnknownPlan) => Err(Error::PlanInUse { plan: plan.id.to_string(), accounts: 1 }),
        other => other.map(|_| ()),
    }
}

async fn holders_of(tx: &Transaction, plan: &Plan) -> Result<u64, Error> {
    let holders: NumberRow = tx
        .one(
            "SELECT count(*) AS value FROM accounts WHERE plan_id = $1 AND deleted_at IS NULL",
            [text(&plan.id)],
        )
        .await?;
    read_count(holders.value)
}
