//! The section *Account*: changing the password, and the browsers that are signed in.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use rndrkit_control::{EndedSession, Error, InvalidField, SignedInBrowser};
use rndrkit_domain::time::Timestamp;
use serde::Deserialize;

use super::answer::see_other;
use super::failure::Failure;
use super::form::PageForm;
use super::settings::{self, Extra};
use super::sign_in::wait;
use super::state::DashboardState;
use super::view::account::{
    AccountSection, AddressForm, BrowserList, BrowserRow, PasswordForm, WaitingAddress,
};
use super::view::browser_words::browser;
use super::view::frame::{Notice, Tone};
use super::view::words;
use super::visitor::SignedIn;
use super::{cookie, told};

const SECTION: &str = "/settings#account";

/// What a form of this section has done, as the next page is told.
#[derive(Clone, Copy)]
pub(super) enum Done {
    Password,
    EmailAsked,
    EmailCancelled,
    Email,
    Session,
    Sessions,
}

impl Done {
    const ALL: [Self; 6] =
        [Self::Password, Self::EmailAsked, Self::EmailCancelled, Self::Email, Self::Session, Self::Sessions];

    const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::EmailAsked => "email-asked",
            Self::EmailCancelled => "email-cancelled",
            Self::Email => "email",
            Self::Session => "session",
            Self::Sessions => "sessions",
        }
    }

    fn notice(self) -> Notice {
        let (title, text) = match self {
            Self::Password => (
                "Your password was changed.",
                "Every other browser of yours is signed out, and links to set a password are void.",
            ),
            Self::EmailAsked => (
                "Look into the new mailbox.",
                "A mail is on its way there. Until its link is confirmed, you sign in as before.",
            ),
            Self::EmailCancelled => ("The change was cancelled.", "You sign in as before."),
            Self::Email => ("Your e-mail address was changed.", "You sign in with the new one from now on."),
            Self::Session => ("That browser was signed out.", "It has to sign in again."),
            Self::Sessions => {
                ("You are signed out everywhere else.", "Only this browser is still signed in.")
            }
        };
        Notice { tone: Tone::Good, title: title.to_owned(), text: text.to_owned() }
    }

    /// Back to the section, which says so.
    pub(super) fn leads_back(self, state: &DashboardState) -> Response {
        let mut answer = see_other(&format!("/settings?changed={}#account", self.word()));
        told::note(answer.headers_mut(), state.is_https(), self.word());
        answer
    }
}

/// What an answer shows in this section beside the state of things.
#[derive(Default)]
pub(super) struct AccountExtra {
    pub(super) notice: Option<Notice>,
    pub(super) password: PasswordForm,
    pub(super) address: AddressForm,
}

impl AccountExtra {
    /// What the form before this page has done.
    pub(super) fn told(headers: &HeaderMap, is_https: bool, changed: &str) -> Self {
        let done = Done::ALL.into_iter().find(|done| done.word() == changed);
        let done = done.filter(|done| told::noted(headers, is_https, done.word()));
        Self { notice: done.map(Done::notice), ..Self::default() }
    }
}

/// The form *Change password* as sent.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Passwords {
    current_password: String,
    new_password: String,
}

/// The button *Sign out* of a row.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Which {
    session: String,
}

/// The buttons below the rows.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct HowFar {
    /// `yes` for *Sign out everywhere*.
    this_too: String,
}

/// The address of a form, opened as a page.
pub(super) async fn to_section() -> Response {
    see_other(SECTION)
}

/// The section as it is now.
pub(super) async fn section(state: &DashboardState, who: &SignedIn, extra: AccountExtra) -> AccountSection {
    let browsers = match state.control().signed_in_browsers(&who.context).await {
        Ok(browsers) => {
            let now = state.control().now();
            BrowserList::Known(browsers.into_iter().map(|browser| row(browser, now)).collect())
        }
        Err(error) => {
            tracing::warn!(%error, "signed-in browsers cannot be listed");
            BrowserList::Unavailable
        }
    };
    AccountSection {
        name: who.account.name.to_string(),
        email: who.account.email.to_string(),
        signed_in_as: who.email(),
        id: who.account.id.to_string(),
        notices: extra.notice.into_iter().collect(),
        address: extra.address,
        waiting: waiting_address(state, who).await,
        sends_mail: state.control().settings().sends_mail,
        password: extra.password,
        password_min_length: state.control().settings().password_min_length,
        browsers,
    }
}

/// The address that waits. When that cannot be read the rest is shown: its mail says the same.
async fn waiting_address(state: &DashboardState, who: &SignedIn) -> Option<WaitingAddress> {
    let waiting = state.control().waiting_email_change(&who.context).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "a change of address cannot be shown");
        None
    })?;
    Some(WaitingAddress { email: waiting.email.to_string(), until: words::clock(waiting.expires_at) })
}

fn row(session: SignedInBrowser, now: Timestamp) -> BrowserRow {
    BrowserRow {
        handle: session.handle,
        name: browser(session.user_agent.as_deref().unwrap_or_default()),
        this: session.this,
        by_link: session.by_link,
        address: session.ip,
        signed_in: words::past(now, session.created_at),
        last_active: words::past(now, session.last_seen_at),
    }
}

/// `POST /settings/password`.
pub(super) async fn change_password(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(typed): PageForm<Passwords>,
) -> Result<Response, Failure> {
    let Passwords { current_password, new_password } = typed;
    match state.control().change_password(&who.context, &current_password, &new_password).await {
        Ok(session) => {
            let mut answer = Done::Password.leads_back(&state);
            let lifetime = session.expires_at.since(state.control().now());
            cookie::set(answer.headers_mut(), state.is_https(), &session.token, lifetime);
            Ok(answer)
        }
        Err(Error::Unavailable(cause)) => {
            tracing::warn!(cause, "a change of password was not confirmed");
            Err(unconfirmed_password())
        }
        Err(Error::NotFound) => Ok(signed_out_meanwhile()),
        Err(error) => {
            let Some((status, fields)) = problems(&error) else { return Err(error.into()) };
            let password = PasswordForm {
                current_problem: problem(&fields, "current_password"),
                new_problem: problem(&fields, "new_password"),
            };
            let extra = AccountExtra { password, ..AccountExtra::default() };
            let mut answer = redraw(&state, &who, status, extra).await?;
            wait(&mut answer, &error);
            Ok(answer)
        }
    }
}

/// This browser was signed out from elsewhere in this moment.
pub(super) fn signed_out_meanwhile() -> Response {
    see_other("/sign-in?ended=1&return_to=/settings%23account")
}

fn unconfirmed_password() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "We could not confirm your new password")
        .say(
            "Your password may have changed, or may still be the old one. Try signing in with the new one first. If \
             that is refused, the old one still holds: sign in with it and change it again.",
        )
        .lead("Sign in", "/sign-in")
        .lead("Back to the settings", SECTION)
}

/// What to correct in a form, with the status of the answer; none for an error that the form cannot show. That there
/// were too many attempts is said beside the field that may not be guessed.
pub(super) fn problems(error: &Error) -> Option<(StatusCode, Vec<InvalidField>)> {
    match error {
        Error::Invalid(fields) => Some((StatusCode::UNPROCESSABLE_ENTITY, fields.clone())),
        Error::TooManyAttempts { .. } => {
            let fields = vec![InvalidField { field: "current_password", detail: error.public_text() }];
            Some((StatusCode::TOO_MANY_REQUESTS, fields))
        }
        _ => None,
    }
}

pub(super) fn problem(fields: &[InvalidField], name: &str) -> Option<String> {
    fields.iter().find(|field| field.field == name).map(|field| field.detail.clone())
}

pub(super) async fn redraw(
    state: &DashboardState,
    who: &SignedIn,
    status: StatusCode,
    account: AccountExtra,
) -> Result<Response, Failure> {
    settings::draw(state, who, status, Extra { account, ..Extra::default() }).await
}

/// `POST /settings/sessions/end`.
pub(super) async fn end_session(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(which): PageForm<Which>,
) -> Result<Response, Failure> {
    match state.control().end_session(&who.context, &which.session).await {
        Ok(EndedSession::Another) => Ok(Done::Session.leads_back(&state)),
        Ok(EndedSession::This) => Ok(signed_out(&state)),
        Err(Error::NotFound) => {
            let notice = Notice {
                tone: Tone::Caution,
                title: "That browser is not signed in any more.".to_owned(),
                text: "Nothing was changed. These are the browsers that are.".to_owned(),
            };
            let extra = AccountExtra { notice: Some(notice), ..AccountExtra::default() };
            redraw(&state, &who, StatusCode::NOT_FOUND, extra).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/sessions/end-others`.
pub(super) async fn end_others(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(how_far): PageForm<HowFar>,
) -> Result<Response, Failure> {
    let this_too = how_far.this_too == "yes";
    match state.control().end_sessions(&who.context, this_too).await {
        Ok(_) if this_too => Ok(signed_out(&state)),
        Ok(_) => Ok(Done::Sessions.leads_back(&state)),
        // Another browser was faster, and this one is out.
        Err(Error::NotFound) => Ok(signed_out(&state)),
        Err(error) => Err(error.into()),
    }
}

fn signed_out(state: &DashboardState) -> Response {
    let mut answer = see_other("/sign-in");
    cookie::clear(answer.headers_mut(), state.is_https());
    answer
}
