//! Metrics of this crate.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

const TRUST_AGE: &str = "rndrkit_trust_age_seconds";
const NODES: &str = "rndrkit_nodes";
const CONFIRM_SECONDS: &str = "rndrkit_confirm_seconds";
const WAITED_OUT: &str = "rndrkit_nodes_waited_out_total";
const WRITTEN_OFF: &str = "rndrkit_node_written_off_total";
const REAPED: &str = "rndrkit_nodes_reaped_total";
const CLOCK_DIFFERENCES: &str = "rndrkit_clock_differences_total";
const LINE_FAILURES: &str = "rndrkit_node_line_failures_total";

/// Describes this crate's metrics to the recorder in force.
pub fn describe_metrics() {
    describe_gauge!(
        TRUST_AGE,
        Unit::Seconds,
        "How long ago the question was sent that the present trust rests on, when it was last looked at"
    );
    describe_gauge!(NODES, "Nodes on the list when it was last read, this one included");
    describe_histogram!(
        CONFIRM_SECONDS,
        Unit::Seconds,
        "Time from the commit of a change until it was in force on every node"
    );
    describe_counter!(WAITED_OUT, "Nodes that a change waited out because they did not confirm it");
    describe_counter!(WRITTEN_OFF, "Times that this node found itself off the list and joined it anew");
    describe_counter!(REAPED, "Nodes that this one took off the list because they said nothing any more");
    describe_counter!(
        CLOCK_DIFFERENCES,
        "Times that this machine's clock and the database's disagreed about a span by more than is allowed for"
    );
    describe_counter!(
        LINE_FAILURES,
        "Calls over this node's own line to the database that failed, beats among them"
    );
}

/// The handles.
pub(crate) struct Meters {
    pub(crate) trust_age: Gauge,
    nodes: Gauge,
    pub(crate) confirm_seconds: Histogram,
    pub(crate) waited_out: Counter,
    pub(crate) written_off: Counter,
    pub(crate) reaped: Counter,
    pub(crate) clock_differences: Counter,
    pub(crate) line_failures: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            trust_age: gauge!(TRUST_AGE),
            nodes: gauge!(NODES),
            confirm_seconds: histogram!(CONFIRM_SECONDS),
            waited_out: counter!(WAITED_OUT),
            written_off: counter!(WRITTEN_OFF),
            reaped: counter!(REAPED),
            clock_differences: counter!(CLOCK_DIFFERENCES),
            line_failures: counter!(LINE_FAILURES),
        }
    }

    pub(crate) fn show_nodes(&self, nodes: usize) {
        self.nodes.set(f64::from(u32::try_from(nodes).unwrap_or(u32::MAX)));
    }

    pub(crate) fn show_trust_age(&self, age: Duration) {
        self.trust_age.set(age.as_secs_f64());
    }
}
