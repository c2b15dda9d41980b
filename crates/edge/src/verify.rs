//! `POST /v1/keys/verify`: the decision as JSON, for services that ask us instead of standing behind us.
//!
//! 200 for every definite answer; 503 when we do not know. Deliberately absent: every other operator call.

mod answer;
mod question;

use std::net::IpAddr;
use std::time::Duration;

use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use rndrkit_api::error::{ErrorCode, FieldError, Problem};
use rndrkit_domain::decision::{Decision, Denial};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::token::Scope;
use rndrkit_verifier::TokenDenial;
use tokio::time::timeout;

use crate::body::EdgeBody;
use crate::credential;
use crate::edge::{Edge, Exchange};
use crate::meters::Door;
use crate::problem;
use crate::verify::answer::{Answer, Reply};
use crate::verify::question::Question;

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
    if request.method() != Method::POST {
        let mut response = exchange.refuse(edge, ErrorCode::MethodNotAllowed, "Ask with POST.");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
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
    let question: Question<'_> = serde_json::from_slice(&body).map_err(|error| {
        let place = format!("The body is not a question (line {}, column {}).", error.line(), error.column());
        refuse(ErrorCode::InvalidRequest, &place)
    })?;
    let client = question.client().map_err(|error| invalid(exchange, error))?;
    let judged = edge.judge(Door::Verify, question.credential(), client, question.cost()).await;
    let decision = &judged.verified.decision;
    note(exchange, &question, client, decision);
    edge.note(Door::Verify, &judged, &question.presented(exchange.request_id, client));
    if let Decision::Denied { denial: Denial::Unavailable, .. } = decision {
        return Err(Box::new(edge.wording.problem(Denial::Unavailable, None, None, exchange.request_id)));
    }
    if let Some(error) = too_dear(edge, decision, question.cost()) {
        return Err(invalid(exchange, error));
    }
    Ok(render(edge, exchange, decision, judged.detail))
}

/// One line for each decision, for whoever looks for the reason of one. Debug formatting escapes what an
/// asker's caller may have sent to make two lines of one.
fn note(exchange: &Exchange, question: &Question<'_>, client: Option<IpAddr>, decision: &Decision) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let about = question.logged();
    tracing::debug!(
        request_id = %exchange.request_id,
        code = decision.code(),
        key_id = decision.caller().map(|caller| tracing::field::display(caller.key_id)),
        ip = client.map(tracing::field::display),
        method = ?about.method,
        path = ?about.path,
        user_agent = ?about.user_agent,
        "decided for a service"
    );
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

/// A cost above what the full bucket holds can never be met: that is a mistake of the asker, not a spent budget.
fn too_dear(edge: &Edge, decision: &Decision, cost: u32) -> Option<FieldError> {
    let largest = edge.verifier.largest_cost(problem::budget_of(decision)?.limit);
    (cost > largest).then(|| FieldError {
        pointer: "/cost".to_owned(),
        detail: format!("Send a cost of 0 to {largest}, the most that the account's budget ever holds."),
    })
}

fn invalid(exchange: &Exchange, error: FieldError) -> Box<Problem> {
    let id = exchange.request_id.to_string();
    let mut problem = Problem::new(ErrorCode::ValidationFailed, error.detail.clone(), id);
    problem.errors = vec![error];
    Box::new(problem)
}

fn render(edge: &Edge, exchange: &Exchange, decision: &Decision, detail: Option<&str>) -> Response<EdgeBody> {
    let request_id = exchange.request_id;
    let budget = problem::budget_of(decision);
    let plan_name = decision.caller().map(|caller| (edge.options.plan_names)(&caller.plan));
    let plan_name = plan_name.as_deref().unwrap_or_default();
    let body = match decision {
        Decision::Allowed { budget: left, .. } => {
            let headers = problem::rate_limit_headers(left);
            let reply = Reply { plan_name, headers: &headers, problem: None, request_id };
            written(&Answer::new(decision, budget, &reply))
        }
        Decision::Denied { denial, .. } => {
            let problem = edge.wording.problem(*denial, detail, budget, request_id);
            let headers = edge.wording.refusal_headers(problem.code, budget);
            let reply = Reply { plan_name, headers: &headers, problem: Some(&problem), request_id };
            written(&Answer::new(decision, budget, &reply))
        }
    };
    problem::json(StatusCode::OK, body)
}

fn written(answer: &Answer<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(answer::BYTES);
    // Writing to memory does not fail; half an answer would be one that nobody can read, and so no "yes".
    let _ = serde_json::to_writer(&mut body, answer);
    body
}
