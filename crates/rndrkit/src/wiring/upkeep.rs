//! What a node does beside answering: pruning what is past its retention, and keeping metrics tidy and fresh.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_control::Control;
use rndrkit_domain::time::Clock;
use rndrkit_store::Store;

use super::health::{self, NodeHealth};
use crate::config::Retention;

/// How often the recorder is tidied.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often sessions are counted: as often as metrics are usually collected.
const SESSIONS_EVERY: Duration = Duration::from_secs(15);
/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Rows deleted in one transaction: short enough to be in nobody's way.
const PRUNE_BATCH: u32 = 1_000;
/// Feed entries are kept this long for verifiers that were away.
const FEED_KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Repeats of a create are recognised this long.
const IDEMPOTENCY_KEPT_FOR: Duration = Duration::from_secs(86_400);
/// Counts by the minute and by the hour.
const MINUTES_KEPT_FOR: Duration = Duration::from_secs(48 * 3_600);
const HOURS_KEPT_FOR: Duration = Duration::from_secs(14 * 86_400);

/// Runs until aborted.
pub(super) async fn run(
    store: Store,
    control: Control,
    clock: Arc<dyn Clock>,
    health: Arc<NodeHealth>,
    retention: Retention,
) {
    let mut metrics_tick = tokio::time::interval(METRICS_EVERY);
    let mut sessions_tick = tokio::time::interval(SESSIONS_EVERY);
    let mut prune_tick = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            _ = metrics_tick.tick() => health.upkeep(),
            _ = sessions_tick.tick() => match control.live_sessions().await {
                Ok(count) => health::show_sessions(count),
                Err(error) => tracing::warn!(%error, "sessions could not be counted; the metric stays as it was"),
            },
            _ = prune_tick.tick() => {
                if let Err(error) = prune(&store, &*clock, &retention).await {
                    tracing::warn!(%error, "old rows could not be pruned; the next round tries again");
                }
            }
        }
    }
}

async fn prune(store: &Store, clock: &dyn Clock, retention: &Retention) -> Result<(), rndrkit_store::Error> {
    let now = clock.now();
    store
        .prune_usage(
            now.minus(MINUTES_KEPT_FOR),
            now.minus(HOURS_KEPT_FOR),
            now.minus(retention.usage),
            PRUNE_BATCH,
        )
        .await?;
    store.prune_audit(now.minus(retention.audit), PRUNE_BATCH).await?;
    store.prune_feed(now.minus(FEED_KEPT_FOR), PRUNE_BATCH).await?;
    store.prune_idempotency(now.minus(IDEMPOTENCY_KEPT_FOR), PRUNE_BATCH).await?;
    store.prune_sessions(now, PRUNE_BATCH).await?;
    store.prune_links(now, PRUNE_BATCH).await?;
    Ok(())
}
