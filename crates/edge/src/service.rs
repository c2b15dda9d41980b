//! Which part of the data plane answers which request of a listener.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use rndrkit_api::error::ErrorCode;
use rndrkit_domain::id::RequestId;

use crate::body::EdgeBody;
use crate::connection::Connection;
use crate::edge::{BODY_TOO_LARGE, Edge, Exchange, Fallback};
use crate::meters::ListenerKind;
use crate::{authz, client_address, gateway, http2, problem, shape, verify};

impl Edge {
    /// What the public listener serves: the gateway or the reserved tree below `/api`, `fallback` for the rest.
    #[must_use]
    pub fn public(self: &Arc<Self>, fallback: Fallback) -> Service {
        Service { edge: self.clone(), kind: Kind::Public(fallback) }
    }

    /// What the gateway's own listener serves: the routes, on every path.
    #[must_use]
    pub fn gateway(self: &Arc<Self>) -> Service {
        Service { edge: self.clone(), kind: Kind::Gateway }
    }

    /// What a listener for watchers serves: `fallback`, and no decision.
    #[must_use]
    pub fn telemetry(self: &Arc<Self>, fallback: Fallback) -> Service {
        Service { edge: self.clone(), kind: Kind::Telemetry(fallback) }
    }

    /// What forward auth's own listener serves: its questions and nothing else.
    #[must_use]
    pub fn authz(self: &Arc<Self>) -> Service {
        Service { edge: self.clone(), kind: Kind::Authz }
    }

    /// What the internal listener serves: verify, forward auth unless it has a listener of its own, and
    /// `fallback` for the rest.
    #[must_use]
    pub fn internal(self: &Arc<Self>, fallback: Fallback) -> Service {
        Service { edge: self.clone(), kind: Kind::Internal(fallback) }
    }
}

#[derive(Clone)]
enum Kind {
    Public(Fallback),
    Gateway,
    Authz,
    Internal(Fallback),
    Telemetry(Fallback),
}

/// What one listener serves.
#[derive(Clone)]
pub struct Service {
    edge: Arc<Edge>,
    kind: Kind,
}

impl Service {
    pub(crate) fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// What kind of listener this is for.
    pub(crate) const fn listener_kind(&self) -> ListenerKind {
        match self.kind {
            Kind::Public(_) => ListenerKind::Public,
            Kind::Gateway => ListenerKind::Gateway,
            Kind::Authz | Kind::Internal(_) | Kind::Telemetry(_) => ListenerKind::Internal,
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<EdgeBody> {
        let edge = &self.edge;
        let violation = connection.tally.begin();
        let trusted = &edge.options.trusted_proxies;
        let exchange = Exchange {
            request_id: RequestId::generate(edge.clock.now(), edge.entropy.as_ref()),
            client: client_address::find(connection.peer, connection.tls, request.headers(), trusted),
            host: None,
            connection,
        };
        let request_id = exchange.request_id;
        let tally = exchange.connection.tally.clone();
        let mut response = match violation {
            Some(violation) => exchange.refuse_and_close(edge, violation.code(), violation.to_string()),
            None if request.version() == Version::HTTP_2 => self.answer_http2(exchange, request).await,
            None => self.judge(exchange, request).await,
        };
        problem::name_request(&mut response, request_id);
        tally.answer(response.status() == StatusCode::SWITCHING_PROTOCOLS);
        response
    }

    async fn answer_http2(&self, exchange: Exchange, mut request: Request<Incoming>) -> Response<EdgeBody> {
        let is_head = request.method() == Method::HEAD;
        let uri = request.uri().clone();
        let mut response = match http2::adapt_request(&uri, request.headers_mut()) {
            Ok(()) => self.judge(exchange, request).await,
            Err((code, detail)) => exchange.refuse(&self.edge, code, detail),
        };
        http2::adapt_response(&mut response, is_head);
        response
    }

    async fn judge(&self, mut exchange: Exchange, request: Request<Incoming>) -> Response<EdgeBody> {
        match shape::check(request.version(), request.uri(), request.headers()) {
            Ok(_) if request.body().size_hint().lower() > self.edge.options.limits.max_body_bytes => {
                exchange.refuse_and_close(&self.edge, ErrorCode::PayloadTooLarge, BODY_TOO_LARGE)
            }
            Ok(host) => {
                exchange.host = host;
                self.dispatch(&exchange, request).await
            }
            Err((code, detail)) => exchange.refuse_and_close(&self.edge, code, detail),
        }
    }

    async fn dispatch(&self, exchange: &Exchange, request: Request<Incoming>) -> Response<EdgeBody> {
        let edge = &self.edge;
        match &self.kind {
            Kind::Gateway => gateway::serve(edge, exchange, &edge.gateway_routes, None, request).await,
            Kind::Public(fallback) if is_api(request.uri().path(), &edge.options.own_path) => {
                gateway::serve(edge, exchange, &edge.public_routes, Some(fallback), request).await
            }
            Kind::Authz => authz::serve(edge, exchange, request).await,
            Kind::Internal(_) if !edge.options.separate_authz && authz::is_asked(request.uri().path()) => {
                authz::serve(edge, exchange, request).await
            }
            Kind::Internal(_) if request.uri().path() == verify::PATH => {
                verify::serve(edge, exchange, request).await
            }
            Kind::Public(fallback) | Kind::Internal(fallback) | Kind::Telemetry(fallback) => {
                exchange.pass_on(fallback.clone(), request).await
            }
        }
    }
}

fn is_api(path: &str, own_path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || path.starts_with(own_path)
}
