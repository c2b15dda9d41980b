//! A page that cannot be shown, on its way to the page that says so.
//!
//! Deliberately absent: the page itself. `answer` draws it, because only there the request's id is known.

use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use rndrkit_control::Error;

use super::return_to;

/// How long a browser or a monitor should wait after "we do not know": about a database's fail-over.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

/// What an error page says: what happened, what it means, what to do now.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) paragraphs: Vec<String>,
    pub(super) actions: Vec<(String, String)>,
    pub(super) retry_after: Option<Duration>,
    /// Whether asking again may well succeed.
    may_pass: bool,
}

/// What was asked, as far as its failure page needs to know.
#[derive(Debug)]
pub(super) enum Asked {
    /// A page was opened, at this address. Nothing was to change.
    Page(String),
    /// A form was sent from the page at this address.
    Form(&'static str),
}

impl Asked {
    pub(super) fn by(request: &Request) -> Self {
        let path = request.uri().path();
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Self::Form(return_to::page_of_form(path));
        }
        let address = request.uri().path_and_query().map_or(path, |whole| whole.as_str());
        // Two slashes would lead to another site.
        Self::Page(if address.starts_with("//") { "/" } else { address }.to_owned())
    }
}

impl Failure {
    pub(super) fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Self {
            status,
            title: title.into(),
            paragraphs: Vec::new(),
            actions: Vec::new(),
            retry_after: None,
            may_pass: false,
        }
    }

    /// Adds a paragraph.
    pub(super) fn say(mut self, paragraph: impl Into<String>) -> Self {
        self.paragraphs.push(paragraph.into());
        self
    }

    /// Adds a way on.
    pub(super) fn lead(mut self, label: &str, address: &str) -> Self {
        self.actions.push((label.to_owned(), address.to_owned()));
        self
    }

    /// Adds when to ask again.
    pub(super) fn later(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// 500. The cause goes to the log only.
    pub(super) fn internal(cause: &str) -> Self {
        tracing::error!(cause, "a page failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side")
            .say("It has been written to the log. Try again in a moment.")
            .passing()
    }

    /// 503: we do not know, which is never a statement about anybody's keys.
    pub(super) fn unavailable(cause: &str) -> Self {
        tracing::warn!(cause, "a page is unavailable");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "We cannot answer right now")
            .later(UNAVAILABLE_RETRY)
            .passing()
    }

    /// Says that asking again may well succeed.
    pub(super) fn passing(mut self) -> Self {
        self.may_pass = true;
        self
    }

    /// Adds what depends on what was asked: after a form nobody knows what has happened; a page that was
    /// only opened has changed nothing.
    pub(super) fn seen_from(self, asked: &Asked) -> Self {
        if !self.may_pass {
            return self;
        }
        let is_unknown = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let failure = match asked {
            Asked::Page(address) if is_unknown => self
                .say("Nothing was changed, and your keys are safe. Try again in a moment.")
                .lead("Try again", address),
            Asked::Page(address) => self.lead("Try again", address),
            Asked::Form(page) if is_unknown => self
                .say(
                    "What you asked for may or may not have happened; your keys are safe either way. Look at the \
                     page again: sending the form once more is safe.",
                )
                .lead("Back to the page", page),
            Asked::Form(page) => self.lead("Back to the page", page),
        };
        failure.lead("Go to the overview", "/")
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
            | Error::SignedInByLink
            | Error::NoMail
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

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(method: Method, address: &str) -> Asked {
        Asked::by(&Request::builder().method(method).uri(address).body(Body::empty()).unwrap())
    }

    fn unavailable(method: Method, address: &str) -> (String, Vec<(String, String)>) {
        let failure = Failure::unavailable("the database is away").seen_from(&asked(method, address));
        (failure.paragraphs.concat(), failure.actions)
    }

    fn ways(first: (&str, &str)) -> Vec<(String, String)> {
        [first, ("Go to the overview", "/")].map(|(label, to)| (label.to_owned(), to.to_owned())).to_vec()
    }

    #[test]
    fn a_page_that_was_only_opened_can_be_opened_again_and_has_changed_nothing() {
        let (said, offered) = unavailable(Method::GET, "/settings?changed=plan");
        assert_eq!(offered, ways(("Try again", "/settings?changed=plan")));
        assert!(said.contains("Nothing was changed") && !said.contains("may or may not"), "{said}");
    }

    #[test]
    fn after_a_form_nobody_knows_what_happened() {
        let (said, offered) = unavailable(Method::POST, "/settings/api-keys");
        assert_eq!(offered, ways(("Back to the page", "/settings#api-keys")));
        assert!(said.contains("may or may not have happened"), "{said}");
    }

    #[test]
    fn trying_again_never_leads_to_another_site() {
        assert_eq!(unavailable(Method::GET, "//evil.example/").1, ways(("Try again", "/")));
    }

    #[test]
    fn what_will_not_pass_is_not_offered_again() {
        let refused = missing().seen_from(&asked(Method::GET, "/nowhere"));
        assert_eq!(refused.actions, [("Go to the overview".to_owned(), "/".to_owned())]);
    }
}
