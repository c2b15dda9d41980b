//! Pages before signing in, and those of errors, for the gallery.

use rndrkit_server::dashboard::view::Field;
use rndrkit_server::dashboard::view::errors::ErrorPage;
use rndrkit_server::dashboard::view::gate::{
    ConfirmEmailPage, ExplainPage, LinkPage, ResetPage, SignInPage, SignUpKind, SignUpPage,
};

use super::{draw, gate};

fn sign_in(notice: Option<&str>, problem: Option<&str>, open: bool) -> String {
    draw(&SignInPage {
        gate: gate(),
        email: Field::holding(if problem.is_some() { "ada@northwind.example" } else { "" }),
        problem: problem.map(ToOwned::to_owned),
        notice: notice.map(ToOwned::to_owned),
        return_to: notice.map(|_| "/settings".to_owned()),
        sign_up_open: open,
    })
}

fn sign_up(kind: SignUpKind, faulty: bool) -> String {
    let problem = |text: &str| faulty.then(|| text.to_owned());
    draw(&SignUpPage {
        gate: gate(),
        kind,
        link: Some("link".to_owned()),
        account_name: Some("Northwind Studio".to_owned()),
        email: Field {
            value: if kind == SignUpKind::Invite { "ada@northwind.example" } else { "" }.to_owned(),
            problem: problem("Enter an e-mail address, such as you@example.com."),
        },
        name: Field::default(),
        password_problem: problem("Use 15 characters or more."),
        password_min_length: 15,
        problem: None,
    })
}

fn explain(title: &str, paragraphs: &[&str], action: Option<(&str, &str)>) -> String {
    draw(&ExplainPage {
        gate: gate(),
        title: title.to_owned(),
        paragraphs: paragraphs.iter().map(|text| (*text).to_owned()).collect(),
        action: action.map(|(label, address)| (label.to_owned(), address.to_owned())),
    })
}

/// Every page before signing in.
pub fn all() -> Vec<(&'static str, String)> {
    let dead = [
        "It was used already, it has expired, or a newer one replaced it.",
        "Ask whoever sent it for a new one.",
    ];
    vec![
        ("sign-in", sign_in(None, None, true)),
        ("sign-in-refused", sign_in(None, Some("The e-mail address or the password is not right."), false)),
        (
            "sign-in-ended",
            sign_in(Some("Your session has ended. Nothing was changed. Sign in to go on."), None, false),
        ),
        ("sign-up-first", sign_up(SignUpKind::FirstAccount, false)),
        ("sign-up-open", sign_up(SignUpKind::Open, true)),
        ("sign-up-invite", sign_up(SignUpKind::Invite, false)),
        (
            "sign-up-by-invitation",
            explain(
                "Sign-up is by invitation",
                &["Ask whoever runs RndrKit for an invitation."],
                Some(("Sign in", "/sign-in")),
            ),
        ),
        ("link-dead", explain("This link no longer works", &dead, Some(("Sign in", "/sign-in")))),
        (
            "reset",
            draw(&ResetPage {
                gate: gate(),
                link: "link".to_owned(),
                email: Some("ada@northwind.example".to_owned()),
                password_problem: None,
                password_min_length: 15,
            }),
        ),
        (
            "confirm-email",
            draw(&ConfirmEmailPage {
                gate: gate(),
                link: "link".to_owned(),
                email: "ada@lovelace.example".to_owned(),
            }),
        ),
        (
            "link",
            draw(&LinkPage {
                gate: gate(),
                link: "link".to_owned(),
                account_name: Some("Northwind Studio".to_owned()),
            }),
        ),
    ]
}

fn error(title: &str, text: &str, actions: &[(&str, &str)]) -> String {
    draw(&ErrorPage {
        gate: gate(),
        title: title.to_owned(),
        paragraphs: vec![text.to_owned()],
        actions: actions
            .iter()
            .map(|(label, address)| ((*label).to_owned(), (*address).to_owned()))
            .collect(),
        request_id: Some("req_01jd3n8q4w6x9y2z5b7c0d1e2f".to_owned()),
    })
}

/// Every page of an error.
pub fn errors() -> Vec<(&'static str, String)> {
    vec![
        (
            "error-404",
            error(
                "There is no such page",
                "The address may be mistyped, or the page has moved.",
                &[("Go to the overview", "/")],
            ),
        ),
        (
            "error-421",
            error(
                "This server does not answer to that name",
                "Open https://keys.northwind.example instead.",
                &[("Open it", "https://keys.northwind.example")],
            ),
        ),
        (
            "error-503",
            error(
                "RndrKit cannot answer right now",
                "Nothing was lost. Try again in a moment.",
                &[("Try again", "/settings"), ("Go to the overview", "/")],
            ),
        ),
    ]
}
