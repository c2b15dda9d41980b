//! The decision in the words of each proxy.
//!
//! Deliberately absent: the texts of refusals, which are the same through every door (`problem`).

use std::fmt::Write;
use std::sync::LazyLock;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use rndrkit_api::error::Problem;
use rndrkit_domain::decision::{BudgetState, Caller, Decision};

use super::{Dialect, identity};
use crate::body::EdgeBody;
use crate::credential::TakenFrom;
use crate::edge::{Edge, Exchange, Judged};
use crate::problem::{self, Form, RATE_LIMIT, RATE_LIMIT_POLICY, X_RK_REQUEST_ID};

const X_RK_ACCOUNT_ID: HeaderName = HeaderName::from_static("x-rk-account-id");
const X_RK_EXTERNAL_ID: HeaderName = HeaderName::from_static("x-rk-external-id");
const X_RK_KEY_ID: HeaderName = HeaderName::from_static("x-rk-key-id");
const X_RK_PLAN: HeaderName = HeaderName::from_static("x-rk-plan");
/// The code of a refusal, for proxies that see only some statuses.
const X_RK_DECISION: HeaderName = HeaderName::from_static("x-rk-decision");
/// The body of a refusal, for a proxy that throws away ours: JSON in ASCII, without line breaks.
pub(crate) const X_RK_PROBLEM: HeaderName = HeaderName::from_static("x-rk-problem");
/// Which header held the key, so that a proxy takes it out and leaves alone what belongs to the upstream:
/// `x-api-key`, `authorization` or `both`. For proxies whose configuration can act on it.
const X_RK_KEY_HEADER: HeaderName = HeaderName::from_static("x-rk-key-header");
/// Which headers of its request Envoy is to remove before it goes on.
const X_ENVOY_AUTH_HEADERS_TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// The headers of a permission: whose key it is, and what is left of the budget. First those that `identity`
/// says. `X-Rk-Request-Id` is on every answer of ours and written last; it has its place here, so that no copy
/// has to grow.
const PERMISSION: [HeaderName; 7] = [
    X_RK_ACCOUNT_ID,
    X_RK_EXTERNAL_ID,
    X_RK_KEY_ID,
    X_RK_PLAN,
    RATE_LIMIT_POLICY,
    RATE_LIMIT,
    X_RK_REQUEST_ID,
];
/// Permissions without their values. To copy one and put the values in their places is a third of the work of
/// inserting them one by one.
static BLANK: LazyLock<Blank> = LazyLock::new(|| Blank {
    plain: blank(None),
    named: blank(Some(X_RK_KEY_HEADER)),
    envoy: blank(Some(X_ENVOY_AUTH_HEADERS_TO_REMOVE)),
});

/// By who is told which header held the key.
struct Blank {
    plain: HeaderMap,
    named: HeaderMap,
    envoy: HeaderMap,
}

fn blank(key_header: Option<HeaderName>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(PERMISSION.len() + 2);
    for name in PERMISSION.into_iter().chain(key_header) {
        headers.insert(name, HeaderValue::from_static("-"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

/// Words the answer.
pub(super) fn answer(
    edge: &Edge,
    exchange: &Exchange,
    dialect: Dialect,
    judged: &Judged,
) -> Response<EdgeBody> {
    match &judged.verified.decision {
        Decision::Allowed { caller, budget } => allowed(dialect, judged, caller, budget),
        Decision::Denied { denial, budget, .. } => {
            tracing::debug!(request_id = %exchange.request_id, code = denial.as_str(), "forward auth refused");
            let form = if dialect == Dialect::Nginx { Form::Nginx } else { Form::Usual };
            let (budget, detail) = (budget.as_ref(), judged.detail);
            problem::denied_as(form, &edge.wording, *denial, detail, budget, exchange.request_id)
        }
    }
}

/// 200 without a body. Every identity header is there and says something: proxies differ in what they make of
/// one that is missing or empty.
fn allowed(dialect: Dialect, judged: &Judged, caller: &Caller, budget: &BudgetState) -> Response<EdgeBody> {
    let identity = identity::values(caller, budget);
    let (blank, key_header) = match dialect {
        Dialect::Nginx | Dialect::Caddy => (&BLANK.named, Some(key_header(judged.taken_from, "both"))),
        Dialect::Envoy => (&BLANK.envoy, Some(key_header(judged.taken_from, "authorization, x-api-key"))),
        Dialect::Traefik => (&BLANK.plain, None),
    };
    let mut headers = blank.clone();
    // A map lists its values in the order in which their names were inserted.
    let rest = [problem::rate_limit(budget), None, key_header];
    let filled = identity.into_iter().map(Some).chain(rest);
    for (place, value) in headers.values_mut().zip(filled) {
        if let Some(value) = value {
            *place = value;
        }
    }
    let mut response = Response::new(EdgeBody::empty());
    *response.headers_mut() = headers;
    response
}

/// The header that held the key, or a text for both.
const fn key_header(taken_from: Option<TakenFrom>, both: &'static str) -> HeaderValue {
    HeaderValue::from_static(match taken_from {
        Some(TakenFrom::ApiKey) => "x-api-key",
        Some(TakenFrom::Authorization) => "authorization",
        Some(TakenFrom::Both) | None => both,
    })
}

/// Words a refusal for nginx, which knows 401 and 403, takes every other status for a fault of ours, and
/// shows its client nothing but a challenge: what its configuration is to pass on stands in headers.
pub(crate) fn for_nginx(refusal: Response<EdgeBody>, problem: &Problem) -> Response<EdgeBody> {
    let status = match refusal.status() {
        unchanged @ (StatusCode::UNAUTHORIZED | StatusCode::SERVICE_UNAVAILABLE) => unchanged,
        _ => StatusCode::FORBIDDEN,
    };
    let (parts, _body) = refusal.into_parts();
    let mut headers = parts.headers;
    headers.remove(CONTENT_TYPE);
    headers.insert(X_RK_DECISION, HeaderValue::from_static(problem.code.as_str()));
    let text = serde_json::to_string(problem).unwrap_or_default();
    if let Ok(text) = HeaderValue::try_from(ascii_json(&text)) {
        headers.insert(X_RK_PROBLEM, text);
    }
    let mut response = Response::new(EdgeBody::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The same JSON with every other character as an escape (RFC 8259, section 7).
fn ascii_json(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0_u16; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_ascii_says_the_same() {
        let text = serde_json::to_string("Größe 💥 \"x\"\n").unwrap();
        let ascii = ascii_json(&text);
        assert!(ascii.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{ascii}");
        assert_eq!(serde_json::from_str::<String>(&ascii).unwrap(), "Größe 💥 \"x\"\n");
    }
}
