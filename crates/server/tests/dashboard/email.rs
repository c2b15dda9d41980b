//! Changing the address that one signs in with.

use std::time::Duration;

use http::StatusCode;
use rndrkit_domain::audit::Origin;
use rndrkit_domain::mail::{MailContent, MailKind};

use crate::app::{App, Browser, PASSWORD, Page, Setting};

const EMAIL: &str = "ada@northwind.example";
const NEW_EMAIL: &str = "ada@lovelace.example";

async fn with_mail() -> (App, Browser) {
    let app = App::with(Setting { sends_mail: true, outbox: true, ..Setting::default() }).await;
    let browser = joined(&app, EMAIL).await;
    (app, browser)
}

/// Somebody with an account of their own.
async fn joined(app: &App, email: &str) -> Browser {
    let invite = app.link(app.account(email, "agency").await, "invite").await;
    let mut browser = app.stranger();
    let fields = [("link", invite.split_once("link=").unwrap().1), ("email", email), ("password", PASSWORD)];
    browser.post("/sign-up", &fields).await.leads_to("/");
    browser
}

async fn ask(browser: &mut Browser, email: &str) -> Page {
    browser.post("/settings/email", &[("email", email), ("current_password", PASSWORD)]).await
}

/// What was mailed since this was last asked: kind, where to, and the link.
async fn mailed(app: &App) -> Vec<(MailKind, String, Option<String>)> {
    let now = app.control.now();
    let mut mails = Vec::new();
    while let Some(mail) = app.store.claim_mail(now, now.plus(Duration::from_secs(900))).await.unwrap() {
        let link = match mail.content {
            MailContent::Link { url, .. } => Some(url.split_once("?link=").unwrap().1.to_owned()),
            _ => None,
        };
        mails.push((mail.kind.unwrap(), mail.recipient, link));
    }
    mails.sort_by_key(|(kind, ..)| kind.as_str());
    mails
}

async fn sign_in(app: &App, email: &str) -> StatusCode {
    app.stranger().post("/sign-in", &[("email", email), ("password", PASSWORD)]).await.status
}

#[tokio::test]
async fn an_address_changes_when_the_new_one_confirms_and_not_before() {
    let (app, mut browser) = with_mail().await;
    ask(&mut browser, NEW_EMAIL).await.leads_to("/settings?changed=email-asked#account");
    browser.get("/settings?changed=email-asked").await.says(StatusCode::OK, "Look into the new mailbox.");
    browser.get("/settings").await.says(StatusCode::OK, "Waiting for <b>ada@lovelace.example</b>");
    let mails = mailed(&app).await;
    assert_eq!(mails.len(), 2, "{mails:?}");
    assert_eq!((mails[0].0, mails[0].1.as_str()), (MailKind::EmailChangeAsked, EMAIL));
    assert_eq!((mails[1].0, mails[1].1.as_str()), (MailKind::EmailConfirmation, NEW_EMAIL));
    let link = mails[1].2.clone().unwrap();

    let mut elsewhere = app.stranger();
    for _ in 0..2 {
        elsewhere.get(&format!("/confirm-email?link={link}")).await.says(StatusCode::OK, "Use this address");
    }
    assert_eq!(sign_in(&app, EMAIL).await, StatusCode::SEE_OTHER, "until then the old one stays");
    elsewhere.post("/confirm-email", &[("link", &link)]).await.says(StatusCode::OK, NEW_EMAIL);
    assert_eq!(sign_in(&app, NEW_EMAIL).await, StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&app, EMAIL).await, StatusCode::UNPROCESSABLE_ENTITY);
    let page = browser.get("/settings").await;
    assert!(!page.html.contains(EMAIL), "the account's own address was the same, and has changed with it");
    assert_eq!(mailed(&app).await[0].1, EMAIL, "whoever reads the old mailbox hears of it");
    let again = elsewhere.post("/confirm-email", &[("link", &link)]).await;
    again.says(StatusCode::GONE, "This link no longer works");
}

#[tokio::test]
async fn whoever_confirms_where_they_are_signed_in_is_told_in_the_settings() {
    let (app, mut browser) = with_mail().await;
    ask(&mut browser, NEW_EMAIL).await;
    let link = mailed(&app).await[1].2.clone().unwrap();
    browser.post("/confirm-email", &[("link", &link)]).await.leads_to("/settings?changed=email#account");
    browser.get("/settings?changed=email").await.says(StatusCode::OK, "Your e-mail address was changed.");
}

#[tokio::test]
async fn a_taken_address_shows_in_nothing_but_the_mail_to_it() {
    let (app, mut browser) = with_mail().await;
    joined(&app, "eve@example.org").await;
    let free = ask(&mut browser, NEW_EMAIL).await;
    mailed(&app).await;
    let taken = ask(&mut browser, "eve@example.org").await;
    assert_eq!((taken.status, taken.header("location")), (free.status, free.header("location")));
    browser.get("/settings").await.says(StatusCode::OK, "Waiting for <b>eve@example.org</b>");
    let mails = mailed(&app).await;
    assert_eq!(
        (mails[1].0, mails[1].1.as_str(), mails[1].2.as_ref()),
        (MailKind::EmailInUse, "eve@example.org", None)
    );
}

#[tokio::test]
async fn an_address_taken_while_the_link_lay_in_the_mailbox_is_not_taken_away() {
    let (app, mut browser) = with_mail().await;
    ask(&mut browser, NEW_EMAIL).await;
    let link = mailed(&app).await[1].2.clone().unwrap();
    joined(&app, NEW_EMAIL).await;
    let late = browser.post("/confirm-email", &[("link", &link)]).await;
    late.says(StatusCode::CONFLICT, "This address is in use by now");
    assert_eq!(sign_in(&app, EMAIL).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_change_ends_by_being_cancelled_replaced_or_an_hour_old() {
    let (app, mut browser) = with_mail().await;
    let link_to = async |browser: &mut Browser, email| {
        ask(browser, email).await.leads_to("/settings?changed=email-asked#account");
        mailed(&app).await[1].2.clone().unwrap()
    };
    let cancelled = link_to(&mut browser, NEW_EMAIL).await;
    browser.post("/settings/email/cancel", &[]).await.leads_to("/settings?changed=email-cancelled#account");
    assert!(!browser.get("/settings").await.html.contains("Waiting for"));
    let replaced = link_to(&mut browser, NEW_EMAIL).await;
    let old = link_to(&mut browser, "ada@elsewhere.example").await;
    app.clock.advance(Duration::from_secs(3_600));
    for link in [cancelled, replaced, old] {
        let page = app.stranger().post("/confirm-email", &[("link", &link)]).await;
        page.says(StatusCode::GONE, "This link no longer works");
    }
    assert_eq!(sign_in(&app, EMAIL).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_asking_is_bounded() {
    let (app, mut browser) = with_mail().await;
    for (email, password, id) in [
        ("nowhere", PASSWORD, "new-email-problem"),
        (EMAIL, PASSWORD, "new-email-problem"),
        (NEW_EMAIL, "not the password", "password-for-email-problem"),
        (NEW_EMAIL, "", "password-for-email-problem"),
    ] {
        let page = browser.post("/settings/email", &[("email", email), ("current_password", password)]).await;
        page.says(StatusCode::UNPROCESSABLE_ENTITY, &format!("id=\"{id}\""));
        assert!(!page.html.contains("not the password"), "a password came back");
    }
    for n in 0..5 {
        ask(&mut browser, &format!("ada{n}@lovelace.example"))
            .await
            .leads_to("/settings?changed=email-asked#account");
    }
    ask(&mut browser, NEW_EMAIL).await.says(StatusCode::UNPROCESSABLE_ENTITY, "Wait an hour");
    assert_eq!(mailed(&app).await.len(), 10);
}

#[tokio::test]
async fn an_installation_without_mail_says_who_changes_addresses_and_they_can() {
    let app = App::start().await;
    let mut browser = joined(&app, EMAIL).await;
    browser.get("/settings").await.says(StatusCode::OK, "This installation sends no mail");
    ask(&mut browser, NEW_EMAIL).await.says(StatusCode::FORBIDDEN, "sends no mail");
    let account = app.control.sign_in(EMAIL, PASSWORD, &Origin::default()).await.unwrap().account_id;
    let patch = rndrkit_control::AccountPatch { email: Some(NEW_EMAIL), ..Default::default() };
    app.control.update_account(&rndrkit_control::Context::system(), account, patch).await.unwrap();
    assert_eq!(sign_in(&app, NEW_EMAIL).await, StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&app, EMAIL).await, StatusCode::UNPROCESSABLE_ENTITY);
}
