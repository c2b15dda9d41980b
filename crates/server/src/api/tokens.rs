//! `/v1/tokens`: tokens of the operator API, narrower than the operator's own or for other programs.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use rndrkit_api::page::Page;
use rndrkit_api::token::{CreateToken, CreatedToken, DeletedToken, Token};
use rndrkit_domain::id::TokenId;

use crate::http::body::JsonBody;
use crate::http::context::Asker;
use crate::http::idempotency::IdempotencyKey;
use crate::http::page;
use crate::http::path::PathId;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// Create a token.
///
/// The secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens",
    operation_id = "tokens_create", tag = "Tokens",
    request_body = CreateToken,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats of the call make no second token.")),
    responses((status = 201, body = CreatedToken)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    Asker(context): Asker,
    idempotency: IdempotencyKey,
    body: JsonBody<CreateToken>,
) -> Result<Response, Refusal> {
    let CreateToken { name, scope, expires_at } = &body.value;
    let request = idempotency.with(body.fingerprint);
    let created = state.control.create_token(&context, name, scope, expires_at.as_deref(), request).await?;
    Ok((StatusCode::CREATED, Json(wire::created_token(&created))).into_response())
}

/// List tokens, newest first.
#[utoipa::path(get, path = "/v1/tokens",
    operation_id = "tokens_list", tag = "Tokens",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 when absent."),
        ("after" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, body = Page<Token>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    Asker(context): Asker,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let parameters = parameters.only(&["limit", "after"])?;
    let found = state.control.list_tokens(&context, parameters.page()?).await?;
    Ok(page::answer(&uri, found, |token| wire::token(&token)))
}

/// Delete a token; it is refused at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}",
    operation_id = "tokens_delete", tag = "Tokens",
    params(("id" = String, Path)),
    responses((status = 200, body = DeletedToken)))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<TokenId>,
) -> Result<Json<DeletedToken>, Refusal> {
    state.control.delete_token(&context, id).await?;
    Ok(Json(DeletedToken { id: id.to_string(), deleted: true }))
}
