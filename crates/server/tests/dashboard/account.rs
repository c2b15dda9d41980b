//! The section *Account*: password and signed-in browsers.

use http::StatusCode;

use crate::app::{App, Browser, PASSWORD, Page};

const EMAIL: &str = "ada@northwind.example";
const NEW_PASSWORD: &str = "nine green bottles on a wall";

/// Ada, who has joined an account with a password.
async fn ada(app: &App) -> Browser {
    let account = app.account(EMAIL, "agency").await;
    join(app, account, EMAIL).await
}

async fn join(app: &App, account: rndrkit_domain::id::AccountId, email: &str) -> Browser {
    let invite = app.link(account, "invite").await;
    let mut browser = app.stranger();
    let secret = invite.split_once("link=").unwrap().1;
    let fields = [("link", secret), ("email", email), ("password", PASSWORD)];
    browser.post("/sign-up", &fields).await.leads_to("/");
    browser
}

async fn sign_in(app: &App, password: &str) -> Result<Browser, StatusCode> {
    let mut browser = app.stranger();
    let page = browser.post("/sign-in", &[("email", EMAIL), ("password", password)]).await;
    if page.status == StatusCode::SEE_OTHER { Ok(browser) } else { Err(page.status) }
}

async fn change(browser: &mut Browser, current: &str, new: &str) -> Page {
    browser.post("/settings/password", &[("current_password", current), ("new_password", new)]).await
}

/// Handles of the rows, this browser's first.
fn handles(page: &Page) -> Vec<String> {
    let rows = page.html.split("name=\"session\" value=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_changed_password_is_said_once_and_the_browser_stays_signed_in_with_another_cookie() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    let mut elsewhere = sign_in(&app, PASSWORD).await.unwrap();
    let (old_cookie, mut thief) = (browser.cookie.clone(), browser.clone());
    change(&mut browser, PASSWORD, NEW_PASSWORD).await.leads_to("/settings?changed=password#account");
    assert_ne!(browser.cookie, old_cookie);
    browser.get("/settings?changed=password").await.says(StatusCode::OK, "Your password was changed.");
    elsewhere.get("/settings").await.leads_to("/sign-in?return_to=/settings");
    thief.get("/settings").await.leads_to("/sign-in?return_to=/settings");
    assert!(sign_in(&app, PASSWORD).await.is_err() && sign_in(&app, NEW_PASSWORD).await.is_ok());
}

#[tokio::test]
async fn what_is_wrong_with_a_password_stands_beside_its_field_and_nothing_typed_comes_back() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    let page = change(&mut browser, "my secret guess", NEW_PASSWORD).await;
    page.says(StatusCode::UNPROCESSABLE_ENTITY, "id=\"current-password-problem\"");
    page.says(StatusCode::UNPROCESSABLE_ENTITY, "This is not your current password.");
    assert_eq!(page.html.matches("autofocus").count(), 2, "the field, and the one of the closed dialog");
    let short = change(&mut browser, PASSWORD, "too short").await;
    short.says(StatusCode::UNPROCESSABLE_ENTITY, "id=\"new-password-problem\"");
    for (page, typed) in [(&page, "my secret guess"), (&page, NEW_PASSWORD), (&short, "too short")] {
        assert!(!page.html.contains(typed), "{typed:?} came back");
    }
}

#[tokio::test]
async fn a_change_of_password_that_nobody_confirmed_says_how_to_find_out_which_one_holds() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    let other = app.other_writer().await;
    let page = change(&mut browser, PASSWORD, NEW_PASSWORD).await;
    page.says(StatusCode::SERVICE_UNAVAILABLE, "We could not confirm your new password");
    page.says(StatusCode::SERVICE_UNAVAILABLE, "Try signing in with the new one first.");
    page.says(StatusCode::SERVICE_UNAVAILABLE, "href=\"/sign-in\"");
    for typed in [PASSWORD, NEW_PASSWORD] {
        assert!(!page.html.contains(typed), "a password came back");
    }
    other.end().await;
    assert!(sign_in(&app, NEW_PASSWORD).await.is_err() && sign_in(&app, PASSWORD).await.is_ok());
    change(&mut browser, PASSWORD, NEW_PASSWORD).await.leads_to("/settings?changed=password#account");
}

#[tokio::test]
async fn too_many_guesses_are_told_to_wait() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    let mut last = change(&mut browser, "wrong", NEW_PASSWORD).await;
    for _ in 0..5 {
        last = change(&mut browser, "wrong", NEW_PASSWORD).await;
    }
    last.says(StatusCode::TOO_MANY_REQUESTS, "Too many attempts. Try again in 1 second.");
    assert_eq!(last.header("retry-after"), "1");
    last.says(StatusCode::TOO_MANY_REQUESTS, "id=\"current-password-problem\"");
}

#[tokio::test]
async fn an_address_alone_makes_no_page_claim_that_something_was_changed() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    for changed in ["password", "session", "sessions"] {
        let page = browser.get(&format!("/settings?changed={changed}")).await;
        assert!(!page.html.contains("notice good"), "{changed}: {}", page.html);
    }
}

#[tokio::test]
async fn a_dashboard_that_a_link_opened_says_why_there_is_no_password() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "there is no password here");
    assert!(!page.html.contains("action=\"/settings/password\""));
    change(&mut browser, PASSWORD, NEW_PASSWORD).await.says(StatusCode::FORBIDDEN, "through a link");
}

#[tokio::test]
async fn a_suspended_account_can_still_guard_its_own_access() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    app.meddle("UPDATE accounts SET status = 'suspended'").await;
    browser.get("/settings").await.says(StatusCode::OK, "This account is suspended.");
    change(&mut browser, PASSWORD, NEW_PASSWORD).await.leads_to("/settings?changed=password#account");
}

#[tokio::test]
async fn browsers_are_listed_by_what_they_are_and_signed_out_one_by_one_or_all_at_once() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    let alone = browser.get("/settings").await;
    assert!(!alone.html.contains("Sign out everywhere"), "there is nobody else");
    let mut phone = sign_in(&app, PASSWORD).await.unwrap();
    let mut desk = sign_in(&app, PASSWORD).await.unwrap();
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "This browser");
    page.says(StatusCode::OK, "192.0.2.7");
    let listed = handles(&page);
    assert_eq!(listed.len(), 3);
    for cookie in [&browser.cookie, &phone.cookie] {
        assert!(!page.html.contains(cookie.as_ref().unwrap().split_once('=').unwrap().1));
    }

    let of_phone = handles(&phone.get("/settings").await).remove(0);
    browser
        .post("/settings/sessions/end", &[("session", &of_phone)])
        .await
        .leads_to("/settings?changed=session#account");
    browser.get("/settings?changed=session").await.says(StatusCode::OK, "That browser was signed out.");
    phone.get("/").await.leads_to("/sign-in");
    desk.get("/").await.says(StatusCode::OK, "API");
    let again = browser.post("/settings/sessions/end", &[("session", &of_phone)]).await;
    again.says(StatusCode::NOT_FOUND, "That browser is not signed in any more.");

    browser.post("/settings/sessions/end-others", &[]).await.leads_to("/settings?changed=sessions#account");
    browser
        .get("/settings?changed=sessions")
        .await
        .says(StatusCode::OK, "You are signed out everywhere else.");
    desk.get("/").await.leads_to("/sign-in");
    browser.post("/settings/sessions/end-others", &[("this_too", "yes")]).await.leads_to("/sign-in");
    assert_eq!(browser.cookie, None);
}

#[tokio::test]
async fn signing_out_this_very_browser_leads_to_the_door() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    let mut copy = browser.clone();
    let this = handles(&browser.get("/settings").await).remove(0);
    browser.post("/settings/sessions/end", &[("session", &this)]).await.leads_to("/sign-in");
    assert_eq!(browser.cookie, None);
    copy.get("/").await.leads_to("/sign-in");
}

#[tokio::test]
async fn nobody_ends_the_sessions_of_other_people() {
    let app = App::start().await;
    let account = app.account(EMAIL, "agency").await;
    let mut ada = join(&app, account, EMAIL).await;
    let mut bob = join(&app, account, "bob@northwind.example").await;
    let mut eve = app.visitor(app.account("eve@example.org", "agency").await).await;
    let mine = handles(&ada.get("/settings").await);
    assert_eq!(mine.len(), 1, "Bob's browsers are Bob's");
    for other in [&mut bob, &mut eve] {
        let page = other.post("/settings/sessions/end", &[("session", &mine[0])]).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        other.post("/settings/sessions/end-others", &[]).await.leads_to("/settings?changed=sessions#account");
    }
    ada.get("/").await.says(StatusCode::OK, "API");
}

#[tokio::test]
async fn the_address_of_a_form_opened_as_a_page_leads_to_the_section() {
    let app = App::start().await;
    let mut browser = ada(&app).await;
    for form in ["/settings/password", "/settings/sessions/end", "/settings/sessions/end-others"] {
        browser.get(form).await.leads_to("/settings#account");
        app.stranger().post(form, &[]).await.leads_to("/sign-in?ended=1&return_to=/settings%23account");
    }
}
