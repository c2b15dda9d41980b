//! `/v1/audit-log`: who did what, newest first.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rndrkit_api::audit::AuditEvent;
use rndrkit_api::page::Page;
use rndrkit_domain::id::AccountId;

use crate::http::context::Asker;
use crate::http::page;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// List audit events, newest first.
#[utoipa::path(get, path = "/v1/audit-log",
    operation_id = "audit_log_list", tag = "Audit log",
    params(
        ("account_id" = Option<String>, Query, description = "Only events of this account."),
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 when absent."),
        ("after" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, body = Page<AuditEvent>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    Asker(context): Asker,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let parameters = parameters.only(&["account_id", "limit", "after"])?;
    let account_id = parameters.get("account_id").map(str::parse::<AccountId>).transpose();
    let account_id =
        account_id.map_err(|error| Refusal::invalid("/account_id", format!("This is {error}.")))?;
    let found = state.control.list_events(&context, account_id, parameters.page()?).await?;
    Ok(page::answer(&uri, found, wire::audit_event))
}
