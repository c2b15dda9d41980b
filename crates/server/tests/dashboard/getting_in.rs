//! Signing in, up and out; links; sessions that end.

use std::time::Duration;

use http::StatusCode;
use rndrkit_control::{Context, LinkInput, SignUpPolicy};

use crate::app::{App, Browser, PASSWORD, Page, Setting};

const EMAIL: &str = "ada@northwind.example";

async fn first_account(app: &App) -> Browser {
    let url = app.control.first_account_link().await.unwrap().unwrap().url;
    let secret = url.reveal().split_once("link=").unwrap().1.to_owned();
    let mut browser = app.stranger();
    let page = browser.get(&format!("/sign-up?link={secret}")).await;
    page.says(StatusCode::OK, "Create the first account");
    let fields = [("link", secret.as_str()), ("email", EMAIL), ("name", "Northwind"), ("password", PASSWORD)];
    browser.post("/sign-up", &fields).await.leads_to("/");
    browser
}

async fn sign_in(browser: &mut Browser, email: &str, password: &str) -> Page {
    browser.post("/sign-in", &[("email", email), ("password", password)]).await
}

#[tokio::test]
async fn the_first_account_link_leads_from_nothing_to_the_overview() {
    let app = App::start().await;
    let mut browser = first_account(&app).await;
    browser.get("/").await.says(StatusCode::OK, "Hello, <bdi>Northwind</bdi>");
    assert!(app.control.first_account_link().await.unwrap().is_none());
}

#[tokio::test]
async fn opening_a_link_does_not_use_it_up_and_pressing_the_button_does() {
    let app = App::start().await;
    let account = app.account(EMAIL, "agency").await;
    let link = app.link(account, "sign_in").await;
    let secret = link.split_once("link=").unwrap().1;
    let mut browser = app.stranger();
    for _ in 0..3 {
        browser.get(&link).await.says(StatusCode::OK, "Open dashboard");
    }
    browser.post("/sign-in/link", &[("link", secret)]).await.leads_to("/");
    browser.get("/settings").await.says(StatusCode::OK, "API Keys");
    app.stranger().get(&link).await.says(StatusCode::GONE, "This link no longer works");
    let again = app.stranger().post("/sign-in/link", &[("link", secret)]).await;
    again.says(StatusCode::GONE, "This link no longer works");
}

#[tokio::test]
async fn a_link_opens_only_the_page_of_its_kind() {
    let app = App::start().await;
    let account = app.account(EMAIL, "agency").await;
    let invite = app.link(account, "invite").await;
    let secret = invite.split_once("link=").unwrap().1;
    let mut browser = app.stranger();
    for page in ["/sign-in", "/reset"] {
        browser.get(&format!("{page}?link={secret}")).await.says(StatusCode::GONE, "no longer works");
    }
    browser.post("/sign-in/link", &[("link", secret)]).await.says(StatusCode::GONE, "no longer works");
    let fields = [("link", secret), ("password", PASSWORD)];
    browser.post("/reset", &fields).await.says(StatusCode::GONE, "no longer works");
    browser.get(&invite).await.says(StatusCode::OK, "Choose a password");
}

#[tokio::test]
async fn an_invitation_and_later_a_reset_let_a_person_in() {
    let app = App::start().await;
    let account = app.account(EMAIL, "agency").await;
    let invite = app.link(account, "invite").await;
    let mut browser = app.stranger();
    let page = browser.get(&invite).await;
    page.says(StatusCode::OK, &format!("value=\"{EMAIL}\""));
    let secret = invite.split_once("link=").unwrap().1;
    let short = browser.post("/sign-up", &[("link", secret), ("email", EMAIL), ("password", "short")]).await;
    short.says(StatusCode::UNPROCESSABLE_ENTITY, "id=\"password-problem\"");
    assert!(!short.html.contains("value=\"short\""), "a password is never given back");
    let fields = [("link", secret), ("email", EMAIL), ("password", PASSWORD)];
    browser.post("/sign-up", &fields).await.leads_to("/");

    let reset = app.link(account, "password_reset").await;
    let secret = reset.split_once("link=").unwrap().1;
    let mut elsewhere = app.stranger();
    elsewhere.get(&reset).await.says(StatusCode::OK, "Set a new password");
    let fields = [("link", secret), ("password", "nine green bottles on a wall")];
    elsewhere.post("/reset", &fields).await.leads_to("/");
    browser.get("/").await.leads_to("/sign-in");
    let refused = sign_in(&mut app.stranger(), EMAIL, PASSWORD).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    sign_in(&mut app.stranger(), EMAIL, "nine green bottles on a wall").await.leads_to("/");
}

#[tokio::test]
async fn every_link_leads_to_the_page_that_its_maker_chose() {
    let app = App::start().await;
    let account = app.account(EMAIL, "agency").await;
    for (kind, form) in [("invite", "/sign-up"), ("password_reset", "/reset"), ("sign_in", "/sign-in/link")] {
        let page = Some("/settings#api-keys");
        let link = app
            .control
            .create_link(
                &Context::system(),
                account,
                LinkInput { kind, return_to: page, ..LinkInput::default() },
            )
            .await
            .unwrap();
        let secret = link.url.reveal().split_once("link=").unwrap().1;
        let fields = [("link", secret), ("email", EMAIL), ("password", PASSWORD)];
        app.stranger().post(form, &fields).await.leads_to("/settings#api-keys");
    }
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_read_the_same() {
    let app = App::start().await;
    first_account(&app).await;
    let unknown = sign_in(&mut app.stranger(), "bob@northwind.example", "wrong wrong wrong").await;
    let wrong = sign_in(&mut app.stranger(), EMAIL, "wrong wrong wrong").await;
    assert_eq!(unknown.status, wrong.status);
    assert_eq!(unknown.html.replace("bob@", "ada@"), wrong.html);
    assert!(!wrong.html.contains("wrong wrong wrong"));
}

#[tokio::test]
async fn many_wrong_passwords_are_slowed_down_and_say_for_how_long() {
    let app = App::start().await;
    first_account(&app).await;
    let mut browser = app.stranger();
    let mut page = sign_in(&mut browser, EMAIL, "wrong wrong wrong").await;
    for _ in 0..10 {
        page = sign_in(&mut browser, EMAIL, "wrong wrong wrong").await;
    }
    page.says(StatusCode::TOO_MANY_REQUESTS, "Too many attempts");
    assert!(page.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
}

#[tokio::test]
async fn signing_out_ends_the_session_itself_and_not_only_the_cookie() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let mut copy = browser.clone();
    browser.post("/sign-out", &[]).await.leads_to("/sign-in");
    assert_eq!(browser.cookie, None);
    copy.get("/settings").await.leads_to("/sign-in?return_to=/settings");
    app.stranger().post("/sign-out", &[]).await.leads_to("/sign-in");
}

#[tokio::test]
async fn signing_in_again_ends_the_session_that_the_browser_had() {
    let app = App::start().await;
    let mut browser = first_account(&app).await;
    for by_link in [false, true] {
        let mut before = browser.clone();
        if by_link {
            let link = app.link(app.account("bob@northwind.example", "agency").await, "sign_in").await;
            let secret = link.split_once("link=").unwrap().1;
            browser.post("/sign-in/link", &[("link", secret)]).await.leads_to("/");
        } else {
            sign_in(&mut browser, EMAIL, PASSWORD).await.leads_to("/");
        }
        assert_ne!(before.cookie, browser.cookie);
        before.get("/").await.leads_to("/sign-in");
        assert_eq!(browser.get("/").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_session_that_ends_in_mid_form_says_that_nothing_changed_and_leads_back() {
    let app = App::start().await;
    let mut browser = first_account(&app).await;
    app.clock.advance(Duration::from_secs(86_400));
    let page = browser.post("/settings/api-keys", &[("name", "CI")]).await;
    page.leads_to("/sign-in?ended=1&return_to=/settings%23api-keys");
    let page = browser.get("/sign-in?ended=1&return_to=/settings%23api-keys").await;
    page.says(StatusCode::OK, "nothing was changed");
    let back = page.field("return_to");
    let fields = [("email", EMAIL), ("password", PASSWORD), ("return_to", back.as_str())];
    browser.post("/sign-in", &fields).await.leads_to("/settings#api-keys");
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site() {
    let app = App::start().await;
    first_account(&app).await;
    for bad in ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let fields = [("email", EMAIL), ("password", PASSWORD), ("return_to", bad)];
        app.stranger().post("/sign-in", &fields).await.leads_to("/");
    }
}

#[tokio::test]
async fn strangers_sign_up_only_where_that_is_open() {
    let fields = [("email", "new@example.com"), ("password", PASSWORD)];
    for (sign_up, words) in
        [(SignUpPolicy::Invite, "by invitation"), (SignUpPolicy::Closed, "Sign-up is closed")]
    {
        let app = App::with(Setting { sign_up, ..Setting::default() }).await;
        app.stranger().get("/sign-up").await.says(StatusCode::FORBIDDEN, words);
        app.stranger().post("/sign-up", &fields).await.says(StatusCode::FORBIDDEN, words);
    }
    let app = App::with(Setting { sign_up: SignUpPolicy::Open, ..Setting::default() }).await;
    let mut browser = app.stranger();
    browser.post("/sign-up", &fields).await.leads_to("/");
    browser.get("/").await.says(StatusCode::OK, "Hello, <bdi>new</bdi>");
    let again = app.stranger().post("/sign-up", &fields).await;
    again.says(StatusCode::CONFLICT, "already has an account");
}

#[tokio::test]
async fn with_https_the_cookie_is_secure_and_bound_to_the_host() {
    let setting = Setting { public_url: "https://keys.northwind.example", ..Setting::default() };
    let app = App::with(setting).await;
    let (_, browser) = app.customer("agency").await;
    assert!(browser.cookie.unwrap().starts_with("__Host-rk_session="));
    let app = App::start().await;
    let (_, browser) = app.customer("agency").await;
    assert!(browser.cookie.unwrap().starts_with("rk_session_local="));
}
