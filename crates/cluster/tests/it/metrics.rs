//! Each metric of this crate moves when what it counts happens.

use std::sync::atomic::Ordering;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rndrkit_cluster::describe_metrics;
use rndrkit_domain::feed::FeedKind;

use crate::database::Database;
use crate::node::{Node, TRUST, pass, switch};

fn value(handle: &PrometheusHandle, name: &str) -> f64 {
    let text = handle.render();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()).map_or(f64::NAN, |value| value.parse().unwrap())
}

#[track_caller]
fn assert_value(handle: &PrometheusHandle, name: &str, expected: f64) {
    let seen = value(handle, name);
    assert!((seen - expected).abs() < f64::EPSILON, "{name} is {seen}, not {expected}\n{}", handle.render());
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_nodes_and_waits_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let database = Database::new();
    let node = metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        Node::start(&database)
    });
    pass(8_000).await;
    assert_value(&handle, "rndrkit_nodes", 1.0);
    assert_value(&handle, "rndrkit_feed_lag", 0.0);
    let age = value(&handle, "rndrkit_trust_age_seconds");
    assert!((0.0..1.1).contains(&age), "{age}");
    node.waiter.confirm(database.commit(FeedKind::Plans)).await.unwrap();
    assert_value(&handle, "rndrkit_confirm_seconds_count", 1.0);

    database.add_row("other", TRUST, 0);
    pass(1_100).await;
    assert_value(&handle, "rndrkit_nodes", 2.0);
    // Taken off in time for the wait to see it gone; one that nobody can take off is waited out.
    node.waiter.confirm(database.commit(FeedKind::Plans)).await.unwrap();
    assert_value(&handle, "rndrkit_nodes_reaped_total", 1.0);
    assert_value(&handle, "rndrkit_nodes_waited_out_total", 0.0);
    database.add_row("other", TRUST, 0);
    switch(&node.line.cut, true);
    node.waiter.confirm(database.commit(FeedKind::Plans)).await.unwrap();
    assert_value(&handle, "rndrkit_nodes_waited_out_total", 2.0);
    assert!(value(&handle, "rndrkit_node_line_failures_total") >= 5.0);
    let age = value(&handle, "rndrkit_trust_age_seconds");
    assert!(age > 5.0, "{age}");
    switch(&node.line.cut, false);
    pass(2_000).await;

    database.stored.lock().nodes.clear();
    pass(2_000).await;
    assert_value(&handle, "rndrkit_node_written_off_total", 1.0);
    assert_value(&handle, "rndrkit_clock_differences_total", 0.0);
    database.clock.wall_ms.fetch_add(60_000, Ordering::SeqCst);
    pass(2_000).await;
    assert_value(&handle, "rndrkit_clock_differences_total", 1.0);
    let copy = database.copy();
    database.commit(FeedKind::Plans);
    pass(100).await;
    database.restore(copy);
    pass(2_000).await;
    assert_value(&handle, "rndrkit_feed_histories_lost_total", 1.0);
}
