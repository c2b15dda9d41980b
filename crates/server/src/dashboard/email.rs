//! Changing the address that one signs in with: the form in the settings, and the page that the mailed link opens.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Error, Principal};
use rndrkit_domain::account::User;
use serde::Deserialize;

use super::account::{AccountExtra, Done, problem, problems, redraw, signed_out_meanwhile};
use super::answer;
use super::failure::{self, Failure};
use super::form::{PageForm, PageQuery};
use super::sign_in::wait;
use super::state::DashboardState;
use super::view::Field;
use super::view::account::AddressForm;
use super::view::gate::{ConfirmEmailPage, ExplainPage};
use super::visitor::{SignedIn, Visitor};

/// The form *Change e-mail* as sent.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct NewAddress {
    email: String,
    current_password: String,
}

/// The link, in the address of the page and in its form.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Link {
    link: String,
}

/// `POST /settings/email`. An address that somebody else has answers the same as any other.
pub(super) async fn ask(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(typed): PageForm<NewAddress>,
) -> Result<Response, Failure> {
    let NewAddress { email, current_password } = typed;
    let error = match state.control().ask_email_change(&who.context, &current_password, &email).await {
        Ok(()) => return Ok(Done::EmailAsked.leads_back(&state)),
        Err(Error::NotFound) => return Ok(signed_out_meanwhile()),
        Err(error) => error,
    };
    let Some((status, fields)) = problems(&error) else { return Err(error.into()) };
    let address = AddressForm {
        email: Field { value: email, problem: problem(&fields, "email") },
        current_problem: problem(&fields, "current_password"),
    };
    let extra = AccountExtra { address, ..AccountExtra::default() };
    let mut answer = redraw(&state, &who, status, extra).await?;
    wait(&mut answer, &error);
    Ok(answer)
}

/// `POST /settings/email/cancel`.
pub(super) async fn cancel(State(state): State<DashboardState>, who: SignedIn) -> Result<Response, Failure> {
    state.control().cancel_email_change(&who.context).await?;
    Ok(Done::EmailCancelled.leads_back(&state))
}

/// `GET /confirm-email?link=…`. Opening it changes nothing: programs that look through mail open links, too.
pub(super) async fn show(
    State(state): State<DashboardState>,
    PageQuery(Link { link }): PageQuery<Link>,
) -> Result<Response, Failure> {
    let waiting = state.control().look_up_email_change(&link).await?.ok_or_else(failure::dead_link)?;
    let page = ConfirmEmailPage { gate: state.gate(), link, email: waiting.email.to_string() };
    Ok(answer::page(StatusCode::OK, &page))
}

/// `POST /confirm-email`: this uses the link up.
pub(super) async fn confirm(
    State(state): State<DashboardState>,
    visitor: Visitor,
    PageForm(Link { link }): PageForm<Link>,
) -> Result<Response, Failure> {
    match state.control().confirm_email_change(&link, &visitor.origin).await {
        Ok(user) if is_signed_in_as(&visitor, &user) => Ok(Done::Email.leads_back(&state)),
        Ok(user) => Ok(explain_changed(&state, &user)),
        Err(Error::EmailTaken) => Err(Failure::new(StatusCode::CONFLICT, "This address is in use by now")
            .say("Somebody else began to use it after the link was sent. Your own address was not changed.")
            .lead("Go to the settings", "/settings#account")),
        Err(error) => Err(error.into()),
    }
}

fn is_signed_in_as(visitor: &Visitor, user: &User) -> bool {
    visitor.session.as_ref().is_some_and(|session| match &session.principal {
        Principal::User { user: Some(signed_in), .. } => signed_in.id == user.id,
        _ => false,
    })
}

fn explain_changed(state: &DashboardState, user: &User) -> Response {
    let view = ExplainPage {
        gate: state.gate(),
        title: "Your e-mail address was changed".to_owned(),
        paragraphs: vec![format!("From now on {} is what you sign in with.", user.email)],
        action: Some(("Sign in".to_owned(), "/sign-in".to_owned())),
    };
    answer::page(StatusCode::OK, &view)
}
