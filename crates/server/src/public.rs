//! The calls for whoever holds a key, under the installation's own path (`/api/rk/`).
//!
//! The listener has read the key and decided; the decision lies beside the request. Deliberately absent:
//! the decision itself, and the upstream's part of `/api`.

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get};
use axum::{Extension, Json, Router};
use rndrkit_api::error::ErrorCode;
use rndrkit_api::key::Receipt;
use rndrkit_api::public::{AccountAnswer, UsageAnswer};
use rndrkit_control::{Context, Principal};
use rndrkit_domain::decision::{BudgetState, Caller, Decision, Denial};

use crate::http::answer;
use crate::http::context::{Asker, origin};
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// The calls, as they are under the default `own_path`; the last segments are fixed.
pub(crate) const DEFAULT_OWN_PATH: &str = "/api/rk/";

/// The caller's account, the key that was sent, and what is left of the budget.
#[utoipa::path(get, path = "/api/rk/account",
    operation_id = "own_account", tag = "For holders of a key",
    responses((status = 200, body = AccountAnswer)))]
pub(crate) async fn account(
    State(state): State<ServerState>,
    Asker(context): Asker,
    Extension(caller): Extension<Caller>,
    Extension(budget): Extension<BudgetState>,
) -> Result<Json<AccountAnswer>, Refusal> {
    let account = state.control.get_account(&context, caller.account_id).await?;
    let key = state.control.get_key(&context, caller.key_id).await?;
    Ok(Json(AccountAnswer {
        account: wire::account(account),
        key: wire::key(&key, state.control.now()),
        rate_limit: wire::rate_limit(&budget),
    }))
}

/// Use of the account's keys by UTC day; the last 30 days when nothing is said.
#[utoipa::path(get, path = "/api/rk/usage",
    operation_id = "own_usage", tag = "For holders of a key",
    params(
        ("from" = Option<String>, Query, description = "First day, such as 2026-11-01."),
        ("to" = Option<String>, Query, description = "Last day, such as 2026-11-23."),
    ),
    responses((status = 200, body = UsageAnswer)))]
pub(crate) async fn usage(
    State(state): State<ServerState>,
    Asker(context): Asker,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<UsageAnswer>, Refusal> {
    let parameters = parameters.only(&["from", "to"])?;
    let (from, to) = (parameters.get("from"), parameters.get("to"));
    let days = state.control.daily_usage(&context, caller.account_id, from, to).await?;
    Ok(Json(UsageAnswer { data: days.iter().map(wire::usage_day).collect() }))
}

/// Revoke the key that was sent.
///
/// Whoever holds a secret may end it: also when the account is suspended, on a plan without API access, or
/// out of budget.
#[utoipa::path(delete, path = "/api/rk/keys/self",
    operation_id = "own_key_revoke", tag = "For holders of a key",
    responses((status = 200, body = Receipt)))]
pub(crate) async fn revoke_self(
    State(state): State<ServerState>,
    Asker(context): Asker,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Receipt>, Refusal> {
    Ok(Json(wire::receipt(&state.control.revoke_key(&context, caller.key_id).await?)))
}

/// The calls of this file, under the configured path.
pub(crate) fn router(state: ServerState) -> Router {
    let own_path = state.settings.own_path.trim_end_matches('/').to_owned();
    let admitted = |handler: MethodRouter<ServerState>| handler.route_layer(from_fn(require_allowed));
    Router::new()
        .route(&format!("{own_path}/account"), admitted(get(account)))
        .route(&format!("{own_path}/usage"), admitted(get(usage)))
        .route(&format!("{own_path}/keys/self"), delete(revoke_self).route_layer(from_fn(require_holder)))
        .route(&format!("{own_path}/"), any(not_found))
        .route(&format!("{own_path}/{{*rest}}"), any(not_found))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn(answer::no_store))
        .layer(from_fn_with_state(state.clone(), answer::finish))
        .with_state(state)
}

/// No such path: the caller is a customer, who cannot see the description on the internal listener.
async fn not_found(State(state): State<ServerState>) -> Refusal {
    let own_path = state.settings.own_path.trim_end_matches('/');
    let detail = format!(
        "There is no such path. The calls here are GET {own_path}/account, GET {own_path}/usage and \
         DELETE {own_path}/keys/self."
    );
    Refusal::new(ErrorCode::NotFound, detail)
}

/// Lets a request pass whose key was admitted.
async fn require_allowed(mut request: Request, next: Next) -> Response {
    match request.extensions_mut().remove::<Decision>() {
        Some(Decision::Allowed { caller, budget }) => {
            request.extensions_mut().insert(budget);
            pass(caller, request, next).await
        }
        _ => unexpected(),
    }
}

/// Lets a request pass whose secret is right, whatever else stands against the account.
async fn require_holder(mut request: Request, next: Next) -> Response {
    match request.extensions_mut().remove::<Decision>() {
        Some(
            Decision::Allowed { caller, .. }
            | Decision::Denied {
                denial: Denial::AccountSuspended | Denial::PlanRequired | Denial::RateLimited,
                caller: Some(caller),
                ..
            },
        ) => pass(caller, request, next).await,
        _ => unexpected(),
    }
}

async fn pass(caller: Caller, mut request: Request, next: Next) -> Response {
    let principal = Principal::KeyHolder { account_id: caller.account_id, key_id: caller.key_id };
    let origin = origin(request.headers(), request.extensions());
    request.extensions_mut().insert(Context { principal, origin });
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The listener answers refusals itself; whatever arrives here undecided or refused does so by our mistake.
fn unexpected() -> Response {
    Refusal::internal("a call of a key's holder came without a good decision").into_response()
}
