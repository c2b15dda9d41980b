//! `/livez`, `/readyz`, `/metrics` and `/openapi.json`: for machines that watch, without a token.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::openapi;
use crate::state::ServerState;

/// What Prometheus calls its text format.
const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the process runs. Depends on nothing else.
#[utoipa::path(get, path = "/livez",
    operation_id = "livez", tag = "Health",
    responses((status = 200, body = Object)))]
pub(crate) async fn livez() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// Whether this node can decide on requests now; if not, why.
#[utoipa::path(get, path = "/readyz",
    operation_id = "readyz", tag = "Health",
    responses((status = 200, body = Object), (status = 503, body = Object, description = "Not now; see `reasons`.")))]
pub(crate) async fn readyz(State(state): State<ServerState>) -> Response {
    match state.health.ready() {
        Ok(()) => Json(json!({ "status": "ready", "reasons": [] })).into_response(),
        Err(reasons) => {
            let body = Json(json!({ "status": "not_ready", "reasons": reasons }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// All metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics",
    operation_id = "metrics", tag = "Health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<ServerState>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TEXT)], state.health.metrics_text()).into_response()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json",
    operation_id = "openapi_json", tag = "Health",
    responses((status = 200, body = Object)))]
pub(crate) async fn openapi_json(State(state): State<ServerState>) -> Json<Value> {
    Json(openapi::document(&state.settings))
}
