//! `POST /v1/keys/verify`: the decision as JSON, for services that ask us instead of standing behind us.
//!
//! 200 for every definite answer; 503 when we do not know. Deliberately absent: every other operator call.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use rndrkit_api::account::PlanRef;
use rndrkit_api::error::{ErrorCode, FieldError, Problem};
use rndrkit_api::public::RateLimit;
use rndrkit_api::verify::{VerifiedAccount, VerifiedKey, VerifyAnswer, VerifyRequest};
use rndrkit_domain::decision::{BudgetState, Caller, Decision, Denial};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::token::Scope;
use rndrkit_verifier::TokenDenial;
use tokio::time::timeout;

use crate::body::EdgeBody;
use crate::credential::{self, TakenFrom};
use crate::edge::{Edge, Exchange};
use crate::meters::Door;
use crate::problem;

/// Where it is served on the internal listener.
pub(crate) const PATH: &str = "/v1/keys/verify";
/// The most bytes of a question: a secret, and room for a long path and user agent.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The longest time in which a question may arrive; askers are services on a near network.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers one question.
pub(crate) async fn serve(
    edge: &Edge,
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Response<EdgeBody> {
    match answer(edge, exchange, request).await {
        Ok(response) => response,
        Err(problem) => problem::render(&edge.wording, &problem, None),
    }
}

async fn answer(
    edge: &Edge,
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Result<Response<EdgeBody>, Box<Problem>> {
    let refuse = |code, detail: &str| Box::new(Problem::new(code, detail, exchange.request_id.to_string()));
    authenticate(edge, request.headers()).await.map_err(|(code, detail)| refuse(code, detail))?;
    if !is_json(request.headers()) {
        return Err(refuse(
            ErrorCode::UnsupportedMediaType,
            "Send JSON, with Content-Type: application/json.",
        ));
    }
    let body = read(request.into_body()).await.map_err(|(code, detail)| refuse(code, detail))?;
    // The parser's own words may repeat the secret, so only the place is told.
    let question: VerifyRequest = serde_json::from_slice(&body).map_err(|error| {
        let place = format!("The body is not a question (line {}, column {}).", error.line(), error.column());
        refuse(ErrorCode::InvalidRequest, &place)
    })?;
    let client = address(&question).map_err(|error| invalid(exchange, error))?;
    let cost = question.cost.unwrap_or(1);
    let credential = credential::judge_text(question.secret.as_bytes(), TakenFrom::ApiKey);
    let judged = edge.judge(Door::Verify, credential, client, cost).await;
    let decision = judged.verified.decision;
    if let Decision::Denied { denial: Denial::Unavailable, .. } = decision {
        return Err(Box::new(edge.wording.problem(Denial::Unavailable, None, None, exchange.request_id)));
    }
    if let Some(error) = too_dear(&decision, cost) {
        return Err(invalid(exchange, error));
    }
    Ok(problem::json(StatusCode::OK, &render(edge, exchange, &decision, judged.detail)))
}

/// Every token may verify; the operator token is one of them.
async fn authenticate(edge: &Edge, headers: &HeaderMap) -> Result<(), (ErrorCode, &'static str)> {
    let missing = (ErrorCode::MissingToken, "Send an operator token: Authorization: Bearer <token>.");
    let invalid = (ErrorCode::InvalidToken, "This token is unknown, deleted or expired. Make a new one.");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(missing)?;
    if values.next().is_some() {
        return Err((ErrorCode::InvalidRequest, "Send one Authorization header, not several."));
    }
    let token =
        credential::bearer_token(value.as_bytes()).filter(|token| !token.is_empty()).ok_or(missing)?;
    let token = std::str::from_utf8(token).map_err(|_| invalid)?;
    // Digests are compared, so how far the comparison runs says nothing about the token.
    if Digest::of(token) == edge.options.operator_token {
        return Ok(());
    }
    match edge.verifier.authenticate_token(token).await {
        Ok(token) if token.scope.includes(Scope::Verify) => Ok(()),
        Ok(_) => Err((ErrorCode::InsufficientScope, "This token's scope does not include verify.")),
        Err(TokenDenial::Missing) => Err(missing),
        Err(TokenDenial::Invalid) => Err(invalid),
        Err(TokenDenial::Unavailable) => {
            Err((ErrorCode::Unavailable, "The token could not be checked just now. Try again."))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

async fn read(body: Incoming) -> Result<bytes::Bytes, (ErrorCode, &'static str)> {
    let collecting = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect());
    match collecting.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err((ErrorCode::PayloadTooLarge, "Send at most 64 KiB."))
        }
        Ok(Err(_)) => Err((ErrorCode::InvalidRequest, "The body broke off or is malformed.")),
        Err(_) => Err((ErrorCode::InvalidRequest, "The body did not arrive within 10 seconds.")),
    }
}

fn address(question: &VerifyRequest) -> Result<Option<IpAddr>, FieldError> {
    let ip = question.context.as_ref().and_then(|context| context.ip.as_deref());
    let parsed = ip.map(str::parse::<IpAddr>).transpose().map_err(|_| FieldError {
        pointer: "/context/ip".to_owned(),
        detail: "Send an IPv4 or IPv6 address, such as 192.0.2.1.".to_owned(),
    })?;
    Ok(parsed.map(|ip| ip.to_canonical()))
}

/// A cost above the burst can never be met: that is a mistake of the asker, not a spent budget.
fn too_dear(decision: &Decision, cost: u32) -> Option<FieldError> {
    let burst = problem::budget_of(decision)?.limit.burst.get();
    (cost > burst).then(|| FieldError {
        pointer: "/cost".to_owned(),
        detail: format!("Send a cost of 0 to {burst}, the burst of the account's plan."),
    })
}

fn invalid(exchange: &Exchange, error: FieldError) -> Box<Problem> {
    let id = exchange.request_id.to_string();
    let mut problem = Problem::new(ErrorCode::ValidationFailed, error.detail.clone(), id);
    problem.errors = vec![error];
    Box::new(problem)
}

fn render(edge: &Edge, exchange: &Exchange, decision: &Decision, detail: Option<&str>) -> VerifyAnswer {
    let caller = decision.caller();
    let budget = problem::budget_of(decision);
    let (status, headers, problem) = match decision {
        Decision::Allowed { budget, .. } => (200, problem::rate_limit_headers(budget).into(), None),
        Decision::Denied { denial, .. } => {
            let problem = edge.wording.problem(*denial, detail, budget, exchange.request_id);
            (problem.status, edge.wording.refusal_headers(problem.code, budget), Some(problem))
        }
    };
    VerifyAnswer {
        valid: problem.is_none(),
        code: decision.code().to_owned(),
        status,
        key: caller.map(|caller| VerifiedKey { id: caller.key_id.to_string() }),
        account: caller.map(|caller| account(edge, caller)),
        rate_limit: budget.map(rate_limit),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<String, String>>(),
        problem,
        request_id: exchange.request_id.to_string(),
    }
}

fn account(edge: &Edge, caller: &Caller) -> VerifiedAccount {
    VerifiedAccount {
        id: caller.account_id.to_string(),
        external_id: caller.external_id.as_ref().map(|id| id.as_str().to_owned()),
        plan: PlanRef { id: caller.plan.as_str().to_owned(), name: (edge.options.plan_names)(&caller.plan) },
    }
}

fn rate_limit(budget: &BudgetState) -> RateLimit {
    RateLimit {
        per_minute: budget.limit.per_minute.get(),
        burst: budget.limit.burst.get(),
        remaining: budget.remaining,
        reset_seconds: budget.reset_seconds,
    }
}
