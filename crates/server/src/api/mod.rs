//! The operator API on the internal listener: one table of routes, each with the scope that it needs.
//!
//! A route can only be added to the table, so none can forget its guard. Deliberately absent: verify, which
//! the data plane answers on the same listener.

pub(crate) mod accounts;
pub(crate) mod audit_log;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod tokens;
pub(crate) mod usage;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, patch, post};
use http::Method;
use rndrkit_domain::token::Scope;

use crate::http::{answer, authenticate};
use crate::state::ServerState;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches the internal listener.
    Open,
    /// Holders of a token whose scope includes this one.
    Scope(Scope),
}

/// A route of the operator API.
#[derive(Debug, Clone)]
pub struct OperatorRoute {
    /// Its method.
    pub method: Method,
    /// Its path, with `{id}` for an id.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    handler: MethodRouter<ServerState>,
}

fn route(
    path: &'static str,
    method: Method,
    access: Access,
    handler: MethodRouter<ServerState>,
) -> OperatorRoute {
    OperatorRoute { method, path, access, handler }
}

/// The whole operator API.
#[must_use]
pub fn operator_routes() -> Vec<OperatorRoute> {
    const READ: Access = Access::Scope(Scope::Read);
    const ADMIN: Access = Access::Scope(Scope::Admin);
    vec![
        route("/v1/accounts", Method::POST, ADMIN, post(accounts::create)),
        route("/v1/accounts", Method::GET, READ, get(accounts::list)),
        route("/v1/accounts/{id}", Method::GET, READ, get(accounts::show)),
        route("/v1/accounts/{id}", Method::PATCH, ADMIN, patch(accounts::update)),
        route("/v1/accounts/{id}", Method::DELETE, ADMIN, delete(accounts::delete)),
        route("/v1/accounts/{id}/links", Method::POST, ADMIN, post(links::create)),
        route("/v1/accounts/{id}/keys", Method::POST, ADMIN, post(keys::create)),
        route("/v1/accounts/{id}/keys", Method::GET, READ, get(keys::list)),
        route("/v1/accounts/{id}/usage", Method::GET, READ, get(usage::show)),
        route("/v1/keys/{id}", Method::GET, READ, get(keys::show)),
        route("/v1/keys/{id}", Method::PATCH, ADMIN, patch(keys::update)),
        route("/v1/keys/{id}", Method::DELETE, ADMIN, delete(keys::revoke)),
        route("/v1/keys/{id}/rotate", Method::POST, ADMIN, post(keys::rotate)),
        route("/v1/tokens", Method::POST, ADMIN, post(tokens::create)),
        route("/v1/tokens", Method::GET, READ, get(tokens::list)),
        route("/v1/tokens/{id}", Method::DELETE, ADMIN, delete(tokens::delete)),
        route("/v1/audit-log", Method::GET, READ, get(audit_log::list)),
        route("/livez", Method::GET, Access::Open, get(health::livez)),
        route("/readyz", Method::GET, Access::Open, get(health::readyz)),
        route("/metrics", Method::GET, Access::Open, get(health::metrics)),
        route("/openapi.json", Method::GET, Access::Open, get(health::openapi_json)),
    ]
}

/// The internal listener's routes.
pub fn operator_router(state: ServerState) -> Router {
    router_of(operator_routes(), state)
}

/// Health and metrics alone, for a listener of their own.
pub fn telemetry_router(state: ServerState) -> Router {
    let is_telemetry = |route: &OperatorRoute| matches!(route.path, "/livez" | "/readyz" | "/metrics");
    router_of(operator_routes().into_iter().filter(is_telemetry).collect(), state)
}

fn router_of(table: Vec<OperatorRoute>, state: ServerState) -> Router {
    let mut router = Router::new();
    for OperatorRoute { path, access, handler, .. } in table {
        // Laid on the route's own method only: a wrong method or path is told to anybody.
        let guarded = match access {
            Access::Open => handler,
            Access::Scope(needed) => {
                handler.route_layer(from_fn_with_state((state.clone(), needed), authenticate::require))
            }
        };
        router = router.route(path, guarded);
    }
    router
        .method_not_allowed_fallback(answer::method_not_allowed)
        .fallback(answer::not_found)
        .layer(from_fn(answer::no_store))
        .layer(from_fn_with_state(state.clone(), answer::finish))
        .with_state(state)
}
