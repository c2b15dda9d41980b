//! `/v1/accounts`: the operator makes, reads, changes and deletes accounts.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use rndrkit_api::account::{Account, CreateAccount, DeletedAccount, UpdateAccount};
use rndrkit_api::page::Page;
use rndrkit_control::{AccountPatch, NewAccountInput};
use rndrkit_domain::id::AccountId;

use crate::http::body::JsonBody;
use crate::http::context::Asker;
use crate::http::idempotency::IdempotencyKey;
use crate::http::page;
use crate::http::path::PathId;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// Create an account.
#[utoipa::path(post, path = "/v1/accounts",
    operation_id = "accounts_create", tag = "Accounts",
    request_body = CreateAccount,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats of the call answer as the first did.")),
    responses((status = 201, body = Account)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    Asker(context): Asker,
    idempotency: IdempotencyKey,
    body: JsonBody<CreateAccount>,
) -> Result<Response, Refusal> {
    let CreateAccount { email, name, plan, external_id } = &body.value;
    let input = NewAccountInput {
        email,
        name: name.as_deref(),
        plan: plan.as_deref(),
        external_id: external_id.as_deref(),
    };
    let created = state.control.create_account(&context, input, idempotency.with(body.fingerprint)).await?;
    Ok((StatusCode::CREATED, Json(wire::account(created.value))).into_response())
}

/// List accounts, newest first.
#[utoipa::path(get, path = "/v1/accounts",
    operation_id = "accounts_list", tag = "Accounts",
    params(
        ("email" = Option<String>, Query, description = "Only the account with this address."),
        ("external_id" = Option<String>, Query, description = "Only the account with this external id."),
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 when absent."),
        ("after" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, body = Page<Account>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    Asker(context): Asker,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let parameters = parameters.only(&["email", "external_id", "limit", "after"])?;
    let (email, external_id) = (parameters.get("email"), parameters.get("external_id"));
    let found = state.control.list_accounts(&context, email, external_id, parameters.page()?).await?;
    Ok(page::answer(&uri, found, wire::account))
}

/// Show an account.
#[utoipa::path(get, path = "/v1/accounts/{id}",
    operation_id = "accounts_show", tag = "Accounts",
    params(("id" = String, Path)),
    responses((status = 200, body = Account)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
) -> Result<Json<Account>, Refusal> {
    Ok(Json(wire::account(state.control.get_account(&context, id).await?)))
}

/// Change an account: plan, status, name, e-mail or external id.
///
/// Absent members stay as they are. When it answers, every node follows the change.
#[utoipa::path(patch, path = "/v1/accounts/{id}",
    operation_id = "accounts_update", tag = "Accounts",
    params(("id" = String, Path)),
    request_body = UpdateAccount, responses((status = 200, body = Account)))]
pub(crate) async fn update(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
    body: JsonBody<UpdateAccount>,
) -> Result<Json<Account>, Refusal> {
    let UpdateAccount { plan, status, name, email, external_id } = &body.value;
    let patch = AccountPatch {
        plan: plan.as_deref(),
        status: status.as_deref(),
        name: name.as_deref(),
        email: email.as_deref(),
        external_id: external_id.as_ref().map(Option::as_deref),
    };
    Ok(Json(wire::account(state.control.update_account(&context, id, patch).await?.view)))
}

/// Delete an account.
///
/// Its keys are revoked, its sessions ended and its personal data erased.
#[utoipa::path(delete, path = "/v1/accounts/{id}",
    operation_id = "accounts_delete", tag = "Accounts",
    params(("id" = String, Path)),
    responses((status = 200, body = DeletedAccount)))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
) -> Result<Json<DeletedAccount>, Refusal> {
    state.control.delete_account(&context, id).await?;
    Ok(Json(DeletedAccount { id: id.to_string(), deleted: true }))
}
