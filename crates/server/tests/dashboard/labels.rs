//! What a key is called and where it is used, on the settings page.

use http::StatusCode;

use crate::app::{App, Browser, Page};

async fn create(browser: &mut Browser, name: &str, environment: &str) -> Page {
    let form_id = browser.form_id().await;
    let fields = [("form_id", form_id.as_str()), ("name", name), ("environment", environment)];
    browser.post("/settings/api-keys", &fields).await
}

#[tokio::test]
async fn a_key_can_be_made_with_an_environment_and_shows_it_beside_its_name() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    browser.get("/settings").await.says(StatusCode::OK, "<option value=\"CI/CD\">");
    assert!(create(&mut browser, "Nightly", " staging ").await.secret().is_some());
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "Environment: </span><bdi>staging</bdi>");
    page.says(StatusCode::OK, "data-environment=\"staging\"");
    let id = page.key_ids()[0].clone();
    browser.get(&format!("/settings/api-keys/{id}/delete")).await.says(StatusCode::OK, "<bdi>staging</bdi>");
    browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    browser.get("/settings").await.says(StatusCode::OK, "Environment: </span><bdi>staging</bdi>");
}

#[tokio::test]
async fn an_environment_is_optional_and_a_bad_one_is_explained_beside_its_field() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    assert!(create(&mut browser, "One", "   ").await.secret().is_some());
    browser.get("/settings").await.says(StatusCode::OK, ">Add environment<");
    for bad in ["x".repeat(33), "a\u{202e}b".to_owned()] {
        let page = create(&mut browser, "Two", &bad).await;
        let words = "aria-describedby=\"key-environment-problem\" aria-invalid=\"true\"";
        page.says(StatusCode::UNPROCESSABLE_ENTITY, words);
        assert_eq!(page.field("environment"), bad, "what was typed stays");
    }
    assert_eq!(browser.get("/settings").await.key_ids().len(), 1);
}

#[tokio::test]
async fn a_key_gets_another_name_and_environment_and_stays_the_same_key() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    create(&mut browser, "Nightly", "").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    let path = format!("/settings/api-keys/{id}/label");
    let page = browser.get(&path).await;
    assert_eq!((page.field("name"), page.field("environment")), ("Nightly".to_owned(), String::new()));
    let bad = browser.post(&path, &[("name", " "), ("environment", "a\u{200b}b")]).await;
    bad.says(StatusCode::UNPROCESSABLE_ENTITY, "Enter a name.");
    bad.says(StatusCode::UNPROCESSABLE_ENTITY, "key-environment-problem");
    let good = browser.post(&path, &[("name", "Weekly"), ("environment", "CI/CD")]).await;
    good.leads_to(&format!("/settings?updated={id}#api-keys"));
    let page = browser.get(&format!("/settings?updated={id}")).await;
    page.says(StatusCode::OK, "Weekly is saved.</bdi></strong> Its environment is CI/CD.");
    assert_eq!(page.key_ids(), [id.as_str()]);
    browser.post(&path, &[("name", "Weekly"), ("environment", "")]).await;
    browser.get("/settings").await.says(StatusCode::OK, ">Add environment<");
}

#[tokio::test]
async fn what_has_ended_or_is_somebody_elses_keeps_its_words() {
    let app = App::start().await;
    let (_, mut owner) = app.customer("agency").await;
    create(&mut owner, "Mine", "").await;
    let id = owner.get("/settings").await.key_ids()[0].clone();
    let path = format!("/settings/api-keys/{id}/label");
    let other = app.account("eve@elsewhere.example", "agency").await;
    let mut eve = app.visitor(other).await;
    eve.get(&path).await.says(StatusCode::NOT_FOUND, "There is no such page");
    eve.post(&path, &[("name", "Hers")]).await.says(StatusCode::NOT_FOUND, "There is no such page");
    owner.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    owner.get(&path).await.leads_to("/settings#api-keys");
    owner.post(&path, &[("name", "Renamed")]).await.leads_to("/settings#api-keys");
    owner.get("/settings").await.says(StatusCode::OK, "<bdi>Mine</bdi>");
}

#[tokio::test]
async fn environments_are_shown_as_text_whatever_is_in_them() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for label in ["<script>alert(1)</script>", "\"><img src=x>", "إنتاج", &"W".repeat(32)] {
        assert!(create(&mut browser, "Key", label).await.secret().is_some(), "{label}");
    }
    let page = browser.get("/settings").await;
    assert!(!page.html.contains("<script>alert") && !page.html.contains("<img"));
    page.says(StatusCode::OK, "<bdi>إنتاج</bdi>");
}
