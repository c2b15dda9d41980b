//! Readiness and metrics of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rndrkit_server::Health;
use rndrkit_store::Store;
use rndrkit_verifier::Verifier;

/// Buckets of decision seconds: a decision from memory takes microseconds, one with a look-up milliseconds.
const DECISION_BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 1.0,
];

/// The process has one recorder, however many servers a test starts in it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once.
pub(super) fn install_metrics() -> PrometheusHandle {
    RECORDER
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder
                .set_buckets_for_metric(
                    Matcher::Full("rndrkit_decision_seconds".to_owned()),
                    DECISION_BUCKETS,
                )
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
    draining: AtomicBool,
}

impl NodeHealth {
    pub(super) fn new(verifier: Arc<Verifier>, store: Store, metrics: PrometheusHandle) -> Self {
        metrics::gauge!("rndrkit_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        metrics::describe_gauge!("rndrkit_build_info", "Always 1; the label says which version runs");
        metrics::describe_gauge!("rndrkit_store_statements", "SQL statements sent since the start");
        metrics::describe_gauge!("rndrkit_sessions", "Sessions of the dashboard that go on");
        Self { verifier, store, metrics, draining: AtomicBool::new(false) }
    }

    /// From now on not ready: the load balancer is to look elsewhere.
    pub(super) fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
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
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 statements")]
        metrics::gauge!("rndrkit_store_statements").set(self.store.statements_total() as f64);
        self.metrics.render()
    }
}
