//! `/livez`, `/readyz`, `/metrics`, `/openapi.json`.

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::json;

use crate::app::{App, OPERATOR};

#[tokio::test]
async fn readiness_follows_the_node_and_says_why_not_while_liveness_stays() {
    let app = App::start().await;
    let ready = app.operator("GET", "/readyz").anonymous().send().await;
    assert_eq!(ready.expect(StatusCode::OK), json!({ "status": "ready", "reasons": [] }));
    app.switches.not_ready.store(true, Ordering::SeqCst);
    let draining = app.operator("GET", "/readyz").anonymous().send().await;
    assert_eq!(
        draining.expect(StatusCode::SERVICE_UNAVAILABLE),
        json!({ "status": "not_ready", "reasons": ["draining"] })
    );
    app.operator("GET", "/livez").anonymous().send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn metrics_and_the_description_need_no_token() {
    let app = App::start().await;
    let metrics = app.operator("GET", "/metrics").anonymous().send().await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(metrics.body.contains("rndrkit_build_info"));
    let description = app.operator("GET", "/openapi.json").anonymous().send().await.expect(StatusCode::OK);
    assert_eq!(description["info"]["title"], "RndrKit API keys");
}

#[tokio::test]
async fn a_listener_for_watchers_has_nothing_of_the_operators() {
    let app = App::start().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(app.telemetry("GET", path).send().await.status, StatusCode::OK, "{path}");
    }
    for route in rndrkit_server::operator_routes() {
        if route.path.starts_with("/v1/") {
            let call = app.telemetry(route.method.as_str(), &route.path.replace("{id}", "x")).token(OPERATOR);
            assert_eq!(call.send().await.status, StatusCode::NOT_FOUND, "{} {}", route.method, route.path);
        }
    }
}
