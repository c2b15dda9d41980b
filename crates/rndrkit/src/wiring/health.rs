//! Readiness and metrics of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rndrkit_server::Health;
use rndrkit_store::Store;
use rndrkit_verifier::Verifier;

use super::following::NodePlace;

/// Buckets of decision seconds: a decision from memory takes microseconds, one with a look-up milliseconds.
const DECISION_BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 1.0,
];

/// Buckets of confirm seconds: a change that all nodes answer takes milliseconds, one that waits for a node that
/// does not answer takes what `trust_seconds` makes of it.
const CONFIRM_BUCKETS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0, 80.0];
const HISTOGRAMS: &[(&str, &[f64])] =
    &[("rndrkit_decision_seconds", DECISION_BUCKETS), ("rndrkit_confirm_seconds", CONFIRM_BUCKETS)];

/// The process has one recorder, however many servers a test starts in it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once.
pub(super) fn install_metrics() -> PrometheusHandle {
    RECORDER
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = HISTOGRAMS
                .iter()
                .try_fold(builder, |builder, (name, buckets)| {
                    builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)
                })
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::error!("another metrics recorder is installed; /metrics will stay empty");
            }
            handle
        })
        .clone()
}

/// Shows the number of sessions, as counted just now.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 sessions")]
pub(super) fn show_sessions(count: u64) {
    metrics::gauge!("rndrkit_sessions").set(count as f64);
}

/// What `/readyz` and `/metrics` say.
pub(super) struct NodeHealth {
    verifier: Arc<Verifier>,
    store: Store,
    metrics: PrometheusHandle,
    /// None when it stands alone.
    place: Option<NodePlace>,
    /// Whether somebody has looked at the metrics since sessions were counted.
    looked_at: AtomicBool,
    draining: AtomicBool,
}

impl NodeHealth {
    pub(super) fn new(
        verifier: Arc<Verifier>,
        store: Store,
        metrics: PrometheusHandle,
        place: Option<NodePlace>,
    ) -> Self {
        metrics::gauge!("rndrkit_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        metrics::describe_gauge!("rndrkit_build_info", "Always 1; the label says which version runs");
        metrics::describe_gauge!("rndrkit_store_statements", "SQL statements sent since the start");
        metrics::describe_gauge!("rndrkit_sessions", "Sessions of the dashboard that go on");
        // The first count is there before anybody looks.
        let looked_at = AtomicBool::new(true);
        Self { verifier, store, metrics, place, looked_at, draining: AtomicBool::new(false) }
    }

    /// From now on not ready: the load balancer is to look elsewhere.
    pub(super) fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether anybody has looked at the metrics since this was last asked.
    pub(super) fn was_looked_at(&self) -> bool {
        self.looked_at.swap(false, Ordering::Relaxed)
    }

    /// Every few seconds: keeps the recorder's histograms bounded.
    pub(super) fn upkeep(&self) {
        self.metrics.run_upkeep();
    }
}

impl Health for NodeHealth {
    fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::SeqCst) {
            reasons.push("This node is shutting down.".to_owned());
        }
        if !self.verifier.is_trusted() {
            reasons.push("This node cannot read changes from the database.".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn metrics_text(&self) -> String {
        self.looked_at.store(true, Ordering::Relaxed);
        let own_line = self.place.as_ref().map_or(0, |place| place.line.statements_total());
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 statements")]
        metrics::gauge!("rndrkit_store_statements").set((self.store.statements_total() + own_line) as f64);
        self.metrics.render()
    }
}
