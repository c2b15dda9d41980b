//! `/v1/accounts/{id}/links`: single-use links that let people in.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rndrkit_api::link::{CreateLink, Link};
use rndrkit_control::LinkInput;
use rndrkit_domain::id::AccountId;

use crate::http::body::JsonBody;
use crate::http::context::Asker;
use crate::http::path::PathId;
use crate::http::refusal::Refusal;
use crate::state::ServerState;
use crate::wire;

/// Make a single-use link: `invite`, `password_reset` or `sign_in`.
///
/// It is shown once, and used up by the button on its page, not by opening it.
#[utoipa::path(post, path = "/v1/accounts/{id}/links",
    operation_id = "links_create", tag = "Accounts",
    params(("id" = String, Path)),
    request_body = CreateLink, responses((status = 201, body = Link)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    Asker(context): Asker,
    PathId(id): PathId<AccountId>,
    body: JsonBody<CreateLink>,
) -> Result<Response, Refusal> {
    let CreateLink { kind, email, expires_in_seconds, return_to } = &body.value;
    let input = LinkInput {
        kind,
        email: email.as_deref(),
        expires_in_seconds: *expires_in_seconds,
        return_to: return_to.as_deref(),
    };
    let link = state.control.create_link(&context, id, input).await?;
    Ok((StatusCode::CREATED, Json(wire::link(&link))).into_response())
}
