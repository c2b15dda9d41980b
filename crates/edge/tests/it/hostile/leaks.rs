//! What stays behind when everything has gone wrong many times: no task, no connection, on either side.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::Handle;

use super::vanishing::{SCENES, go, upstream};
use super::{Way, on_both_ways};
use crate::wire::PATIENCE;

/// Times that each fault is met.
const TIMES: usize = 50;

async fn faults_leave_no_task_and_no_connection_behind(way: Way) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let upstream = upstream().await;
    // Handles are made when a data plane is, and that is within one poll on this thread.
    let guard = metrics::set_default_local_recorder(&recorder);
    let world = super::world(way, upstream.uri()).await;
    drop(guard);
    let connections = || {
        let report = handle.render();
        let line =
            report.lines().find_map(|line| line.strip_prefix(r#"rndrkit_connections{listener="public"} "#));
        line.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    let tasks = || Handle::current().metrics().num_alive_tasks();

    // What is made once, such as a pool's keeper, is made now.
    drop(go("answered", world.public, &world.key().line()).await);
    settles(|| connections() == 0 && upstream.open() <= 1).await;
    let before = tasks();
    for scene in SCENES {
        for time in 0..TIMES {
            let client = go(scene, world.public, &world.key().line()).await;
            if time % 2 == 0 {
                client.stream.set_zero_linger().unwrap();
            }
        }
        let settled = settles(|| connections() == 0 && upstream.open() <= 1 && tasks() <= before).await;
        let left = (connections(), upstream.open(), tasks().saturating_sub(before));
        assert!(settled, "{scene}: {left:?} connections, upstream connections and tasks more than before");
    }
}

/// Whether it comes true in time.
async fn settles(holds: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.is_ok()
}

on_both_ways! {
    faults_leave_no_task_and_no_connection_behind,
}
