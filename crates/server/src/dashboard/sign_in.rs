//! Signing in by password or by an operator's link, and signing out.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use rndrkit_control::{Context, Error, OpenedSession};
use rndrkit_domain::link::LinkKind;
use serde::Deserialize;

use super::answer::{self, see_other};
use super::failure::{self, Failure};
use super::form::{PageForm, PageQuery};
use super::state::DashboardState;
use super::view::Field;
use super::view::gate::{LinkPage, SignInPage};
use super::visitor::Visitor;
use super::{cookie, return_to};

/// How one got here.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Arrival {
    link: String,
    return_to: String,
    ended: String,
}

/// The form *Sign in* as sent.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Credentials {
    email: String,
    password: String,
    return_to: String,
}

/// The button of a link's page.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LinkForm {
    link: String,
}

/// `GET /sign-in`, with or without a link.
pub(super) async fn show(
    State(state): State<DashboardState>,
    visitor: Visitor,
    PageQuery(arrival): PageQuery<Arrival>,
) -> Result<Response, Failure> {
    if !arrival.link.is_empty() {
        return show_link(&state, arrival.link).await;
    }
    let back = return_to::checked(&arrival.return_to);
    if visitor.session.is_some() {
        return Ok(see_other(back.as_deref().unwrap_or("/")));
    }
    let ended = "Your session has ended, so nothing was changed. Sign in to go on.";
    let notice = (!arrival.ended.is_empty()).then(|| ended.to_owned());
    Ok(draw(&state, StatusCode::OK, "", back, notice, None))
}

/// The address of a form, opened as a page.
pub(super) async fn to_form() -> Response {
    see_other("/sign-in")
}

async fn show_link(state: &DashboardState, link: String) -> Result<Response, Failure> {
    let view = state.control().look_up_link(&link).await?;
    let view = view.filter(|view| view.kind == LinkKind::SignIn).ok_or_else(failure::dead_link)?;
    let page =
        LinkPage { gate: state.gate(), link, account_name: view.account_name.map(|name| name.to_string()) };
    Ok(answer::page(StatusCode::OK, &page))
}

/// `POST /sign-in`. Unknown addresses and wrong passwords read the same.
pub(super) async fn by_password(
    State(state): State<DashboardState>,
    visitor: Visitor,
    PageForm(typed): PageForm<Credentials>,
) -> Result<Response, Failure> {
    let back = return_to::checked(&typed.return_to);
    match state.control().sign_in(&typed.email, &typed.password, &visitor.origin).await {
        Ok(session) => {
            end_previous(&state, visitor).await;
            Ok(open(&state, &session, back.as_deref()))
        }
        Err(error @ (Error::SignInRefused | Error::TooManyAttempts { .. })) => {
            let status = match error {
                Error::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let mut page = draw(&state, status, &typed.email, back, None, Some(error.public_text()));
            wait(&mut page, &error);
            Ok(page)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /sign-in/link`: this, and not opening the page, uses the link up.
pub(super) async fn by_link(
    State(state): State<DashboardState>,
    visitor: Visitor,
    PageForm(typed): PageForm<LinkForm>,
) -> Result<Response, Failure> {
    let session = state.control().sign_in_by_link(&typed.link, &visitor.origin).await?;
    end_previous(&state, visitor).await;
    Ok(open(&state, &session, session.return_to.as_deref()))
}

/// `POST /sign-out`. Without a session there is nothing to end, and the cookie goes either way.
pub(super) async fn out(State(state): State<DashboardState>, visitor: Visitor) -> Result<Response, Failure> {
    if let Some(session) = visitor.session {
        let context = Context { principal: session.principal, origin: visitor.origin };
        state.control().sign_out(&context).await?;
    }
    let mut response = see_other("/sign-in");
    cookie::clear(response.headers_mut(), state.is_https());
    Ok(response)
}

/// Ends the session that the browser brought along: its cookie is about to be replaced, and nobody could sign
/// out of it any more.
pub(super) async fn end_previous(state: &DashboardState, visitor: Visitor) {
    let Some(session) = visitor.session else { return };
    let context = Context { principal: session.principal, origin: visitor.origin };
    if let Err(error) = state.control().sign_out(&context).await {
        tracing::warn!(%error, "the session before this one was not ended");
    }
}

/// Begins a session and sends its owner on.
pub(super) fn open(state: &DashboardState, session: &OpenedSession, page: Option<&str>) -> Response {
    let mut response = see_other(page.unwrap_or("/"));
    let lifetime = session.expires_at.since(state.control().now());
    cookie::set(response.headers_mut(), state.is_https(), &session.token, lifetime);
    response
}

/// Says in a header, too, when the next attempt is looked at.
pub(super) fn wait(response: &mut Response, error: &Error) {
    if let Error::TooManyAttempts { retry_after } = error {
        let seconds = u64::try_from(retry_after.as_millis().div_ceil(1000).max(1)).unwrap_or(1);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn draw(
    state: &DashboardState,
    status: StatusCode,
    email: &str,
    return_to: Option<String>,
    notice: Option<String>,
    problem: Option<String>,
) -> Response {
    let view = SignInPage {
        gate: state.gate(),
        email: Field::holding(email),
        problem,
        notice,
        return_to,
        sign_up_open: state.control().sign_up_open_to_strangers(),
    };
    answer::page(status, &view).into_response()
}
