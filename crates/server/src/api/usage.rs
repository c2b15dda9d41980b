//! `/v1/accounts/{id}/usage`: what an account's keys did.

use axum::Json;
use axum::extract::State;
use rndrkit_api::usage::AccountUsage;
use rndrkit_control::UsageQuery;
use rndrkit_domain::id::AccountId;

use crate::http::context::Asker;
use crate::http::path::PathId;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// Show what an account's keys did, by day, hour or minute.
///
/// Stretches are UTC; the ones that `from` and `to` lie in are included. Minutes are kept for 48 hours, hours
/// for 14 days, days for as long as `usage_retention_days` says. At most 366 days and 10,000 counts at once; more
/// is refused with 422 and never cut off. Counts appear some seconds after the requests.
#[utoipa::path(get, path = "/v1/accounts/{id}/usage",
    operation_id = "accounts_usage", tag = "Accounts",
    params(
        ("id" = String, Path),
        ("from" = Option<String>, Query, description = "A day such as `2026-11-23`, or a moment (RFC 3339); by default 30 days, 24 hours or 60 minutes up to `to`."),
        ("to" = Option<String>, Query, description = "Likewise; a day is included as a whole. By default now."),
        ("period" = Option<String>, Query, description = "`day` (default), `hour` or `minute`."),
    ),
    responses((status = 200, body = AccountUsage)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
    parameters: Parameters,
) -> Result<Json<AccountUsage>, Refusal> {
    let parameters = parameters.only(&["from", "to", "period"])?;
    let query = UsageQuery {
        from: parameters.get("from"),
        to: parameters.get("to"),
        period: parameters.get("period"),
    };
    let counts = state.control.account_usage(&context, id, query).await?;
    Ok(Json(AccountUsage { data: counts.iter().map(wire::key_usage).collect() }))
}
