//! The outermost layer of the JSON interfaces: request ids, panics, problem documents, and what every
//! answer carries.

use std::panic::AssertUnwindSafe;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use rndrkit_api::error::{ErrorCode, Problem};
use rndrkit_domain::id::RequestId;
use tracing::Instrument as _;

use crate::http::refusal::Refusal;
use crate::state::{ServerSettings, ServerState};

const REQUEST_ID: &str = "x-rk-request-id";
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Runs a call and finishes its answer.
pub(crate) async fn finish(State(state): State<ServerState>, mut request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().copied();
    let id = id.unwrap_or_else(|| RequestId::generate(state.control.now(), &*state.entropy));
    request.extensions_mut().insert(id);
    let is_head = request.method() == Method::HEAD;
    let span = tracing::info_span!("call", request_id = %id, method = %request.method());

    let call = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span);
    let response = match call.await {
        Ok(response) => response,
        // The panic's own message has gone to the panic hook, and so to the log.
        Err(_panic) => Refusal::internal("a handler panicked").into_response(),
    };
    let mut response = write_problem(response, id, &state.settings);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_head { without_body(response) } else { response }
}

/// Marks an answer as nobody's to keep.
pub(crate) async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// No such path of the operator API.
pub(crate) async fn not_found() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "There is no such path. See /openapi.json on the internal listener.")
}

/// The path exists; the router adds `Allow`.
pub(crate) async fn method_not_allowed() -> Refusal {
    Refusal::new(ErrorCode::MethodNotAllowed, "This path does not take this method; see the Allow header.")
}

fn write_problem(mut response: Response, id: RequestId, settings: &ServerSettings) -> Response {
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else { return response };
    let mut headers = std::mem::take(response.headers_mut());
    headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(wait) = refusal.retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        insert(&mut headers, header::RETRY_AFTER, &seconds.to_string());
    }
    if let Some(challenge) = challenge(refusal.code, &settings.brand_name) {
        insert(&mut headers, header::WWW_AUTHENTICATE, &challenge);
    }
    let mut problem = Problem::new(refusal.code, refusal.detail, id.to_string());
    problem.errors = refusal.errors;
    problem.limit = refusal.limit;
    if refusal.code == ErrorCode::PlanRequired {
        problem.upgrade_url = Some(format!("{}/billing", settings.public_url));
    }
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut answer = (response.status(), Body::from(body)).into_response();
    *answer.headers_mut() = headers;
    answer
}

/// What a 401 or 403 asks for (RFC 6750, section 3). The realm is the brand, as far as it fits in quotes.
fn challenge(code: ErrorCode, brand_name: &str) -> Option<String> {
    let error = match code {
        ErrorCode::MissingToken => "",
        ErrorCode::InvalidToken => r#", error="invalid_token""#,
        ErrorCode::InsufficientScope => r#", error="insufficient_scope""#,
        _ => return None,
    };
    let plain = |c: &char| (c.is_ascii_graphic() || *c == ' ') && !matches!(c, '"' | '\\');
    let realm: String = brand_name.chars().filter(plain).collect();
    Some(format!(r#"Bearer realm="{realm}"{error}"#))
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn without_body(response: Response) -> Response {
    let (parts, _body) = response.into_parts();
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_says_what_was_wrong_with_the_token() {
        assert_eq!(challenge(ErrorCode::MissingToken, "RndrKit").unwrap(), r#"Bearer realm="RndrKit""#);
        let bad = challenge(ErrorCode::InvalidToken, "RndrKit").unwrap();
        assert_eq!(bad, r#"Bearer realm="RndrKit", error="invalid_token""#);
        assert_eq!(challenge(ErrorCode::NotFound, "RndrKit"), None);
    }

    #[test]
    fn a_brand_cannot_break_out_of_the_realm() {
        let challenge = challenge(ErrorCode::MissingToken, "A\"B\\C\r\nD é").unwrap();
        assert_eq!(challenge, r#"Bearer realm="ABCD ""#);
    }
}
