//! Signing up (first account, open sign-up, invitation) and setting a new password through a link.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Error, InvalidField, LinkView, SignUpInput, SignUpPolicy};
use rndrkit_domain::link::LinkKind;
use serde::Deserialize;

use super::answer;
use super::failure::{self, Failure};
use super::form::{PageForm, PageQuery};
use super::sign_in::{end_previous, open, wait};
use super::state::DashboardState;
use super::view::Field;
use super::view::gate::{ExplainPage, ResetPage, SignUpKind, SignUpPage};
use super::visitor::Visitor;

/// How one got here.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Arrival {
    link: String,
}

/// The form as typed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Typed {
    link: String,
    email: String,
    name: String,
    password: String,
}

/// `GET /sign-up`, with or without a link.
pub(super) async fn show(
    State(state): State<DashboardState>,
    PageQuery(arrival): PageQuery<Arrival>,
) -> Result<Response, Failure> {
    let link = look_up(&state, &arrival.link).await?;
    let kind = match (&link, state.control().settings().sign_up) {
        (Some(view), _) if view.kind == LinkKind::FirstAccount => SignUpKind::FirstAccount,
        (Some(view), SignUpPolicy::Open | SignUpPolicy::Invite) if view.kind == LinkKind::Invite => {
            SignUpKind::Invite
        }
        (None, SignUpPolicy::Open) => SignUpKind::Open,
        (_, policy) => return Ok(explain(&state, policy)),
    };
    let email = link.as_ref().and_then(|view| view.email.as_ref());
    let mut view = page(&state, kind, arrival.link);
    view.email = Field::holding(email.map(ToString::to_string).unwrap_or_default());
    view.account_name = link.and_then(|view| view.account_name).map(|name| name.to_string());
    Ok(answer::page(StatusCode::OK, &view))
}

/// `POST /sign-up`.
pub(super) async fn join(
    State(state): State<DashboardState>,
    visitor: Visitor,
    PageForm(typed): PageForm<Typed>,
) -> Result<Response, Failure> {
    let link = (!typed.link.is_empty()).then_some(typed.link.as_str());
    let name = Some(typed.name.trim()).filter(|name| !name.is_empty());
    let input = SignUpInput { link, email: &typed.email, name, password: &typed.password };
    let error = match state.control().sign_up(input, &visitor.origin).await {
        Ok(session) => {
            end_previous(&state, visitor).await;
            return Ok(open(&state, &session, session.return_to.as_deref()));
        }
        Err(error) => error,
    };
    let (status, fields) = match &error {
        Error::Invalid(fields) => (StatusCode::UNPROCESSABLE_ENTITY, fields.clone()),
        Error::EmailTaken => {
            (StatusCode::CONFLICT, vec![InvalidField { field: "email", detail: email_taken() }])
        }
        Error::TooManyAttempts { .. } => (StatusCode::TOO_MANY_REQUESTS, Vec::new()),
        Error::SignUpClosed => return Ok(explain(&state, state.control().settings().sign_up)),
        _ => return Err(error.into()),
    };
    let found = look_up(&state, &typed.link).await?;
    let mut view = page(&state, kind_of(found.as_ref()), typed.link);
    view.account_name = found.and_then(|view| view.account_name).map(|name| name.to_string());
    view.email = Field { value: typed.email, problem: problem(&fields, "email") };
    view.name = Field { value: typed.name, problem: problem(&fields, "name") };
    view.password_problem = problem(&fields, "password");
    view.problem = fields.is_empty().then(|| error.public_text());
    let mut response = answer::page(status, &view);
    wait(&mut response, &error);
    Ok(response)
}

/// `GET /reset?link=…`.
pub(super) async fn show_reset(
    State(state): State<DashboardState>,
    PageQuery(arrival): PageQuery<Arrival>,
) -> Result<Response, Failure> {
    draw_reset(&state, StatusCode::OK, arrival.link, None).await
}

/// `POST /reset`.
pub(super) async fn reset(
    State(state): State<DashboardState>,
    visitor: Visitor,
    PageForm(typed): PageForm<Typed>,
) -> Result<Response, Failure> {
    match state.control().reset_password(&typed.link, &typed.password, &visitor.origin).await {
        Ok(session) => {
            end_previous(&state, visitor).await;
            Ok(open(&state, &session, session.return_to.as_deref()))
        }
        Err(Error::Invalid(fields)) => {
            let problem = problem(&fields, "password");
            draw_reset(&state, StatusCode::UNPROCESSABLE_ENTITY, typed.link, problem).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn draw_reset(
    state: &DashboardState,
    status: StatusCode,
    link: String,
    password_problem: Option<String>,
) -> Result<Response, Failure> {
    let found = look_up(state, &link).await?.filter(|view| view.kind == LinkKind::PasswordReset);
    let found = found.ok_or_else(failure::dead_link)?;
    let view = ResetPage {
        gate: state.gate(),
        link,
        email: found.email.map(|email| email.to_string()),
        password_problem,
        password_min_length: state.control().settings().password_min_length,
    };
    Ok(answer::page(status, &view))
}

/// The link, if one was given. One that is not good is a dead link whatever it once was for.
async fn look_up(state: &DashboardState, link: &str) -> Result<Option<LinkView>, Failure> {
    if link.is_empty() {
        return Ok(None);
    }
    state.control().look_up_link(link).await?.map(Some).ok_or_else(failure::dead_link)
}

fn kind_of(link: Option<&LinkView>) -> SignUpKind {
    match link.map(|view| view.kind) {
        Some(LinkKind::FirstAccount) => SignUpKind::FirstAccount,
        Some(_) => SignUpKind::Invite,
        None => SignUpKind::Open,
    }
}

fn page(state: &DashboardState, kind: SignUpKind, link: String) -> SignUpPage {
    SignUpPage {
        gate: state.gate(),
        kind,
        link: (!link.is_empty()).then_some(link),
        account_name: None,
        email: Field::default(),
        name: Field::default(),
        password_problem: None,
        password_min_length: state.control().settings().password_min_length,
        problem: None,
    }
}

/// Why there is no form.
fn explain(state: &DashboardState, policy: SignUpPolicy) -> Response {
    let brand = state.brand();
    let (title, text) = match policy {
        SignUpPolicy::Closed => (
            "Sign-up is closed",
            format!("{brand} takes no new people at the moment. If you have an account, sign in."),
        ),
        SignUpPolicy::Invite | SignUpPolicy::Open => (
            "Sign-up is by invitation",
            format!("Whoever runs {brand} can send you a link that lets you join."),
        ),
    };
    let view = ExplainPage {
        gate: state.gate(),
        title: title.to_owned(),
        paragraphs: vec![text],
        action: Some(("Sign in".to_owned(), "/sign-in".to_owned())),
    };
    answer::page(StatusCode::FORBIDDEN, &view)
}

fn problem(fields: &[InvalidField], name: &str) -> Option<String> {
    fields.iter().find(|field| field.field == name).map(|field| field.detail.clone())
}

fn email_taken() -> String {
    "This address already has an account. Sign in instead.".to_owned()
}
