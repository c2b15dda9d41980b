//! What a node does beside answering: pruning what is past its retention, and keeping metrics tidy and fresh.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_control::Control;
use rndrkit_domain::observation::{
    NETWORKS_KEPT_FOR, REFUSALS_KEPT_FOR, SECRET_HOURS_KEPT_FOR, SIGHTINGS_KEPT_FOR,
};
use rndrkit_domain::time::{Clock, Timestamp};
use rndrkit_domain::usage::{HOURS_KEPT_FOR, MINUTES_KEPT_FOR};
use rndrkit_store::{AuditPruning, AuditSigner, Store};
use tokio::time::sleep;

use super::health::{self, NodeHealth};
use super::mailer;
use crate::config::Retention;

/// How often the recorder is tidied.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often sessions and waiting mail are counted at most, and only when somebody looks at the metrics: an idle node
/// asks the database nothing but its beats, and whether there is mail to send where there is a mail server.
const SESSIONS_EVERY: Duration = Duration::from_secs(60);
/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Rows deleted in one transaction: short enough to be in nobody's way.
const PRUNE_BATCH: u32 = 1_000;
/// Pause between two batches, so that changes get their turn. Leaves room for 10,000 rows a second, far more
/// than are written.
const PRUNE_PAUSE: Duration = Duration::from_millis(100);
/// Feed entries are kept this long for verifiers that were away.
const FEED_KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Mail that was sent, or will never be: long enough to answer "was I told?".
const MAIL_KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// What was told once: longer than anything of it could be found again.
const TOLD_KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How often news is looked for: nobody has to act on it within the hour.
const NEWS_EVERY: Duration = Duration::from_secs(600);
/// The first time, when whoever started the server has seen that it runs.
const NEWS_AFTER: Duration = Duration::from_secs(30);
/// What was written of an account while it was being deleted is looked for this long after.
const DELETED_SWEPT_FOR: Duration = Duration::from_secs(86_400);

/// How long things are kept, and what signs for the events that are not.
pub(super) struct Kept {
    pub(super) by: Retention,
    pub(super) signer: Option<Arc<AuditSigner>>,
}

/// Runs until aborted. Each goes on whatever the others wait for.
pub(super) async fn run(
    store: Store,
    control: Control,
    clock: Arc<dyn Clock>,
    health: Arc<NodeHealth>,
    kept: Kept,
) {
    tokio::join!(
        tidy_metrics(&health),
        count_for_metrics(&store, &control, &health),
        tell_news_always(&control),
        prune_always(&store, &*clock, &kept)
    );
}

async fn tidy_metrics(health: &NodeHealth) {
    loop {
        health.upkeep();
        sleep(METRICS_EVERY).await;
    }
}

async fn count_for_metrics(store: &Store, control: &Control, health: &NodeHealth) {
    loop {
        if health.was_looked_at() {
            match control.live_sessions().await {
                Ok(count) => health::show_sessions(count),
                Err(error) => {
                    tracing::warn!(%error, "sessions could not be counted; the metric stays as it was");
                }
            }
            if control.settings().sends_mail {
                match store.mail_backlog().await {
                    Ok(backlog) => mailer::show_waiting(backlog.waiting),
                    Err(error) => {
                        tracing::warn!(%error, "mail could not be counted; the metric stays as it was");
                    }
                }
            }
        }
        sleep(SESSIONS_EVERY).await;
    }
}

async fn tell_news_always(control: &Control) {
    sleep(NEWS_AFTER).await;
    loop {
        if let Err(error) = control.tell_news().await {
            tracing::warn!(%error, "news could not be told; the next round tries again");
        }
        sleep(NEWS_EVERY).await;
    }
}

async fn prune_always(store: &Store, clock: &dyn Clock, kept: &Kept) {
    loop {
        prune(store, clock, kept).await;
        sleep(PRUNE_EVERY).await;
    }
}

/// Drops all that is past its retention. What is added in the meantime is never old. Each by itself: what cannot
/// be pruned keeps nothing else from it.
async fn prune(store: &Store, clock: &dyn Clock, kept: &Kept) {
    let (now, retention) = (clock.now(), &kept.by);
    let minutes = now.minus(MINUTES_KEPT_FOR);
    let hours = now.minus(HOURS_KEPT_FOR);
    let days = now.minus(retention.usage);
    report("usage", in_batches(|| store.prune_usage(minutes, hours, days, PRUNE_BATCH)).await);
    prune_observations(store, now).await;
    report("audit log", in_batches(|| prune_audit(store, now, kept)).await);
    report("feed", in_batches(|| store.prune_feed(now.minus(FEED_KEPT_FOR), PRUNE_BATCH)).await);
    report("budgets", in_batches(|| store.prune_budgets(PRUNE_BATCH)).await);
    report("idempotency keys", in_batches(|| store.prune_idempotency(now, PRUNE_BATCH)).await);
    report("sessions", in_batches(|| store.prune_sessions(now, PRUNE_BATCH)).await);
    report("mail", in_batches(|| store.prune_outbox(now.minus(MAIL_KEPT_FOR), PRUNE_BATCH)).await);
    report("told news", in_batches(|| store.prune_told(now.minus(TOLD_KEPT_FOR), PRUNE_BATCH)).await);
    report("links", in_batches(|| store.prune_links(now, PRUNE_BATCH)).await);
    report("changes of address", in_batches(|| store.prune_email_changes(now, PRUNE_BATCH)).await);
}

/// Says what becomes of the trail's beginning: the line in the log is what is left of it.
async fn prune_audit(store: &Store, now: Timestamp, kept: &Kept) -> Result<u64, rndrkit_store::Error> {
    let signer = kept.signer.as_deref();
    match store.prune_audit(now.minus(kept.by.audit), PRUNE_BATCH, now, signer).await? {
        AuditPruning::Done { events, unproven } => {
            if let Some(checkpoint) = unproven {
                tracing::warn!(
                    seq = checkpoint.seq(),
                    hash = checkpoint.hash(),
                    public_key = checkpoint.public_key().map(|key| key.to_string()),
                    "retention went on from a checkpoint of the audit trail that this key had not signed, and signed the \
                     next one: this happens once after a time without a key or with another; if there was none, somebody \
                     else dropped the events up to it"
                );
            }
            Ok(events)
        }
        AuditPruning::Refused(fault) => {
            tracing::error!(
                %fault,
                "the audit trail does not begin where retention left it, so nothing is dropped from it and no checkpoint \
                 signed: keep the database as it is, and run `rndrkit doctor`"
            );
            Ok(0)
        }
    }
}

async fn prune_observations(store: &Store, now: Timestamp) {
    let (networks, refusals) = (now.minus(NETWORKS_KEPT_FOR), now.minus(REFUSALS_KEPT_FOR));
    let hours = now.minus(SECRET_HOURS_KEPT_FOR);
    report("networks", in_batches(|| store.prune_networks(networks, PRUNE_BATCH)).await);
    report("hours of secrets", in_batches(|| store.prune_secret_hours(hours, PRUNE_BATCH)).await);
    report("refusals", in_batches(|| store.prune_refusals(refusals, PRUNE_BATCH)).await);
    report("sightings", prune_sightings(store, now).await);
    let swept = store.sweep_observations(now.minus(DELETED_SWEPT_FOR)).await;
    report("observations of deleted accounts", swept.map(|_| ()));
}

/// Once a day and on one node, because it reads the sightings of all secrets. What it leaves, the next day takes.
async fn prune_sightings(store: &Store, now: Timestamp) -> Result<(), rndrkit_store::Error> {
    if !store.claim_once(&format!("round.sightings.{}", now.date()), now).await? {
        return Ok(());
    }
    in_batches(|| store.prune_sightings(now.minus(SIGHTINGS_KEPT_FOR), PRUNE_BATCH)).await
}

fn report(of: &'static str, pruned: Result<(), rndrkit_store::Error>) {
    if let Err(error) = pruned {
        tracing::warn!(%error, of, "old rows could not be pruned; the next round tries again");
    }
}

/// Prunes until a batch is not full. One batch a round would fall behind a busy installation for good.
async fn in_batches<F>(mut prune: impl FnMut() -> F) -> Result<(), rndrkit_store::Error>
where
    F: Future<Output = Result<u64, rndrkit_store::Error>>,
{
    while prune().await? >= u64::from(PRUNE_BATCH) {
        sleep(PRUNE_PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::id::{AccountId, KeyId};
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::{ManualClock, SystemClock};
    use rndrkit_domain::usage::{UsageCounts, UsageDelta, UsagePeriod};
    use rndrkit_store::OpenOptions;
    use rndrkit_testkit::database::{TestDatabase, meddle, on_sqlite};
    use rndrkit_testkit::on_both_databases;

    use super::*;

    on_both_databases!(use_past_its_time_goes_in_one_round_while_more_is_counted);

    const HOUR: Duration = Duration::from_secs(3_600);

    /// One request each of so many keys, so long ago.
    async fn count(store: &Store, account_id: AccountId, keys: usize, minute: Timestamp) {
        let delta = |_| UsageDelta {
            key_id: KeyId::generate(minute, &OsEntropy),
            account_id,
            minute,
            counts: UsageCounts { allowed: 1, ..UsageCounts::default() },
        };
        store.record_usage(&(0..keys).map(delta).collect::<Vec<_>>(), &[]).await.unwrap();
    }

    async fn use_past_its_time_goes_in_one_round_while_more_is_counted(database: &TestDatabase) {
        const BUSY: usize = 50;
        let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
        let now: Timestamp = "2026-11-23T12:30:00Z".parse().unwrap();
        let account = AccountId::generate(now, &OsEntropy);
        for (keys, hours_ago) in [(2_500, 49), (1_200, 15 * 24), (30, 91 * 24), (3, 47)] {
            count(&store, account, keys, now.minus(HOUR * hours_ago)).await;
        }
        let counting = tokio::spawn({
            let store = store.clone();
            async move {
                for _ in 0..BUSY {
                    count(&store, account, 1, now).await;
                }
            }
        });
        let day = HOUR * 24;
        let kept = Kept { by: Retention { audit: day, usage: day * 90 }, signer: None };
        prune(&store, &ManualClock::at(now), &kept).await;
        counting.await.unwrap();
        let ever = (Timestamp::from_unix_ms(0), now.plus(day));
        for (period, left) in [
            (UsagePeriod::Minute, 3 + BUSY),
            (UsagePeriod::Hour, 2_500 + 3 + BUSY),
            (UsagePeriod::Day, 2_500 + 1_200 + 3 + BUSY),
        ] {
            let counts = store.list_usage(account, period, ever, 10_000).await.unwrap();
            assert_eq!(counts.len(), left, "{period:?}");
        }
    }

    #[test]
    fn what_cannot_be_pruned_keeps_nothing_else_from_it() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let old_link = "INSERT INTO links (digest, kind, created_at, expires_at)
                            VALUES (randomblob(32), 'first_account', 0, 1)";
            meddle(database.url(), old_link).await;
            // The first of all.
            meddle(database.url(), "DROP TABLE usage").await;
            let day = Duration::from_secs(86_400);
            let kept = Kept { by: Retention { audit: day, usage: day }, signer: None };
            let clock = SystemClock::default();
            prune(&store, &clock, &kept).await;
            assert_eq!(store.prune_links(clock.now(), 9).await.unwrap(), 0, "it is gone already");
        });
    }

    #[test]
    fn who_presented_secrets_is_forgotten_once_a_day_by_whichever_node_is_first() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let now: Timestamp = "2026-11-23T12:30:00Z".parse().unwrap();
            let key_id = KeyId::generate(now, &OsEntropy);
            let long_ago =
                format!("INSERT INTO sightings VALUES (randomblob(32), '{key_id}', 'a', 1, NULL, NULL)");
            let left = async || store.list_sightings(key_id).await.map_err(|_| ());
            let (now, tomorrow) = (now, now.plus(HOUR * 24));
            let mut rounds = Vec::new();
            for at in [now, now.plus(HOUR), tomorrow] {
                meddle(database.url(), &long_ago).await;
                prune_sightings(&store, at).await.unwrap();
                rounds.push(left().await.is_ok_and(|left| left.is_empty()));
            }
            assert_eq!(rounds, [true, false, true]);
        });
    }

    #[tokio::test]
    async fn a_backlog_of_many_batches_is_pruned_in_one_round() {
        let mut backlog = 3 * u64::from(PRUNE_BATCH) + 5;
        let batch = || {
            let dropped = backlog.min(u64::from(PRUNE_BATCH));
            backlog -= dropped;
            std::future::ready(Ok(dropped))
        };
        in_batches(batch).await.unwrap();
        assert_eq!(backlog, 0);
    }
}
