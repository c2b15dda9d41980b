//! The gateway: judges a request, then passes it to its upstream and the answer back, unbuffered.
//!
//! Order: shape, route, key, budget, and only then the upstream. Deliberately absent: what a decision rests on.

pub(crate) mod body;
mod cookies;
pub(crate) mod headers;
pub(crate) mod lines;
pub(crate) mod long;
pub(crate) mod path;
pub(crate) mod patience;
mod tunnel;
pub(crate) mod upstream;

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, UPGRADE,
};
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use rndrkit_api::error::ErrorCode;
use rndrkit_domain::decision::{BudgetState, Caller, Decision};
use rndrkit_domain::usage::StatusClass;
use rndrkit_verifier::Watch;

use self::body::{Passage, RequestBody, ResponseBody};
use self::headers::Outgoing;
use self::long::{Kind, StreamGuard};
use self::path::{RouteTable, Target};
use self::tunnel::Tunnel;
use self::upstream::{Answer, AnswerBody, Outbound, UpstreamError};
use crate::body::EdgeBody;
use crate::edge::{BODY_TOO_LARGE, Edge, Exchange, Fallback};
use crate::meters::Door;
use crate::observe::Presented;
use crate::options::{HostRule, KeyRule, PreflightRule, Route};
use crate::{credential, own, problem};

/// Methods that are never forwarded: one opens a tunnel past every judgement, one shows the headers we add.
const REFUSED_METHODS: [Method; 2] = [Method::CONNECT, Method::TRACE];
/// What is said instead.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// How often a request is forwarded without a key before its way is taken for a circle.
const MOST_HOPS: u8 = 8;
/// Characters of a path that an answer repeats.
const SHOWN_PATH_CHARS: usize = 120;

/// An admitted request's rights: whose it is, what is left, and word of changes.
struct Admission {
    caller: Option<Caller>,
    budget: Option<BudgetState>,
    watch: Option<Watch>,
}

impl Admission {
    /// Nobody in particular, where no key is wanted.
    const NOBODY: Self = Self { caller: None, budget: None, watch: None };
}

/// Answers one request below the gateway's paths.
pub(crate) async fn serve(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    table: &RouteTable,
    own_tree: Option<&Fallback>,
    mut request: Request<Incoming>,
) -> Response<EdgeBody> {
    if REFUSED_METHODS.contains(request.method()) {
        let mut response =
            exchange.refuse(edge, ErrorCode::MethodNotAllowed, "This method is not forwarded.");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(ALLOWED_METHODS));
        return response;
    }
    let target = match table.find(request.uri().path()) {
        Ok(target) => target,
        Err(error) => return exchange.refuse(edge, ErrorCode::InvalidRequest, error.to_string()),
    };
    let route = match (target, own_tree) {
        (Target::Own, Some(fallback)) => return own::serve(edge, exchange, fallback.clone(), request).await,
        // Routes live on their own listener; here is nothing that a key could be good for.
        (Target::Nothing, Some(_)) if edge.options.separate_gateway => {
            return exchange.refuse(edge, ErrorCode::NotFound, "There is nothing at this path.");
        }
        (Target::Own, None) | (Target::Nothing, _) => None,
        (Target::Route(route), _) => Some(route),
    };
    let admission = match admit(edge, exchange, route, &mut request).await {
        Ok(admission) => admission,
        Err(refusal) => return *refusal,
    };
    let budget = admission.budget;
    let mut response = if let Some(route) = route {
        forward(edge, exchange, route, admission, request).await
    } else {
        let response = no_upstream(edge, exchange, request.uri().path());
        if let Some(watch) = &admission.watch {
            edge.verifier.answered(watch, StatusClass::of(response.status().as_u16()));
        }
        response
    };
    if let Some(budget) = budget {
        problem::set_rate_limit(response.headers_mut(), &budget);
    }
    response
}

/// Judges a request, and takes the key out of it.
async fn admit(
    edge: &Edge,
    exchange: &Exchange,
    route: Option<&Route>,
    request: &mut Request<Incoming>,
) -> Result<Admission, Box<Response<EdgeBody>>> {
    if route.is_some_and(|route| route.key == KeyRule::None) {
        // Nobody asked for a key here, and the upstream gets none: a client that always sends it loses nothing.
        credential::remove_ours(request.headers_mut(), &edge.verifier.prefixes());
        return Ok(Admission::NOBODY);
    }
    let may_be_nobody = route.is_some_and(|route| route.preflight == PreflightRule::Pass)
        && is_preflight(request)
        && edge.carries_no_key(request.headers());
    if may_be_nobody {
        return Ok(Admission::NOBODY);
    }
    let client = exchange.client.info.ip;
    let judged = edge.decide(Door::Gateway, request.headers(), client, 1).await;
    let asked = (request.method(), request.uri().path());
    let presented = Presented::directly(exchange.request_id, client, 1, asked, request.headers());
    edge.note(Door::Gateway, &judged, &presented);
    if let Some(taken_from) = judged.taken_from {
        taken_from.remove(request.headers_mut());
    }
    match judged.verified.decision {
        Decision::Allowed { caller, budget } => {
            Ok(Admission { caller: Some(caller), budget: Some(budget), watch: judged.verified.watch })
        }
        Decision::Denied { denial, budget, .. } => {
            Err(Box::new(exchange.deny(edge, denial, judged.detail, budget.as_ref())))
        }
    }
}

/// A browser's question and nothing more: it has no body, changes no protocol, and stands for no other method.
fn is_preflight(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && !headers.contains_key(UPGRADE)
        && !headers.keys().any(headers::overrides_method)
        && request.body().is_end_stream()
}

fn no_upstream(edge: &Edge, exchange: &Exchange, path: &str) -> Response<EdgeBody> {
    let path: String = path.chars().take(SHOWN_PATH_CHARS).collect();
    let detail = if edge.options.routes.is_empty() {
        format!("The key is good. Nothing is configured behind {path}; set upstream_url.")
    } else {
        format!("The key is good. No route covers {path}; add one to routes.")
    };
    exchange.refuse(edge, ErrorCode::NoUpstream, detail)
}

async fn forward(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    route: &Route,
    admission: Admission,
    mut request: Request<Incoming>,
) -> Response<EdgeBody> {
    let upgrade = match request.version() {
        Version::HTTP_11 => headers::wanted_upgrade(request.headers()),
        _ => None,
    };
    let client_upgrade = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let Some(origin) = edge.upstream.origin(route) else {
        return exchange.refuse(edge, ErrorCode::NoUpstream, "The route leads nowhere.");
    };
    let hops = if admission.caller.is_none() { headers::hops(request.headers()) } else { 0 };
    if hops >= MOST_HOPS {
        return exchange.refuse(edge, ErrorCode::UpstreamUnreachable, IN_A_CIRCLE);
    }
    let (parts, incoming) = request.into_parts();
    let body_length = incoming.size_hint().exact();
    let upstream_host = match (route.host, &exchange.host) {
        (HostRule::Client, Some(host)) => host,
        _ => origin.host(),
    };
    let outgoing = Outgoing {
        caller: admission.caller.as_ref(),
        client: exchange.client.info,
        by_proxy: exchange.client.by_proxy,
        request_id: exchange.request_id,
        client_host: exchange.host.as_ref(),
        upstream_host,
        upgrade,
        body_length,
        hops,
    };
    let outbound = Outbound { method: parts.method, uri: parts.uri, headers: parts.headers, outgoing };

    let connection = &exchange.connection;
    let guard = admission.watch.map(|watch| StreamGuard::new(edge.clone(), watch, connection.clone()));
    let passage = Arc::new(Passage::new(guard));
    if body_length.is_none() {
        passage.watch(Kind::Long);
    }
    let body = if incoming.is_end_stream() {
        passage.end_sending();
        None
    } else {
        Some(RequestBody::new(incoming, &edge.options.limits, passage.clone()))
    };
    let response = match edge.upstream.send(origin, connection, &outbound, body, &passage).await {
        Ok(answer) => relay(edge, exchange, answer, client_upgrade, &passage),
        Err(UpstreamError::CallerBody) if passage.is_too_large() => {
            exchange.refuse(edge, ErrorCode::PayloadTooLarge, BODY_TOO_LARGE)
        }
        Err(error) => failed(edge, exchange, route, &error),
    };
    if let Some(guard) = passage.guard() {
        edge.verifier.answered(guard.watched(), StatusClass::of(response.status().as_u16()));
    }
    response
}

/// Passes an upstream's answer back.
fn relay(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    answer: Answer,
    client_upgrade: Option<OnUpgrade>,
    passage: &Arc<Passage>,
) -> Response<EdgeBody> {
    let limits = &edge.options.limits;
    let Answer { status, headers, body } = answer;
    let body = match body {
        AnswerBody::Whole(bytes) => EdgeBody::full(bytes),
        AnswerBody::Stream(body) => {
            let events = is_event_stream(&headers);
            let kind = if events || body.size_hint().exact().is_none() { Kind::Long } else { Kind::Plain };
            if events {
                passage.watch(kind);
            } else if !passage.sent() {
                // Answered early: the upload may go on for long after the answer has ended.
                passage.watch(Kind::Plain);
            }
            EdgeBody::proxied(ResponseBody::new(body, limits.stream_idle, kind, passage.clone()))
        }
        AnswerBody::Upgraded(upstream) => {
            let Some(client) = client_upgrade else {
                edge.meters.upstream_failures.increment(1);
                tracing::warn!("an upstream changed the protocol without being asked");
                return exchange.refuse(edge, ErrorCode::UpstreamUnreachable, UNREACHABLE);
            };
            Tunnel {
                client,
                upstream,
                overseer: passage.guard().map(StreamGuard::overseer),
                connection: exchange.connection.clone(),
                idle: limits.stream_idle,
                cut: edge.meters.streams_cut.clone(),
            }
            .start();
            EdgeBody::empty()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

const UNREACHABLE: &str = "The service behind the gateway refused or broke the connection. Try again later.";
const IN_A_CIRCLE: &str = "The request came back again and again: a route's upstream leads to this gateway.";
const TOO_SLOW: &str = "The service behind the gateway did not answer in time. Try again later.";
const CALLER_BODY: &str = "The request's body broke off, stopped arriving or is malformed. Send it again.";

fn failed(edge: &Edge, exchange: &Exchange, route: &Route, error: &UpstreamError) -> Response<EdgeBody> {
    let (code, detail) = match error {
        UpstreamError::CallerBody => return exchange.refuse(edge, ErrorCode::InvalidRequest, CALLER_BODY),
        UpstreamError::Unreachable(_) => (ErrorCode::UpstreamUnreachable, UNREACHABLE),
        UpstreamError::TimedOut => (ErrorCode::UpstreamTimeout, TOO_SLOW),
    };
    edge.meters.upstream_failures.increment(1);
    tracing::warn!(
        request_id = %exchange.request_id,
        upstream = %route.upstream,
        cause = std::error::Error::source(error),
        "{error}"
    );
    exchange.refuse(edge, code, detail)
}
