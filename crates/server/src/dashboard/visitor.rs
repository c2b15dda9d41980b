//! Who is looking at a page: somebody signed in, or somebody who is sent to sign in first.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::request::Parts;
use rndrkit_control::{Context, Principal, SessionView};
use rndrkit_domain::account::Account;
use rndrkit_domain::audit::Origin;

use super::answer::see_other;
use super::failure::Failure;
use super::state::DashboardState;
use super::{cookie, return_to};
use crate::http::context::origin;

/// Somebody signed in.
pub(super) struct SignedIn {
    /// Who asks, and from where.
    pub(super) context: Context,
    /// Their account.
    pub(super) account: Account,
}

impl SignedIn {
    /// With what this person signed in; none when an operator's link opened the dashboard.
    pub(super) fn email(&self) -> Option<String> {
        match &self.context.principal {
            Principal::User { user: Some(user), .. } => Some(user.email.to_string()),
            _ => None,
        }
    }
}

impl FromRequestParts<DashboardState> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &DashboardState) -> Result<Self, Response> {
        match session(parts, state).await.map_err(IntoResponse::into_response)? {
            Some(SessionView { principal, account }) => {
                let origin = origin(&parts.headers, &parts.extensions);
                Ok(Self { context: Context { principal, origin }, account })
            }
            None => Err(sign_in_first(parts)),
        }
    }
}

/// Whoever looks, signed in or not.
pub(super) struct Visitor {
    /// From where.
    pub(super) origin: Origin,
    /// Their session, if they have one.
    pub(super) session: Option<SessionView>,
}

impl FromRequestParts<DashboardState> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &DashboardState) -> Result<Self, Response> {
        let session = session(parts, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self { origin: origin(&parts.headers, &parts.extensions), session })
    }
}

async fn session(parts: &Parts, state: &DashboardState) -> Result<Option<SessionView>, Failure> {
    match cookie::read(&parts.headers, state.is_https()) {
        Some(value) => Ok(state.control().session(value).await?),
        None => Ok(None),
    }
}

/// To the sign-in page, and afterwards back. A form is not repeated: the page says that nothing changed.
fn sign_in_first(parts: &Parts) -> Response {
    let path = parts.uri.path();
    if matches!(parts.method, Method::GET | Method::HEAD) {
        match return_to::checked(path) {
            Some(page) if page != "/" => {
                see_other(&format!("/sign-in?return_to={}", return_to::encoded(&page)))
            }
            _ => see_other("/sign-in"),
        }
    } else {
        let page = return_to::encoded(return_to::page_of_form(path));
        see_other(&format!("/sign-in?ended=1&return_to={page}"))
    }
}
