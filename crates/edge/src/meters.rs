//! The counters of the data plane, made once, so that counting costs one atomic addition.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use rndrkit_domain::decision::{Decision, Denial};

/// A way in: each shows the same decision in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// In front of an upstream.
    Gateway,
    /// The reserved tree.
    Own,
    /// `POST /v1/keys/verify`.
    Verify,
    /// `/authz/…`.
    Authz,
}

impl Door {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Own => "self",
            Self::Verify => "verify",
            Self::Authz => "authz",
        }
    }
}

struct DoorMeters {
    valid: Counter,
    denied: [Counter; Denial::ALL.len()],
    seconds: Histogram,
}

impl DoorMeters {
    fn new(door: Door) -> Self {
        let door = door.as_str();
        let counter =
            |code: &'static str| counter!("rndrkit_decisions_total", "door" => door, "code" => code);
        Self {
            valid: counter("valid"),
            denied: Denial::ALL.map(|denial| counter(denial.as_str())),
            seconds: histogram!("rndrkit_decision_seconds", "door" => door),
        }
    }
}

/// Changes of TLS files that were taken, and that could not be.
#[derive(Clone)]
pub(crate) struct ReloadCounts {
    pub(crate) loaded: Counter,
    pub(crate) failed: Counter,
}

/// All handles of the data plane.
pub(crate) struct Meters {
    gateway: DoorMeters,
    own: DoorMeters,
    verify: DoorMeters,
    authz: DoorMeters,
    /// Streams and slow exchanges ended because their key or account no longer allows them.
    pub(crate) streams_cut: Counter,
    /// Requests that an upstream failed: not reached, broken, or too slow.
    pub(crate) upstream_failures: Counter,
    /// Connections closed at once, because their address has enough.
    pub(crate) connections_refused: Counter,
    /// Changes of the TLS files.
    pub(crate) tls_reloads: ReloadCounts,
    public_connections: Gauge,
    gateway_connections: Gauge,
    internal_connections: Gauge,
}

/// A kind of listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerKind {
    /// Dashboard and `/api`.
    Public,
    /// Routes on every path.
    Gateway,
    /// Operator API and verify.
    Internal,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            gateway: DoorMeters::new(Door::Gateway),
            own: DoorMeters::new(Door::Own),
            verify: DoorMeters::new(Door::Verify),
            authz: DoorMeters::new(Door::Authz),
            streams_cut: counter!("rndrkit_streams_cut_total"),
            upstream_failures: counter!("rndrkit_upstream_failures_total"),
            connections_refused: counter!("rndrkit_connections_refused_total"),
            tls_reloads: ReloadCounts {
                loaded: counter!("rndrkit_tls_reloads_total", "outcome" => "loaded"),
                failed: counter!("rndrkit_tls_reloads_total", "outcome" => "failed"),
            },
            public_connections: gauge!("rndrkit_connections", "listener" => "public"),
            gateway_connections: gauge!("rndrkit_connections", "listener" => "gateway"),
            internal_connections: gauge!("rndrkit_connections", "listener" => "internal"),
        }
    }

    /// Counts a connection for as long as the count is kept.
    pub(crate) fn connected(&self, listener: ListenerKind) -> ConnectionCount {
        let gauge = match listener {
            ListenerKind::Public => &self.public_connections,
            ListenerKind::Gateway => &self.gateway_connections,
            ListenerKind::Internal => &self.internal_connections,
        };
        gauge.increment(1.0);
        ConnectionCount(gauge.clone())
    }

    /// Counts one decision and how long it took.
    pub(crate) fn decided(&self, door: Door, decision: &Decision, took: Duration) {
        let meters = match door {
            Door::Gateway => &self.gateway,
            Door::Own => &self.own,
            Door::Verify => &self.verify,
            Door::Authz => &self.authz,
        };
        match decision {
            Decision::Allowed { .. } => meters.valid.increment(1),
            Decision::Denied { denial, .. } => {
                let position = Denial::ALL.iter().position(|known| known == denial);
                if let Some(counter) = position.and_then(|position| meters.denied.get(position)) {
                    counter.increment(1);
                }
            }
        }
        meters.seconds.record(took.as_secs_f64());
    }
}

/// One connection, counted while it lives.
pub(crate) struct ConnectionCount(Gauge);

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Describes this crate's metrics to the recorder in force.
pub fn describe_metrics() {
    describe_counter!("rndrkit_decisions_total", "Decisions on requests, by door and code");
    describe_histogram!("rndrkit_decision_seconds", Unit::Seconds, "Time that a decision took, by door");
    describe_gauge!("rndrkit_connections", "Open connections, upgraded ones included, by listener");
    describe_counter!(
        "rndrkit_streams_cut_total",
        "Streams and slow exchanges ended because their key was, or because nobody could tell any more"
    );
    describe_counter!(
        "rndrkit_connections_refused_total",
        "Connections closed at once, because their address had its share of them"
    );
    describe_counter!("rndrkit_tls_reloads_total", "Changes of the TLS files, by whether they could be used");
    describe_counter!("rndrkit_upstream_failures_total", "Requests that an upstream did not answer properly");
}
