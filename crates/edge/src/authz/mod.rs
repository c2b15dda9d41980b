//! Forward auth: nginx, Traefik, Caddy and Envoy ask here about a request that they hold.
//!
//! The path says which of them asks, and with that which headers are read and how the answer is worded; it is
//! never guessed. One question is one decision. The query string of the request is not read, nor is its body.
//! Deliberately absent: the decision itself, and everything about the request that the proxy goes on to make.
//! Rules of routes (`key = "none"`, `preflight`) are the gateway's: behind forward auth the proxy knows which
//! requests it asks about, and its configuration is where exceptions are made.

mod answer;
mod asker;
mod identity;

use http::{Request, Response};
use hyper::body::Incoming;
use rndrkit_api::error::ErrorCode;

use crate::body::EdgeBody;
use crate::edge::{Edge, Exchange};
use crate::meters::Door;
use crate::observe::{Presented, Said};
pub(crate) use answer::{X_RK_PROBLEM, for_nginx};

/// Whose contract is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// `ngx_http_auth_request_module`: understands 2xx, 401 and 403, and shows the client none of our body.
    Nginx,
    /// Traefik's `ForwardAuth`: passes on every answer that is not 2xx.
    Traefik,
    /// Caddy's `forward_auth`: the same.
    Caddy,
    /// Envoy's `ext_authz` over HTTP: only 200 allows, and 5xx is an error of its own.
    Envoy,
}

impl Dialect {
    /// The one that a path stands for.
    fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/authz/")? {
            "nginx" => Some(Self::Nginx),
            "traefik" => Some(Self::Traefik),
            "caddy" => Some(Self::Caddy),
            // Envoy puts the path of its request behind this one.
            "envoy" => Some(Self::Envoy),
            rest if rest.starts_with("envoy/") => Some(Self::Envoy),
            _ => None,
        }
    }
}

/// Whether a path is a question to forward auth.
pub(crate) fn is_asked(path: &str) -> bool {
    path == "/authz" || path.starts_with("/authz/")
}

/// Answers one question.
pub(crate) async fn serve(
    edge: &Edge,
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Response<EdgeBody> {
    // First of all: who may not ask learns nothing, not even what there is to ask.
    if !asker::may_ask(&edge.options, exchange.connection.peer, request.headers()) {
        tracing::debug!(peer = %exchange.connection.peer, "a stranger asked forward auth");
        let detail = "This address may not ask, or did not send the secret that callers share with us.";
        return exchange.refuse(edge, ErrorCode::CallerNotAllowed, detail);
    }
    let Some(dialect) = Dialect::of(request.uri().path()) else {
        return exchange.refuse(edge, ErrorCode::NotFound, "There is nothing at this path.");
    };
    let client = asker::client(dialect, request.headers(), &edge.options.trusted_proxies);
    let credential = edge.read(request.headers());
    let judged = edge.judge(Door::Authz, credential, client, 1).await;
    let (method, path) = asker::asked(dialect, &request);
    let user_agent = Said::In(request.headers());
    let presented = Presented { request_id: exchange.request_id, client, cost: 1, method, path, user_agent };
    edge.note(Door::Authz, &judged, &presented);
    answer::answer(edge, exchange, dialect, &judged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_who_asks_and_nothing_else_does() {
        assert_eq!(Dialect::of("/authz/nginx"), Some(Dialect::Nginx));
        assert_eq!(Dialect::of("/authz/envoy/nginx?x"), Some(Dialect::Envoy));
        assert_eq!(Dialect::of("/authz/envoy"), Some(Dialect::Envoy));
        for path in ["/authz", "/authz/", "/authz/nginx/", "/authz/caddy/x", "/authz/envoys", "/authz/Nginx"]
        {
            assert!(is_asked(path) && Dialect::of(path).is_none(), "{path}");
        }
        assert!(!is_asked("/authzz") && !is_asked("/v1/authz/nginx"));
    }
}
