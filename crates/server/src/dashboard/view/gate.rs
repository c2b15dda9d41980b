//! Pages before signing in: signing in and up, setting a password, and links.

use askama::Template;

use super::Field;
use super::frame::Gate;

/// `/sign-in`.
#[derive(Debug, Clone, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    /// Frame.
    pub gate: Gate,
    /// The address.
    pub email: Field,
    /// Why it did not work; the same for an unknown address and a wrong password.
    pub problem: Option<String>,
    /// Something that happened before, such as a session that ended.
    pub notice: Option<String>,
    /// Where to go afterwards.
    pub return_to: Option<String>,
    /// Whether anybody may sign up.
    pub sign_up_open: bool,
}

/// What a form with a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpKind {
    /// The first account of the installation.
    FirstAccount,
    /// Open to anybody.
    Open,
    /// An invitation to an existing account.
    Invite,
}

impl SignUpKind {
    /// For templates, which compare words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstAccount => "first",
            Self::Open => "open",
            Self::Invite => "invite",
        }
    }
}

/// `/sign-up`, with a form.
#[derive(Debug, Clone, Template)]
#[template(path = "sign_up.html")]
pub struct SignUpPage {
    /// Frame.
    pub gate: Gate,
    /// What it is for.
    pub kind: SignUpKind,
    /// The link that allows it.
    pub link: Option<String>,
    /// The account that an invitation leads to.
    pub account_name: Option<String>,
    /// The address.
    pub email: Field,
    /// The account's name.
    pub name: Field,
    /// What is wrong with the password.
    pub password_problem: Option<String>,
    /// The least characters of a password.
    pub password_min_length: usize,
    /// What is wrong with the form as a whole.
    pub problem: Option<String>,
}

/// `/reset`: a new password.
#[derive(Debug, Clone, Template)]
#[template(path = "reset.html")]
pub struct ResetPage {
    /// Frame.
    pub gate: Gate,
    /// The link that allows it.
    pub link: String,
    /// Whose password.
    pub email: Option<String>,
    /// What is wrong with the password.
    pub password_problem: Option<String>,
    /// The least characters of a password.
    pub password_min_length: usize,
}

/// `/sign-in?link=…`: one button.
#[derive(Debug, Clone, Template)]
#[template(path = "link.html")]
pub struct LinkPage {
    /// Frame.
    pub gate: Gate,
    /// The link.
    pub link: String,
    /// The account that it opens.
    pub account_name: Option<String>,
}

/// `/confirm-email?link=…`: one button.
#[derive(Debug, Clone, Template)]
#[template(path = "confirm_email.html")]
pub struct ConfirmEmailPage {
    /// Frame.
    pub gate: Gate,
    /// The link.
    pub link: String,
    /// The new address.
    pub email: String,
}

/// A page that explains why there is no form: sign-up by invitation, sign-up closed, a dead link.
#[derive(Debug, Clone, Template)]
#[template(path = "explain.html")]
pub struct ExplainPage {
    /// Frame.
    pub gate: Gate,
    /// What is the case.
    pub title: String,
    /// What it means, and what to do; one paragraph each.
    pub paragraphs: Vec<String>,
    /// A way on: label and address.
    pub action: Option<(String, String)>,
}
