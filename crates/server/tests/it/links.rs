//! `/v1/accounts/{id}/links`, as the contract has it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn each_kind_of_link_lives_as_long_as_the_contract_says() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/links");
    let make = |body: Value| app.operator("POST", &path).json(&body).send();
    let invite = make(json!({ "kind": "invite" })).await.expect(StatusCode::CREATED);
    assert_eq!(invite["expires_at"], "2026-11-30T12:00:00.000Z");
    assert!(invite["url"].as_str().unwrap().starts_with("http://localhost:8080/sign-up?link="));
    let sign_in = json!({ "kind": "sign_in", "return_to": "/settings#api-keys" });
    assert_eq!(make(sign_in).await.expect(StatusCode::CREATED)["expires_at"], "2026-11-23T12:10:00.000Z");
    let brief = json!({ "kind": "sign_in", "expires_in_seconds": 60 });
    assert_eq!(make(brief).await.expect(StatusCode::CREATED)["expires_at"], "2026-11-23T12:01:00.000Z");
}

#[tokio::test]
async fn links_of_other_kinds_lengths_and_targets_are_pointed_at() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/links");
    let body = json!({ "kind": "first_account", "expires_in_seconds": 59, "return_to": "//evil.example" });
    let answer = app.operator("POST", &path).json(&body).send().await;
    let problem = answer.problem("validation_failed");
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| &e["pointer"]).collect();
    assert_eq!(pointers, ["/kind", "/expires_in_seconds", "/return_to"]);
}

#[tokio::test]
async fn an_address_that_nobody_of_the_account_has_is_pointed_at() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/links");
    let body = json!({ "kind": "password_reset", "email": "b@example.com" });
    let problem = app.operator("POST", &path).json(&body).send().await.problem("validation_failed");
    let text = "Nobody with this address has joined this account.";
    assert_eq!(problem["errors"], json!([{ "pointer": "/email", "detail": text }]));
}
