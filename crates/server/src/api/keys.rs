//! `/v1/accounts/{id}/keys` and `/v1/keys/{id}`: API keys, made and shown once, listed, relabelled, rotated,
//! revoked.
//!
//! Deliberately absent: `POST /v1/keys/verify`, which the data plane answers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use rndrkit_api::key::{CreateKey, CreatedKey, Key, Receipt, RotateKey, UpdateKey};
use rndrkit_api::page::Page;
use rndrkit_control::{Error, KeyLabel, KeyPatch, RotateInput};
use rndrkit_domain::id::{AccountId, KeyId};

use crate::http::body::JsonBody;
use crate::http::context::Asker;
use crate::http::idempotency::IdempotencyKey;
use crate::http::page;
use crate::http::path::PathId;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// Create an API key.
///
/// The secret is in this answer and nowhere else. A repeat with the same `Idempotency-Key` answers with
/// the same key, `"secret": null` and `"secret_status": "already_delivered"`.
#[utoipa::path(post, path = "/v1/accounts/{id}/keys",
    operation_id = "keys_create", tag = "API keys",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the call make no second key."),
    ),
    request_body = CreateKey, responses((status = 201, body = CreatedKey)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
    idempotency: IdempotencyKey,
    body: JsonBody<CreateKey>,
) -> Result<Response, Refusal> {
    let CreateKey { name, environment, expires_at } = &body.value;
    let label = KeyLabel { name, environment: environment.as_deref() };
    let request = idempotency.with(body.fingerprint);
    let created = state.control.create_key(&context, id, label, expires_at.as_deref(), request).await?;
    let answer = wire::created_key(&created, state.control.now());
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// List an account's keys, newest first; ended ones too.
#[utoipa::path(get, path = "/v1/accounts/{id}/keys",
    operation_id = "keys_list", tag = "API keys",
    params(
        ("id" = String, Path),
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 when absent."),
        ("after" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, body = Page<Key>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let parameters = parameters.only(&["limit", "after"])?;
    let found = state.control.list_keys(&context, id, parameters.page()?).await?;
    let now = state.control.now();
    Ok(page::answer(&uri, found, |key| wire::key(&key, now)))
}

/// Show a key.
#[utoipa::path(get, path = "/v1/keys/{id}",
    operation_id = "keys_show", tag = "API keys",
    params(("id" = String, Path)),
    responses((status = 200, body = Key)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<KeyId>,
) -> Result<Json<Key>, Refusal> {
    let key = state.control.get_key(&context, id).await?;
    Ok(Json(wire::key(&key, state.control.now())))
}

/// Change a key's name or environment.
///
/// No decision depends on either, so nothing has to take effect anywhere.
#[utoipa::path(patch, path = "/v1/keys/{id}",
    operation_id = "keys_update", tag = "API keys",
    params(("id" = String, Path)),
    request_body = UpdateKey, responses((status = 200, body = Key)))]
pub(crate) async fn update(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<KeyId>,
    body: JsonBody<UpdateKey>,
) -> Result<Json<Key>, Refusal> {
    let UpdateKey { name, environment } = &body.value;
    let patch = KeyPatch { name: name.as_deref(), environment: environment.as_ref().map(Option::as_deref) };
    let key = state.control.update_key(&context, id, patch).await?;
    Ok(Json(wire::key(&key, state.control.now())))
}

/// Rotate a key: another secret for the same key.
///
/// The secret is in this answer and nowhere else. The old one works on for `overlap_seconds`, and `previous` says
/// until when; with 0, every node refuses it when this answers. A second rotation ends a secret that is older still
/// at once. A repeat with the same `Idempotency-Key` answers with the same key, `"secret": null` and
/// `"secret_status": "already_delivered"`.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate",
    operation_id = "keys_rotate", tag = "API keys",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the call rotate once."),
    ),
    request_body = RotateKey, responses((status = 201, body = CreatedKey)))]
pub(crate) async fn rotate(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<KeyId>,
    idempotency: IdempotencyKey,
    body: JsonBody<RotateKey>,
) -> Result<Response, Refusal> {
    let RotateKey { overlap_seconds } = body.value;
    let request = idempotency.with(body.fingerprint);
    let input = RotateInput { overlap_seconds, only_secret: None };
    let rotated = state.control.rotate_key(&context, id, input, request).await?;
    if overlap_seconds == Some(0) && rotated.value.confirmation.is_none() {
        // Rotating again costs nothing then: the old secret was ended either way.
        return Err(Error::Unavailable("the end of an old secret was not confirmed".to_owned()).into());
    }
    let answer = wire::rotated_key(&rotated, state.control.now());
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Revoke a key.
///
/// When it answers, every node refuses the key; the receipt says how many confirmed. A repeat confirms anew.
#[utoipa::path(delete, path = "/v1/keys/{id}",
    operation_id = "keys_revoke", tag = "API keys",
    params(("id" = String, Path)),
    responses((status = 200, body = Receipt)))]
pub(crate) async fn revoke(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<KeyId>,
) -> Result<Json<Receipt>, Refusal> {
    Ok(Json(wire::receipt(&state.control.revoke_key(&context, id).await?)))
}
