//! Changing what a key is called and where it is used.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Error, KeyPatch};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::{ApiKey, KeyStatus};
use serde::Deserialize;

use super::answer::{self, see_other};
use super::failure::Failure;
use super::form::PageForm;
use super::key_actions::{environment_of, key_id, plan_name};
use super::settings::frame;
use super::state::DashboardState;
use super::view::Field;
use super::view::frame::Place;
use super::view::keys::{LabelForm, LabelKeyPage};
use super::visitor::SignedIn;

/// The form as typed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Typed {
    name: String,
    environment: String,
}

/// `GET /settings/api-keys/{id}/label`.
pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let Some(key) = active_key(&state, &who, key_id(&id)?).await? else {
        return Ok(see_other("/settings#api-keys"));
    };
    let form = LabelForm {
        name: Field::holding(key.name.as_str()),
        environment: Field::holding(key.environment.as_ref().map_or("", |label| label.as_str())),
    };
    Ok(draw(&state, &who, StatusCode::OK, &key, form, None).await)
}

/// `POST /settings/api-keys/{id}/label`.
pub(super) async fn change(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
    PageForm(typed): PageForm<Typed>,
) -> Result<Response, Failure> {
    let Some(key) = active_key(&state, &who, key_id(&id)?).await? else {
        return Ok(see_other("/settings#api-keys"));
    };
    let patch = KeyPatch { name: Some(&typed.name), environment: Some(environment_of(&typed.environment)) };
    let error = match state.control().update_key(&who.context, key.id, patch).await {
        Ok(key) => return Ok(see_other(&format!("/settings?updated={}#api-keys", key.id))),
        Err(error) => error,
    };
    let mut form =
        LabelForm { name: Field::holding(typed.name), environment: Field::holding(typed.environment) };
    match error {
        Error::Invalid(fields) => {
            let problem = |name: &str| {
                fields.iter().find(|field| field.field == name).map(|field| field.detail.clone())
            };
            form.name.problem = problem("name");
            form.environment.problem = problem("environment");
            Ok(draw(&state, &who, StatusCode::UNPROCESSABLE_ENTITY, &key, form, None).await)
        }
        Error::Unavailable(cause) => {
            tracing::warn!(cause, "a key's new words were not confirmed");
            let problem = "We could not confirm the change. Save it again: that is safe.";
            Ok(draw(&state, &who, StatusCode::SERVICE_UNAVAILABLE, &key, form, Some(problem)).await)
        }
        error => Err(error.into()),
    }
}

/// The account's key while it is active: what has ended keeps the words that people knew it by.
async fn active_key(state: &DashboardState, who: &SignedIn, id: KeyId) -> Result<Option<ApiKey>, Failure> {
    let key = state.control().get_key(&who.context, id).await?;
    Ok((key.status(state.control().now()) == KeyStatus::Active).then_some(key))
}

async fn draw(
    state: &DashboardState,
    who: &SignedIn,
    status: StatusCode,
    key: &ApiKey,
    form: LabelForm,
    problem: Option<&str>,
) -> Response {
    let view = LabelKeyPage {
        frame: frame(state, Place::Settings, &who.account, &plan_name(state, who).await),
        id: key.id.to_string(),
        current_name: key.name.to_string(),
        mask: key.mask.to_string(),
        form,
        problem: problem.map(ToOwned::to_owned),
    };
    answer::page(status, &view)
}
