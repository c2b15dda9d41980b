//! A page that cannot be shown, on its way to the page that says so.
//!
//! Deliberately absent: the page itself. `answer` draws it, because only there the request's id is known.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rndrkit_control::Error;

/// How long a browser or a monitor should wait after "we do not know": about a database's fail-over.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

/// What an error page says: what happened, what it means, what to do now.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) paragraphs: Vec<String>,
    pub(super) action: Option<(String, String)>,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Self { status, title: title.into(), paragraphs: Vec::new(), action: None, retry_after: None }
    }

    /// Adds a paragraph.
    pub(super) fn say(mut self, paragraph: impl Into<String>) -> Self {
        self.paragraphs.push(paragraph.into());
        self
    }

    /// Adds the way on.
    pub(super) fn lead(mut self, label: &str, address: &str) -> Self {
        self.action = Some((label.to_owned(), address.to_owned()));
        self
    }

    fn later(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// 500. The cause goes to the log only.
    pub(super) fn internal(cause: &str) -> Self {
        tracing::error!(cause, "a page failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side")
            .say("It has been written to the log. Try again in a moment.")
            .lead("Go to the overview", "/")
    }

    /// 503: we do not know, which is never a statement about anybody's keys.
    pub(super) fn unavailable(cause: &str) -> Self {
        tracing::warn!(cause, "a page is unavailable");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "We cannot answer right now")
            .say("What you asked for may or may not have happened; your keys are safe either way. Trying again is safe.")
            .lead("Go to the overview", "/")
            .later(UNAVAILABLE_RETRY)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.public_text();
        match error {
            Error::NotFound => missing(),
            Error::Unavailable(cause) => Self::unavailable(&cause),
            Error::TooManyAttempts { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts").say(text).later(retry_after)
            }
            Error::AccountSuspended
            | Error::PlanRequired
            | Error::PlanChangeNotYours
            | Error::SignUpClosed => Self::new(StatusCode::FORBIDDEN, "This is not possible")
                .say(text)
                .lead("Go to the overview", "/"),
            Error::LinkInvalid => dead_link(),
            Error::Internal(cause) => Self::internal(&cause),
            other => Self::internal(&other.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A link that was used, replaced, or has expired.
pub(super) fn dead_link() -> Failure {
    Failure::new(StatusCode::GONE, "This link no longer works")
        .say("It was used already, it has expired, or a newer one replaced it.")
        .say("Ask whoever sent it for a new one.")
        .lead("Sign in", "/sign-in")
}

/// No such page.
pub(super) async fn not_found() -> Failure {
    missing()
}

fn missing() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "There is no such page")
        .say("The address may be mistyped, or what it showed is gone.")
        .lead("Go to the overview", "/")
}

/// The page exists, the method does not; the router adds `Allow`.
pub(super) async fn method_not_allowed() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "This page cannot be asked that way")
        .say("Use the dashboard's own links and buttons.")
        .lead("Go to the overview", "/")
}
