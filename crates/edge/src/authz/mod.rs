//! Forward auth: nginx, Traefik, Caddy and Envoy ask here about a request that they hold.
//!
//! Deliberately absent: the decision itself, and everything about the request that the proxy goes on to make.

use http::{Request, Response};
use hyper::body::Incoming;
use rndrkit_api::error::ErrorCode;

use crate::body::EdgeBody;
use crate::edge::{Edge, Exchange};

/// Whether a path is a question to forward auth.
pub(crate) fn is_asked(path: &str) -> bool {
    path == "/authz" || path.starts_with("/authz/")
}

/// Answers one question.
pub(crate) async fn serve(
    edge: &Edge,
    exchange: &Exchange,
    _request: Request<Incoming>,
) -> Response<EdgeBody> {
    exchange.refuse(edge, ErrorCode::NotFound, "There is nothing at this path.")
}
