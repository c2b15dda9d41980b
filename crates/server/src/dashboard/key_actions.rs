//! Creating and deleting a key.
//!
//! The answer to the create form is the page that shows the secret, rendered directly: a redirect would
//! have to keep the secret somewhere.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Created, Error, IdempotencyRequest, InvalidField, KeyLabel};
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::{ApiKey, KeyStatus};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use serde::Deserialize;

use super::answer::{self, see_other};
use super::failure::Failure;
use super::form::PageForm;
use super::settings::{self, Extra, frame, key_row, new_form_id};
use super::state::DashboardState;
use super::told;
use super::view::Field;
use super::view::frame::{Notice, Place, Tone};
use super::view::keys::{CreateForm, CreateKeyPage, DeleteKeyPage, RepeatedCreate, Revealed};
use super::visitor::SignedIn;

const DAY: Duration = Duration::from_secs(86_400);
/// A form sent twice waits for its first sending this often, this long each time: as long as a create may
/// take, and no longer than a person waits.
const FIRST_SENDING_CHECKS: u32 = 20;
const FIRST_SENDING_PAUSE: Duration = Duration::from_millis(150);

/// The form *Create API Key* as typed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Typed {
    form_id: String,
    name: String,
    environment: String,
    expiry: String,
    expiry_date: String,
}

impl Typed {
    /// The same form sent again has the same fingerprint, though "in 30 days" means another moment.
    fn fingerprint(&self) -> Digest {
        let Self { name, environment, expiry, expiry_date, .. } = self;
        Digest::of(&format!("{name}\n{environment}\n{expiry}\n{expiry_date}"))
    }

    fn label(&self) -> KeyLabel<'_> {
        KeyLabel { name: &self.name, environment: environment_of(&self.environment) }
    }

    /// When the key is to end, as the control plane reads it.
    fn expires_at(&self, now: Timestamp) -> Result<Option<String>, &'static str> {
        let end = match self.expiry.as_str() {
            "" | "never" => return Ok(None),
            "date" => {
                let midnight: Timestamp = format!("{}T00:00:00Z", self.expiry_date)
                    .parse()
                    .map_err(|_| "Choose a day, or choose when the key expires from the list above.")?;
                // The chosen day is the last one: it ends when the day does.
                midnight.plus(DAY)
            }
            days => {
                let days: u32 =
                    days.parse().map_err(|_| "Choose when the key expires from the list above.")?;
                now.plus(DAY * days)
            }
        };
        if end <= now { Err("Choose a day in the future.") } else { Ok(Some(end.to_string())) }
    }

    fn refill(self, form_id: String) -> CreateForm {
        CreateForm {
            form_id,
            name: Field::holding(self.name),
            environment: Field::holding(self.environment),
            expiry: self.expiry,
            expiry_date: Field::holding(self.expiry_date),
            problem: None,
        }
    }
}

/// `GET /settings/api-keys/new`: the form on a page of its own.
pub(super) async fn new(State(state): State<DashboardState>, who: SignedIn) -> Result<Response, Failure> {
    let known = state.control().key_overview(&who.context, &who.account).await?;
    let is_full = u32::try_from(known.active.len()).unwrap_or(u32::MAX) >= known.plan.active_keys;
    let suspended = who.account.status == AccountStatus::Suspended;
    if is_full || suspended || !known.plan.api_access {
        // The section says why there is no form.
        return Ok(see_other("/settings#api-keys"));
    }
    let form = CreateForm { form_id: new_form_id(&state), ..CreateForm::default() };
    Ok(draw_form(&state, &who, StatusCode::OK, &known.plan.name, form))
}

/// `POST /settings/api-keys`.
pub(super) async fn create(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(typed): PageForm<Typed>,
) -> Result<Response, Failure> {
    let created = match typed.expires_at(state.control().now()) {
        Ok(expires_at) => send(&state, &who, &typed, expires_at.as_deref()).await,
        Err(problem) => {
            Err(Error::Invalid(vec![InvalidField { field: "expires_at", detail: problem.to_owned() }]))
        }
    };
    match created {
        Ok(created) => show_created(&state, &who, created).await,
        Err(error) => show_refused(&state, &who, typed, error).await,
    }
}

async fn send(
    state: &DashboardState,
    who: &SignedIn,
    typed: &Typed,
    expires_at: Option<&str>,
) -> Result<Created<ApiKey>, Error> {
    let once = IdempotencyRequest { key: &typed.form_id, fingerprint: typed.fingerprint() };
    // A form without its number (not one of our pages) still makes a key, only without that protection.
    let once = (!typed.form_id.is_empty()).then_some(once);
    let (context, account) = (&who.context, who.account.id);
    after_first_sending(|| state.control().create_key(context, account, typed.label(), expires_at, once))
        .await
}

/// Makes a form's call, again and again while a first sending of the same form is under way.
pub(super) async fn after_first_sending<T, F>(mut call: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..FIRST_SENDING_CHECKS {
        match call().await {
            Err(Error::IdempotencyInProgress) => tokio::time::sleep(FIRST_SENDING_PAUSE).await,
            done => return done,
        }
    }
    Err(Error::IdempotencyInProgress)
}

async fn show_created(
    state: &DashboardState,
    who: &SignedIn,
    created: Created<ApiKey>,
) -> Result<Response, Failure> {
    let name = created.value.name.to_string();
    let extra = match created.secret {
        Some(secret) => {
            let secret = secret.reveal().to_owned();
            Extra { created: Some(Revealed { name, secret, old: None }), ..Extra::default() }
        }
        None => Extra {
            repeated: Some(RepeatedCreate { id: created.value.id.to_string(), name, is_rotation: false }),
            ..Extra::default()
        },
    };
    settings::draw(state, who, StatusCode::OK, extra).await
}

async fn show_refused(
    state: &DashboardState,
    who: &SignedIn,
    typed: Typed,
    error: Error,
) -> Result<Response, Failure> {
    let text = error.public_text();
    let refused = |status, title: &str| {
        let notice = Notice { tone: Tone::Caution, title: title.to_owned(), text: text.clone() };
        settings::draw(state, who, status, Extra { notice: Some(notice), ..Extra::default() })
    };
    let (status, form) = match error {
        Error::Invalid(fields) => (StatusCode::UNPROCESSABLE_ENTITY, with_problems(typed, &fields)),
        Error::KeyLimitReached { .. } => return refused(StatusCode::CONFLICT, "No key was created.").await,
        Error::PlanRequired | Error::AccountSuspended => {
            return refused(StatusCode::FORBIDDEN, "No key was created.").await;
        }
        Error::IdempotencyMismatch => {
            let problem = "This form made a key before. Press Create to make another with this name.";
            (
                StatusCode::CONFLICT,
                CreateForm { problem: Some(problem.to_owned()), ..typed.refill(new_form_id(state)) },
            )
        }
        Error::IdempotencyInProgress | Error::Unavailable(_) => {
            tracing::warn!(%error, "a key was not confirmed");
            let problem = "We could not confirm the new key. Press Create again: it makes at most one key.";
            let form_id = typed.form_id.clone();
            let form = CreateForm { problem: Some(problem.to_owned()), ..typed.refill(form_id) };
            (StatusCode::SERVICE_UNAVAILABLE, form)
        }
        other => return Err(other.into()),
    };
    Ok(draw_form(state, who, status, &plan_name(state, who).await, form))
}

fn with_problems(typed: Typed, fields: &[InvalidField]) -> CreateForm {
    let problem =
        |name: &str| fields.iter().find(|field| field.field == name).map(|field| field.detail.clone());
    let form_id = typed.form_id.clone();
    let mut form = typed.refill(form_id);
    form.name.problem = problem("name");
    form.environment.problem = problem("environment");
    form.expiry_date.problem = problem("expires_at");
    form
}

/// The environment as typed; an empty field says that there is none.
pub(super) fn environment_of(typed: &str) -> Option<&str> {
    Some(typed).filter(|text| !text.trim().is_empty())
}

/// The plan's name for the frame; its id when the name cannot be read now.
pub(super) async fn plan_name(state: &DashboardState, who: &SignedIn) -> String {
    let view = state.control().get_account(&who.context, who.account.id).await;
    view.map_or_else(|_| who.account.plan.to_string(), |view| view.plan.name)
}

fn draw_form(
    state: &DashboardState,
    who: &SignedIn,
    status: StatusCode,
    plan_name: &str,
    form: CreateForm,
) -> Response {
    let frame = frame(state, Place::Settings, &who.account, plan_name);
    answer::page(status, &CreateKeyPage { frame, form })
}

/// `GET /settings/api-keys/{id}/delete`: the question on a page of its own.
pub(super) async fn ask_delete(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    draw_question(&state, &who, key_id(&id)?, StatusCode::OK, None).await
}

/// `POST /settings/api-keys/{id}/delete`. Answers when no node accepts the key any more.
pub(super) async fn delete(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = key_id(&id)?;
    match state.control().revoke_key(&who.context, id).await {
        Ok(receipt) => {
            let mut answer = see_other(&format!("/settings?deleted={id}#api-keys"));
            told::put(answer.headers_mut(), state.is_https(), &id.to_string(), &receipt.confirmation);
            Ok(answer)
        }
        Err(Error::Unavailable(cause)) => {
            tracing::warn!(cause, "a deletion was not confirmed");
            let problem = "We could not confirm the deletion. The key may still work: delete it again.";
            draw_question(&state, &who, id, StatusCode::SERVICE_UNAVAILABLE, Some(problem)).await
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
    let now = state.control().now();
    if problem.is_none() && key.status(now) != KeyStatus::Active {
        return Ok(see_other("/settings#api-keys"));
    }
    let view = DeleteKeyPage {
        frame: frame(state, Place::Settings, &who.account, &plan_name(state, who).await),
        key: key_row(&key, now),
        problem: problem.map(ToOwned::to_owned),
    };
    Ok(answer::page(status, &view))
}

pub(super) fn key_id(text: &str) -> Result<KeyId, Failure> {
    text.parse().map_err(|_| Error::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T14:05:00.000Z";

    fn end(expiry: &str, date: &str) -> Result<Option<String>, &'static str> {
        let typed = Typed { expiry: expiry.to_owned(), expiry_date: date.to_owned(), ..Typed::default() };
        typed.expires_at(NOW.parse().unwrap())
    }

    #[test]
    fn a_key_does_not_expire_unless_its_maker_says_so() {
        assert_eq!(end("", ""), Ok(None));
        assert_eq!(end("never", "2027-01-01"), Ok(None));
    }

    #[test]
    fn the_last_day_counts_in_full() {
        assert_eq!(end("30", ""), Ok(Some("2026-12-23T14:05:00.000Z".to_owned())));
        assert_eq!(end("date", "2026-11-23"), Ok(Some("2026-11-24T00:00:00.000Z".to_owned())));
    }

    #[test]
    fn a_past_or_unreadable_day_is_refused() {
        for (expiry, date) in
            [("date", "2026-11-22"), ("date", ""), ("date", "soon"), ("x", ""), ("0", ""), ("-1", "")]
        {
            assert!(end(expiry, date).is_err(), "{expiry} {date}");
        }
    }
}
