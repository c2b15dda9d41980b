//! Each counter of the data plane moves when it should.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::random::OsEntropy;
use rndrkit_edge::{Edge, EdgeOptions, Listener};

use crate::listeners::certificate;
use crate::upstream::{Script, Upstream};
use crate::wire::{ask, connect, request};
use crate::world::{OPERATOR_TOKEN, World, recording_fallback, start_on};

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

#[tokio::test]
async fn connections_beyond_the_share_of_an_address_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    let world = World::with(|options| options.limits.max_connections_per_address = 1).await;
    drop(guard);
    let _held = connect(world.public).await;
    until(&handle, r#"rndrkit_connections{listener="public"}"#, 1).await;
    assert_eq!(value(&handle, "rndrkit_connections_refused_total"), 0);
    for refused in 1..=2 {
        assert!(connect(world.public).await.is_closed().await);
        until(&handle, "rndrkit_connections_refused_total", refused).await;
    }
}

#[tokio::test]
async fn changes_of_the_tls_files_are_counted_by_their_outcome() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let (old, new) = (certificate(), certificate());
    let folder = tempfile::tempdir().unwrap();
    let (chain, key_file) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, old.cert.pem()).unwrap();
    std::fs::write(&key_file, old.signing_key.serialize_pem()).unwrap();
    let world = World::with(|_| {}).await;
    let mut options = EdgeOptions::new("https://localhost", Digest::of("t"));
    options.limits.tls_check_interval = Duration::from_millis(10);
    let guard = metrics::set_default_local_recorder(&recorder);
    let edge = Edge::new(options, world.verifier.clone(), world.clock.clone(), Arc::new(OsEntropy)).unwrap();
    drop(guard);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.with_tls(&chain, &key_file).unwrap();
    let _serving = start_on(listener, edge.public(recording_fallback(Arc::default())));

    // In one step, so that no half of a file is seen.
    let replace = |path: &Path, text: String| {
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, path).unwrap();
    };
    // The certificate first: until its key is there too, the two do not go together.
    replace(&chain, new.cert.pem());
    until(&handle, r#"rndrkit_tls_reloads_total{outcome="failed"}"#, 1).await;
    assert_eq!(value(&handle, r#"rndrkit_tls_reloads_total{outcome="loaded"}"#), 0);
    replace(&key_file, new.signing_key.serialize_pem());
    until(&handle, r#"rndrkit_tls_reloads_total{outcome="loaded"}"#, 1).await;
}
