//! Refusals and rate-limit figures as a client sees them: the body, its headers, and the words.
//!
//! One place for all doors, so that they cannot differ. Deliberately absent: deciding.

mod ready;
mod values;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use rndrkit_api::error::{ErrorCode, Problem};
use rndrkit_domain::decision::{BudgetState, Decision, Denial};
use rndrkit_domain::id::RequestId;

use crate::authz::for_nginx;
use crate::body::EdgeBody;
pub(crate) use ready::Form;
use ready::Refusals;
pub(crate) use values::{rate_limit, rate_limit_policy};

/// Names the request in every answer and in logs.
pub(crate) const X_RK_REQUEST_ID: HeaderName = HeaderName::from_static("x-rk-request-id");

/// The account's budget (IETF draft, revision 10).
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// One header of an answer, by its usual spelling.
pub(crate) type ReplyHeader = (&'static str, String);

/// A window after which an address may cause failed look-ups again.
const TOO_MANY_FAILURES_RETRY_SECONDS: u64 = 60;
/// A dependency that comes back does so within seconds; asking sooner only adds load.
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// What refusals say about the installation.
#[derive(Debug, Clone)]
pub(crate) struct Wording {
    realm: String,
    upgrade_url: String,
    brand_name: String,
    refusals: Refusals,
}

impl Wording {
    pub(crate) fn new(public_url: &str, brand_name: &str) -> Self {
        // A realm is a quoted string: a quote or backslash would end or bend it.
        let safe = |c: &char| (' '..='~').contains(c) && *c != '"' && *c != '\\';
        let mut wording = Self {
            realm: brand_name.chars().filter(safe).collect(),
            upgrade_url: format!("{}/billing", public_url.trim_end_matches('/')),
            brand_name: brand_name.to_owned(),
            refusals: Refusals::default(),
        };
        wording.refusals = Refusals::new(&wording);
        wording
    }

    /// The challenge that a 401 must carry; none for other codes, except those that RFC 6750 names.
    fn challenge(&self, code: ErrorCode) -> Option<String> {
        let error = match code {
            ErrorCode::MissingKey | ErrorCode::MissingToken => {
                return Some(format!("Bearer realm=\"{}\"", self.realm));
            }
            ErrorCode::InsufficientScope => "insufficient_scope",
            _ if code.status() == 401 => "invalid_token",
            _ => return None,
        };
        Some(format!("Bearer realm=\"{}\", error=\"{error}\"", self.realm))
    }

    /// The body of a denial. `detail` replaces the general sentence where more is known.
    pub(crate) fn problem(
        &self,
        denial: Denial,
        detail: Option<&str>,
        budget: Option<&BudgetState>,
        request_id: RequestId,
    ) -> Problem {
        let text = detail.map_or_else(|| self.sentence(denial, budget), str::to_owned);
        let mut problem = Problem::new(error_code(denial), text, request_id.to_string());
        if denial == Denial::PlanRequired {
            problem.upgrade_url = Some(self.upgrade_url.clone());
        }
        problem
    }

    /// The headers that go with a refusal of this code.
    pub(crate) fn refusal_headers(&self, code: ErrorCode, budget: Option<&BudgetState>) -> Vec<ReplyHeader> {
        let mut headers = vec![
            ("Content-Type", "application/problem+json".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
        ];
        headers.extend(self.challenge(code).map(|challenge| ("WWW-Authenticate", challenge)));
        headers.extend(budget.into_iter().flat_map(rate_limit_headers));
        let retry_seconds = match (code, budget) {
            // Never 0: a client that takes it literally would spin.
            (ErrorCode::RateLimited, Some(budget)) => Some(budget.reset_seconds.max(1)),
            (ErrorCode::RateLimited, None) | (ErrorCode::Unavailable, _) => Some(UNAVAILABLE_RETRY_SECONDS),
            (ErrorCode::TooManyFailures, _) => Some(TOO_MANY_FAILURES_RETRY_SECONDS),
            _ => None,
        };
        headers.extend(retry_seconds.map(|seconds| ("Retry-After", seconds.to_string())));
        headers
    }

    /// What happened, and what to do about it.
    fn sentence(&self, denial: Denial, budget: Option<&BudgetState>) -> String {
        match denial {
            Denial::InvalidRequest => "The request holds more than one API key. Send one.".to_owned(),
            Denial::MissingKey => {
                "Send your API key in the X-Api-Key header. You create keys in the dashboard under Settings, API Keys."
                    .to_owned()
            }
            Denial::InvalidKey => {
                "This is not an API key of this service. Check that you copied all of it, or create a new one."
                    .to_owned()
            }
            Denial::KeyRevoked => {
                "This API key was deleted. Create a new one in the dashboard and use that.".to_owned()
            }
            Denial::SecretReplaced => {
                "This API key was rotated, and this is its old secret. Use its newer secret, which was shown when the key was rotated."
                    .to_owned()
            }
            Denial::KeyExpired => {
                "This API key has passed its end date. Create a new one in the dashboard and use that.".to_owned()
            }
            Denial::AccountSuspended => {
                format!("The account of this API key is suspended. Contact {} to resume it.", self.brand_name)
            }
            Denial::PlanRequired => {
                format!("Your plan does not include API access. Upgrade at {}.", self.upgrade_url)
            }
            Denial::RateLimited => rate_limited_sentence(budget),
            Denial::TooManyFailures => {
                "Too many unknown API keys came from your address. Check your key and try again in a minute."
                    .to_owned()
            }
            Denial::Unavailable => {
                "The API key could not be checked just now. This says nothing about your key; try again."
                    .to_owned()
            }
        }
    }
}

fn rate_limited_sentence(budget: Option<&BudgetState>) -> String {
    let Some(budget) = budget else {
        return "Your account's request budget is spent. Try again shortly.".to_owned();
    };
    let seconds = budget.reset_seconds.max(1);
    format!(
        "Your account's budget of {} requests a minute, {} at once, is spent. All its keys share it. Try again in {seconds} {}.",
        budget.limit.per_minute,
        budget.limit.burst,
        if seconds == 1 { "second" } else { "seconds" },
    )
}

/// The wire's word for a denial.
pub(crate) const fn error_code(denial: Denial) -> ErrorCode {
    match denial {
        Denial::InvalidRequest => ErrorCode::InvalidRequest,
        Denial::MissingKey => ErrorCode::MissingKey,
        Denial::InvalidKey => ErrorCode::InvalidKey,
        Denial::KeyRevoked | Denial::SecretReplaced => ErrorCode::KeyRevoked,
        Denial::KeyExpired => ErrorCode::KeyExpired,
        Denial::AccountSuspended => ErrorCode::AccountSuspended,
        Denial::PlanRequired => ErrorCode::PlanRequired,
        Denial::RateLimited => ErrorCode::RateLimited,
        Denial::TooManyFailures => ErrorCode::TooManyFailures,
        Denial::Unavailable => ErrorCode::Unavailable,
    }
}

/// `RateLimit-Policy` and `RateLimit` (IETF draft, revision 10).
pub(crate) fn rate_limit_headers(budget: &BudgetState) -> [ReplyHeader; 2] {
    let window_seconds = budget.limit.window_seconds();
    [
        ("RateLimit-Policy", format!("\"account\";q={};w={window_seconds}", budget.limit.burst)),
        ("RateLimit", format!("\"account\";r={};t={}", budget.remaining, budget.reset_seconds)),
    ]
}

/// Replaces the rate-limit headers of an answer by ours.
pub(crate) fn set_rate_limit(headers: &mut HeaderMap, budget: &BudgetState) {
    let lines = [(RATE_LIMIT_POLICY, rate_limit_policy(budget)), (RATE_LIMIT, rate_limit(budget))];
    for (name, value) in lines {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

fn set_all(headers: &mut HeaderMap, lines: impl IntoIterator<Item = ReplyHeader>) {
    for (name, value) in lines {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::try_from(value))
        else {
            continue;
        };
        headers.insert(name, value);
    }
}

/// A decision's budget, if it was looked at.
pub(crate) const fn budget_of(decision: &Decision) -> Option<&BudgetState> {
    match decision {
        Decision::Allowed { budget, .. } => Some(budget),
        Decision::Denied { budget, .. } => budget.as_ref(),
    }
}

/// The answer to a denied request.
pub(crate) fn denied(
    wording: &Wording,
    denial: Denial,
    detail: Option<&str>,
    budget: Option<&BudgetState>,
    request_id: RequestId,
) -> Response<EdgeBody> {
    denied_as(Form::Usual, wording, denial, detail, budget, request_id)
}

/// The answer to a denied request, for a certain reader.
pub(crate) fn denied_as(
    form: Form,
    wording: &Wording,
    denial: Denial,
    detail: Option<&str>,
    budget: Option<&BudgetState>,
    request_id: RequestId,
) -> Response<EdgeBody> {
    let is_usual = detail.is_none() && budget.is_none();
    if let Some(ready) = is_usual.then(|| wording.refusals.get(denial, form)).flatten() {
        return ready.response(request_id);
    }
    let problem = wording.problem(denial, detail, budget, request_id);
    let response = render(wording, &problem, budget);
    match form {
        Form::Usual => response,
        Form::Nginx => for_nginx(response, &problem),
    }
}

/// The answer to a request that is refused for any other reason than its key.
pub(crate) fn refused(
    wording: &Wording,
    code: ErrorCode,
    detail: impl Into<String>,
    request_id: RequestId,
) -> Response<EdgeBody> {
    render(wording, &Problem::new(code, detail, request_id.to_string()), None)
}

/// Renders a problem with its headers. A HEAD answer loses its body when it is written.
pub(crate) fn render(
    wording: &Wording,
    problem: &Problem,
    budget: Option<&BudgetState>,
) -> Response<EdgeBody> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(EdgeBody::full(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set_all(response.headers_mut(), wording.refusal_headers(problem.code, budget));
    response
}

/// A JSON answer that no cache may keep.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Names the request on its answer.
pub(crate) fn name_request(response: &mut Response<EdgeBody>, request_id: RequestId) {
    if let Ok(value) = HeaderValue::from_bytes(request_id.text().as_bytes()) {
        response.headers_mut().insert(X_RK_REQUEST_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rndrkit_domain::plan::RateLimit;
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    fn wording() -> Wording {
        Wording::new("https://rndrkit.io/", "Rndr\"Kit\\")
    }

    fn budget() -> BudgetState {
        let limit =
            RateLimit { per_minute: NonZeroU32::new(600).unwrap(), burst: NonZeroU32::new(100).unwrap() };
        BudgetState { limit, remaining: 0, reset_seconds: 3 }
    }

    fn answer(denial: Denial, budget: Option<&BudgetState>) -> Response<EdgeBody> {
        let id = RequestId::generate(Timestamp::from_unix_ms(1), &OsEntropy);
        denied(&wording(), denial, None, budget, id)
    }

    fn header(response: &Response<EdgeBody>, name: &str) -> Option<String> {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn every_401_carries_a_challenge_and_nothing_else_does() {
        for denial in Denial::ALL {
            let response = answer(denial, None);
            let challenge = header(&response, "www-authenticate");
            assert_eq!(challenge.is_some(), response.status() == 401, "{denial:?}");
            assert_eq!(header(&response, "cache-control").unwrap(), "no-store");
            assert_eq!(header(&response, "content-type").unwrap(), "application/problem+json");
        }
        let missing = header(&answer(Denial::MissingKey, None), "www-authenticate").unwrap();
        assert_eq!(missing, "Bearer realm=\"RndrKit\"");
        let revoked = header(&answer(Denial::KeyRevoked, None), "www-authenticate").unwrap();
        assert_eq!(revoked, "Bearer realm=\"RndrKit\", error=\"invalid_token\"");
    }

    #[test]
    fn a_spent_budget_says_when_to_come_back() {
        let response = answer(Denial::RateLimited, Some(&budget()));
        assert_eq!(response.status(), 429);
        assert_eq!(header(&response, "ratelimit-policy").unwrap(), "\"account\";q=100;w=10");
        assert_eq!(header(&response, "ratelimit").unwrap(), "\"account\";r=0;t=3");
        assert_eq!(header(&response, "retry-after").unwrap(), "3");
    }

    #[test]
    fn not_knowing_is_503_and_a_plan_is_403_with_the_way_out() {
        assert_eq!(answer(Denial::Unavailable, None).status(), 503);
        assert_eq!(answer(Denial::PlanRequired, None).status(), 403);
        let id = RequestId::generate(Timestamp::from_unix_ms(1), &OsEntropy);
        let problem = wording().problem(Denial::PlanRequired, None, None, id);
        assert_eq!(problem.upgrade_url.as_deref(), Some("https://rndrkit.io/billing"));
        let problem = wording().problem(Denial::MissingKey, None, None, id);
        assert_eq!(problem.error, "API key required");
    }

    #[test]
    fn codes_of_denials_and_of_the_wire_are_the_same_words() {
        for denial in Denial::ALL {
            assert_eq!(error_code(denial).as_str(), denial.as_str());
        }
    }
}
