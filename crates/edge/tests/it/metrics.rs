//! Each counter of the data plane moves when it should.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::upstream::{Script, Upstream};
use crate::wire::{ask, connect, request};
use crate::world::{OPERATOR_TOKEN, World};

/// The value of one line of the report; 0 when it is not there.
fn value(handle: &PrometheusHandle, line: &str) -> u64 {
    let report = handle.render();
    let found = report.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0, |text| text.parse().unwrap())
}

async fn until(handle: &PrometheusHandle, line: &str, wanted: u64) {
    let waiting = async {
        while value(handle, line) != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let moved = tokio::time::timeout(crate::wire::PATIENCE, waiting).await;
    assert!(moved.is_ok(), "{line} is {} and not {wanted}", value(handle, line));
}

#[tokio::test]
async fn decisions_connections_cuts_and_failures_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let upstream = Upstream::scripted(|message| {
        if message.target() == "/api/broken" {
            return Script::take(|_| async {});
        }
        Script::take(|mut reader| async move {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            reader.send(head).await;
            reader.read_to_end().await;
        })
    })
    .await;
    // Handles are made when a data plane is, and that is within one poll on this thread.
    let guard = metrics::set_default_local_recorder(&recorder);
    rndrkit_edge::describe_metrics();
    let world = World::over(&upstream).await;
    drop(guard);
    let key = world.key();

    ask(world.public, "GET /api/x", &[]).await;
    ask(world.public, "GET /api/broken", &[&key.line()]).await;
    ask(world.public, "GET /api/rk/account", &[&key.line()]).await;
    let token = format!("Authorization: Bearer {OPERATOR_TOKEN}");
    let mut asker = connect(world.internal).await;
    let question = r#"{"secret":"nonsense"}"#;
    let lines = [token.as_str(), "Content-Type: application/json"];
    asker.send(request("POST /v1/keys/verify", &lines, question)).await;
    asker.answer().await;
    for (labels, count) in [
        (r#"{door="gateway",code="missing_key"}"#, 1),
        (r#"{door="gateway",code="valid"}"#, 1),
        (r#"{door="self",code="valid"}"#, 1),
        (r#"{door="verify",code="invalid_key"}"#, 1),
        (r#"{door="verify",code="valid"}"#, 0),
    ] {
        assert_eq!(value(&handle, &format!("rndrkit_decisions_total{labels}")), count, "{labels}");
    }
    assert_eq!(value(&handle, r#"rndrkit_decision_seconds_count{door="gateway"}"#), 2);
    assert_eq!(value(&handle, "rndrkit_upstream_failures_total"), 1);

    let mut stream = connect(world.public).await;
    stream.send(request("GET /api/events", &[&key.line()], "")).await;
    stream.head().await;
    until(&handle, r#"rndrkit_connections{listener="public"}"#, 1).await;
    until(&handle, r#"rndrkit_connections{listener="internal"}"#, 1).await;
    world.revoke(&key);
    assert!(stream.is_closed().await);
    until(&handle, "rndrkit_streams_cut_total", 1).await;
    until(&handle, r#"rndrkit_connections{listener="public"}"#, 0).await;
}
