//! Rotating a key, and ending its old secret before its time.
//!
//! As with a new key, the answer to the form is the page that shows the secret.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Created, Error, IdempotencyRequest, RotateInput, RotatedKey};
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::{ApiKey, KeyStatus};
use rndrkit_domain::key_text::Digest;
use serde::Deserialize;

use super::answer::{self, see_other};
use super::failure::Failure;
use super::form::PageForm;
use super::key_actions::{after_first_sending, key_id, plan_name};
use super::settings::{self, Extra, frame, new_form_id};
use super::state::DashboardState;
use super::told;
use super::view::frame::{Notice, Place, Tone};
use super::view::keys::{KeyRow, RepeatedCreate, Revealed};
use super::view::rotation::{EndPreviousPage, OVERLAP_CHOICES, RotateForm, RotateKeyPage};
use super::view::words;
use super::visitor::SignedIn;

/// The form *Rotate key* as chosen.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Chosen {
    form_id: String,
    overlap: String,
    /// The mask of the secret that the form was about.
    seen: String,
}

/// The form *End old secret*: the mask of the secret that it was about.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Ended {
    seen: String,
}

/// What a form was about. One without it (not one of our pages) takes things as they are.
fn seen(mask: &str) -> Option<&str> {
    Some(mask).filter(|mask| !mask.is_empty())
}

impl Chosen {
    /// One of the four; the form offers no other.
    fn seconds(&self) -> Option<u64> {
        let (value, _) = OVERLAP_CHOICES.iter().find(|(value, _)| *value == self.overlap)?;
        value.parse().ok()
    }

    fn refill(self, form_id: String, problem: &str) -> RotateForm {
        RotateForm { form_id, overlap: self.overlap, problem: Some(problem.to_owned()) }
    }
}

/// `GET /settings/api-keys/{id}/rotate`: the question on a page of its own.
pub(super) async fn ask(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let key = state.control().get_key(&who.context, key_id(&id)?).await?;
    let plan = state.control().get_account(&who.context, who.account.id).await?.plan;
    let is_active = key.status(state.control().now()) == KeyStatus::Active;
    if !is_active || !plan.api_access || who.account.status == AccountStatus::Suspended {
        // The section says how things are.
        return Ok(see_other("/settings#api-keys"));
    }
    let form = RotateForm::fresh(new_form_id(&state));
    draw_form(&state, &who, &key, StatusCode::OK, form).await
}

/// `POST /settings/api-keys/{id}/rotate`.
pub(super) async fn rotate(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
    PageForm(chosen): PageForm<Chosen>,
) -> Result<Response, Failure> {
    let id = key_id(&id)?;
    // First of all, so that a stranger's key is not there whatever the form says.
    let key = state.control().get_key(&who.context, id).await?;
    let Some(seconds) = chosen.seconds() else {
        let form = chosen.refill(new_form_id(&state), "Choose when the old secret ends.");
        return draw_form(&state, &who, &key, StatusCode::UNPROCESSABLE_ENTITY, form).await;
    };
    match send(&state, &who, id, &chosen, seconds).await {
        Ok(rotated) => show_rotated(&state, &who, rotated, seconds == 0).await,
        Err(error) => show_refused(&state, &who, &key, chosen, error).await,
    }
}

async fn send(
    state: &DashboardState,
    who: &SignedIn,
    id: KeyId,
    chosen: &Chosen,
    seconds: u64,
) -> Result<Created<RotatedKey>, Error> {
    let once = IdempotencyRequest { key: &chosen.form_id, fingerprint: Digest::of(&chosen.overlap) };
    // A form without its number (not one of our pages) still rotates, only without that protection.
    let once = (!chosen.form_id.is_empty()).then_some(once);
    let input = RotateInput { overlap_seconds: Some(seconds), only_secret: seen(&chosen.seen) };
    after_first_sending(|| state.control().rotate_key(&who.context, id, input, once)).await
}

async fn show_rotated(
    state: &DashboardState,
    who: &SignedIn,
    rotated: Created<RotatedKey>,
    at_once: bool,
) -> Result<Response, Failure> {
    let Created { value: RotatedKey { key, confirmation }, secret } = rotated;
    let name = key.name.to_string();
    let Some(secret) = secret else {
        let repeated = RepeatedCreate { id: key.id.to_string(), name, is_rotation: true };
        return settings::draw(
            state,
            who,
            StatusCode::OK,
            Extra { repeated: Some(repeated), ..Extra::default() },
        )
        .await;
    };
    let now = state.control().now();
    let old = match (key.previous_at(now), &confirmation) {
        (Some(old), _) => {
            format!("The old secret works until {}.", words::future(now, old.works_until).spoken)
        }
        (None, Some(who_follows)) if at_once => {
            format!("The old secret works no more. {}", words::refused(who_follows))
        }
        (None, _) => "The old secret works no more.".to_owned(),
    };
    // The secret is shown in any case; that something is left to do is said beside it.
    let unsure = (at_once && confirmation.is_none()).then(|| Notice {
        tone: Tone::Danger,
        title: "The old secret may still work.".to_owned(),
        text:
            "We could not confirm that every server refuses it. If it is in wrong hands, delete this key and \
               create another."
                .to_owned(),
    });
    let old = if unsure.is_some() { "The new secret works.".to_owned() } else { old };
    let created = Some(Revealed { name, secret: secret.reveal().to_owned(), old: Some(old) });
    settings::draw(state, who, StatusCode::OK, Extra { created, notice: unsure, ..Extra::default() }).await
}

async fn show_refused(
    state: &DashboardState,
    who: &SignedIn,
    key: &ApiKey,
    chosen: Chosen,
    error: Error,
) -> Result<Response, Failure> {
    let text = error.public_text();
    let refused = |status| {
        let title = "The key was not rotated.".to_owned();
        let notice = Notice { tone: Tone::Caution, title, text: text.clone() };
        settings::draw(state, who, status, Extra { notice: Some(notice), ..Extra::default() })
    };
    let (status, form) = match error {
        Error::KeyNotActive => return refused(StatusCode::CONFLICT).await,
        Error::PlanRequired | Error::AccountSuspended => return refused(StatusCode::FORBIDDEN).await,
        Error::SecretChanged => {
            let key = state.control().get_key(&who.context, key.id).await?;
            let form = chosen.refill(new_form_id(state), &text);
            return draw_form(state, who, &key, StatusCode::CONFLICT, form).await;
        }
        Error::IdempotencyMismatch => {
            let problem = "This form rotated the key before. Press Rotate key to rotate it again.";
            (StatusCode::CONFLICT, chosen.refill(new_form_id(state), problem))
        }
        Error::IdempotencyInProgress | Error::Unavailable(_) => {
            tracing::warn!(%error, key = %key.id, "a rotation was not confirmed");
            let problem =
                "We could not confirm the rotation. Press Rotate key again: it rotates at most once.";
            let form_id = chosen.form_id.clone();
            (StatusCode::SERVICE_UNAVAILABLE, chosen.refill(form_id, problem))
        }
        other => return Err(other.into()),
    };
    draw_form(state, who, key, status, form).await
}

async fn draw_form(
    state: &DashboardState,
    who: &SignedIn,
    key: &ApiKey,
    status: StatusCode,
    form: RotateForm,
) -> Result<Response, Failure> {
    let frame = frame(state, Place::Settings, &who.account, &plan_name(state, who).await);
    Ok(answer::page(status, &RotateKeyPage { frame, key: row(state, who, key).await, form }))
}

/// `GET /settings/api-keys/{id}/end-previous`: the question on a page of its own.
pub(super) async fn ask_end(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    draw_question(&state, &who, key_id(&id)?, StatusCode::OK, None).await
}

/// `POST /settings/api-keys/{id}/end-previous`. Answers when no node accepts the old secret any more.
pub(super) async fn end(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
    PageForm(ended): PageForm<Ended>,
) -> Result<Response, Failure> {
    let id = key_id(&id)?;
    match state.control().end_previous(&who.context, id, seen(&ended.seen)).await {
        Ok(ended) => {
            let mut answer = see_other(&format!("/settings?ended={id}#api-keys"));
            told::put(answer.headers_mut(), state.is_https(), &id.to_string(), &ended.confirmation);
            Ok(answer)
        }
        Err(Error::Unavailable(cause)) => {
            tracing::warn!(cause, "the end of an old secret was not confirmed");
            let problem =
                "We could not confirm that the old secret has ended. It may still work: end it again.";
            draw_question(&state, &who, id, StatusCode::SERVICE_UNAVAILABLE, Some(problem)).await
        }
        Err(error @ Error::SecretChanged) => {
            draw_question(&state, &who, id, StatusCode::CONFLICT, Some(&error.public_text())).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn draw_question(
    state: &DashboardState,
    who: &SignedIn,
    id: KeyId,
    status: StatusCode,
    problem: Option<&str>,
) -> Result<Response, Failure> {
    let key = state.control().get_key(&who.context, id).await?;
    let view = EndPreviousPage {
        frame: frame(state, Place::Settings, &who.account, &plan_name(state, who).await),
        key: row(state, who, &key).await,
        problem: problem.map(ToOwned::to_owned),
    };
    Ok(answer::page(status, &view))
}

async fn row(state: &DashboardState, who: &SignedIn, key: &ApiKey) -> KeyRow {
    let uses = settings::rotation_uses(state, who, std::slice::from_ref(key)).await;
    settings::row_with_old(key, &uses, state.control().now())
}
