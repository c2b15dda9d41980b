//! What the data plane notes beside counting. Written in bulk, bounded for each key and account, never read by a
//! decision. About an account that is deleted nothing is kept.

mod facts;
mod read;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::observation::{NETWORK_SLOT, REFUSALS_KEPT, Refusal, Sighting, network_of};
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::time::Timestamp;
use sea_orm::{DbBackend, Value};

use crate::error::Error;
use crate::open::Store;
use crate::sql::{Transaction, placeholders};
use crate::value::{count, digest, optional_text, text, time};

pub(crate) use upkeep::erase;

/// Rows of one statement: with eight parameters each well below SQLite's limit of 32,766.
const ROWS_PER_STATEMENT: usize = 500;
/// Networks that are noted of one key in one slot. Somebody wants to know whether they are more than a few; what
/// is used from everywhere would otherwise write a row for each of its callers. Writers at the same moment may go
/// over it by as many again.
const NETWORKS_PER_SLOT: usize = 64;

/// A key was used from a network within a slot.
type Network = (KeyId, Timestamp, String);

impl Store {
    /// Moves sightings forwards, notes the networks that they came from, and keeps refusals: the last 200 of each
    /// account. What is there already changes nothing, so that writing again does no harm.
    pub async fn record_observations(
        &self,
        sightings: &[Sighting],
        refusals: &[Refusal],
    ) -> Result<(), Error> {
        if sightings.is_empty() && refusals.is_empty() {
            return Ok(());
        }
        let tx = self.begin().await?;
        let alive = alive(&tx, sightings, refusals).await?;
        let sightings: Vec<_> = sightings.iter().filter(|one| alive.contains(&one.account_id)).collect();
        let newest: Vec<_> = newest(&sightings).into_iter().collect();
        for rows in newest.chunks(ROWS_PER_STATEMENT) {
            move_sightings(&tx, rows).await?;
        }
        let networks: Vec<_> = networks(&sightings).into_iter().collect();
        for rows in networks.chunks(ROWS_PER_STATEMENT) {
            add_networks(&tx, rows).await?;
        }
        let refusals = kept(refusals.iter().filter(|one| alive.contains(&one.account_id)));
        keep_refusals(&tx, &refusals).await?;
        tx.commit().await
    }
}

/// Which of the accounts are not deleted. One that is deleted at this very moment is swept up by
/// [`Store::sweep_observations`].
async fn alive(
    tx: &Transaction,
    sightings: &[Sighting],
    refusals: &[Refusal],
) -> Result<BTreeSet<AccountId>, Error> {
    let of_sightings = sightings.iter().map(|one| one.account_id);
    let wanted: BTreeSet<_> = of_sightings.chain(refusals.iter().map(|one| one.account_id)).collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    let mut alive = BTreeSet::new();
    for ids in wanted.chunks(ROWS_PER_STATEMENT) {
        let sql = format!(
            "SELECT id AS value FROM accounts WHERE deleted_at IS NULL AND id IN {}",
            list(tx.backend(), ids.len())
        );
        for row in tx.rows_built(sql, ids.iter().map(text).collect()).await? {
            let id: String = row.try_get("", "value")?;
            alive.insert(crate::value::read_id(&id)?);
        }
    }
    Ok(alive)
}

/// `($1, $2, $3)` for three values.
fn list(backend: DbBackend, values: usize) -> String {
    placeholders(backend, 1, values)
}

/// One row per secret.
fn newest<'a>(sightings: &[&'a Sighting]) -> BTreeMap<Digest, &'a Sighting> {
    let mut rows: BTreeMap<Digest, &Sighting> = BTreeMap::new();
    for sighting in sightings {
        let newest = rows.entry(sighting.digest).or_insert(sighting);
        if newest.at < sighting.at {
            *newest = sighting;
        }
    }
    rows
}

/// One row per key, slot and network, bounded.
fn networks(sightings: &[&Sighting]) -> BTreeMap<Network, AccountId> {
    let mut rows = BTreeMap::new();
    let mut of_slot: BTreeMap<(KeyId, Timestamp), usize> = BTreeMap::new();
    for sighting in sightings {
        let Some(ip) = sighting.ip else { continue };
        let (key_id, slot) = (sighting.key_id, sighting.at.floor_to(NETWORK_SLOT));
        let seen = of_slot.entry((key_id, slot)).or_default();
        if *seen < NETWORKS_PER_SLOT
            && rows.insert((key_id, slot, network_of(ip)), sighting.account_id).is_none()
        {
            *seen += 1;
        }
    }
    rows
}

/// The newest of each account, in the order in which all writers write them.
fn kept<'a>(refusals: impl Iterator<Item = &'a Refusal>) -> Vec<&'a Refusal> {
    let mut of_accounts: BTreeMap<AccountId, Vec<&Refusal>> = BTreeMap::new();
    for refusal in refusals {
        of_accounts.entry(refusal.account_id).or_default().push(refusal);
    }
    for refusals in of_accounts.values_mut() {
        refusals.sort_unstable_by_key(|refusal| std::cmp::Reverse((refusal.at, refusal.request_id)));
        refusals.truncate(REFUSALS_KEPT);
        refusals.sort_unstable_by_key(|refusal| refusal.request_id);
    }
    of_accounts.into_values().flatten().collect()
}

async fn move_sightings(tx: &Transaction, rows: &[(Digest, &Sighting)]) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO sightings (digest, key_id, account_id, at, ip, user_agent) VALUES {}
         ON CONFLICT (digest) DO UPDATE
             SET at = excluded.at, ip = excluded.ip, user_agent = excluded.user_agent
         WHERE sightings.at < excluded.at",
        placeholders(tx.backend(), rows.len(), 6)
    );
    let values = rows.iter().flat_map(|(secret, sighting)| {
        [
            digest(secret),
            text(sighting.key_id),
            text(sighting.account_id),
            time(sighting.at),
            optional_text(sighting.ip),
            optional_text(sighting.user_agent.as_ref()),
        ]
    });
    tx.execute_built(sql, values.collect()).await?;
    Ok(())
}

async fn add_networks(tx: &Transaction, rows: &[(Network, AccountId)]) -> Result<(), Error> {
    let sql = format!(
        "WITH new (key_id, slot, network, account_id) AS (VALUES {})
         INSERT INTO key_networks (key_id, slot, network, account_id)
         SELECT key_id, slot, network, account_id FROM new
         WHERE (SELECT count(*) FROM key_networks AS old
                WHERE old.key_id = new.key_id AND old.slot = new.slot) < {NETWORKS_PER_SLOT}
         ON CONFLICT (key_id, slot, network) DO NOTHING",
        placeholders(tx.backend(), rows.len(), 4)
    );
    let values = rows.iter().flat_map(|((key_id, slot, network), account_id)| {
        [text(key_id), time(*slot), text(network), text(account_id)]
    });
    tx.execute_built(sql, values.collect()).await?;
    Ok(())
}

async fn keep_refusals(tx: &Transaction, refusals: &[&Refusal]) -> Result<(), Error> {
    if refusals.is_empty() {
        return Ok(());
    }
    let names = plan_names(tx).await?;
    for rows in refusals.chunks(ROWS_PER_STATEMENT) {
        insert_refusals(tx, rows, &names).await?;
    }
    let mut accounts: Vec<_> = refusals.iter().map(|refusal| refusal.account_id).collect();
    accounts.dedup();
    for ids in accounts.chunks(ROWS_PER_STATEMENT) {
        drop_older_refusals(tx, ids).await?;
    }
    Ok(())
}

/// What plans are called at this moment: the data plane knows their ids alone.
async fn plan_names(tx: &Transaction) -> Result<BTreeMap<PlanId, String>, Error> {
    let plans = crate::plans::names(tx).await?;
    Ok(plans.into_iter().collect())
}

async fn insert_refusals(
    tx: &Transaction,
    rows: &[&Refusal],
    names: &BTreeMap<PlanId, String>,
) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO refusals (account_id, request_id, key_id, at, code, facts, ip, user_agent) VALUES {}
         ON CONFLICT (account_id, request_id) DO NOTHING",
        placeholders(tx.backend(), rows.len(), 8)
    );
    let values: Vec<Value> = rows
        .iter()
        .flat_map(|refusal| {
            let plan_name = refusal.facts.plan_name.as_ref().or_else(|| names.get(&refusal.facts.plan));
            [
                text(refusal.account_id),
                text(refusal.request_id),
                text(refusal.key_id),
                time(refusal.at),
                text(refusal.code.stored()),
                text(facts::write(&refusal.facts, plan_name)),
                optional_text(refusal.ip),
                optional_text(refusal.user_agent.as_ref()),
            ]
        })
        .collect();
    tx.execute_built(sql, values).await?;
    Ok(())
}

async fn drop_older_refusals(tx: &Transaction, accounts: &[AccountId]) -> Result<(), Error> {
    let sql = format!(
        "DELETE FROM refusals WHERE (account_id, request_id) IN (
             SELECT account_id, request_id FROM (
                 SELECT account_id, request_id, row_number() OVER (
                     PARTITION BY account_id ORDER BY at DESC, request_id DESC) AS place
                 FROM refusals WHERE account_id IN {}) AS ranked
             WHERE place > {REFUSALS_KEPT})",
        list(tx.backend(), accounts.len())
    );
    tx.execute_built(sql, accounts.iter().map(text).collect()).await?;
    Ok(())
}

/// The most rows of one list that is read: more than any page shows.
pub(super) fn bounded(limit: u32) -> Value {
    count(u64::from(limit.min(1_000)))
}
