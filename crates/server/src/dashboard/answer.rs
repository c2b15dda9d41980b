//! What every answer of the dashboard gets: a request id, the error page if it failed, and the headers
//! that keep a page to itself.

use std::panic::AssertUnwindSafe;

use askama::Template;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::FutureExt as _;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use rndrkit_domain::id::RequestId;
use tracing::Instrument as _;

use super::failure::{Asked, Failure};
use super::state::DashboardState;
use super::view::errors::ErrorPage;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-rk-request-id");

/// No scripts, styles or forms but our own files and pages; nobody may frame us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'";

/// `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` with our own forms, and
/// over plain HTTP the origin is all that tells our forms from others'.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), clipboard-write=(self)"),
    ("x-robots-tag", "noindex"),
];
/// A year, as browsers' preload lists ask.
const STRICT_TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Draws a page.
pub(super) fn page(status: StatusCode, view: &impl Template) -> Response {
    match view.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(cause) => Failure::internal(&cause.to_string()).into_response(),
    }
}

/// Sends the browser on with a GET.
pub(super) fn see_other(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(cause) => Failure::internal(&cause.to_string()).into_response(),
    }
}

/// Marks an answer as nobody's to keep: pages hold names, and one of them a secret.
pub(super) async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Runs a handler and finishes its answer.
pub(super) async fn finish(
    State(state): State<DashboardState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request.extensions().get::<RequestId>().copied();
    let id = id.unwrap_or_else(|| RequestId::generate(state.control().now(), state.entropy()));
    request.extensions_mut().insert(id);
    let asked = Asked::by(&request);
    let span = tracing::info_span!("page", request_id = %id, method = %request.method());

    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    // The panic's own message has gone to the panic hook, and so to the log.
    let response = answer.unwrap_or_else(|_panic| Failure::internal("a handler panicked").into_response());
    let mut response = draw_failure(response, id, &asked, &state);
    write_headers(response.headers_mut(), id, state.is_https());
    response
}

fn write_headers(headers: &mut HeaderMap, id: RequestId, is_https: bool) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
}

fn draw_failure(mut response: Response, id: RequestId, asked: &Asked, state: &DashboardState) -> Response {
    let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
    let failure = failure.seen_from(asked);
    let view = ErrorPage {
        gate: state.gate(),
        title: failure.title,
        paragraphs: failure.paragraphs,
        actions: failure.actions,
        request_id: failure.status.is_server_error().then(|| id.to_string()),
    };
    let body = view.render().unwrap_or_else(|_| failure.status.to_string());
    let mut drawn = (failure.status, Html(body)).into_response();
    for (name, value) in response.headers() {
        // The empty answer that stood here knew its own length and type, not this one's.
        if ![header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name) {
            drawn.headers_mut().append(name, value.clone());
        }
    }
    drawn.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = failure.retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        drawn
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(1)));
    }
    drawn
}
