//! `/v1/audit-log`, as the contract has it.

use http::StatusCode;
use rndrkit_domain::id::RequestId;
use rndrkit_domain::random::OsEntropy;
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn an_event_says_who_did_what_to_what_and_from_where() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let request_id = RequestId::generate(app.control.now(), &OsEntropy);
    let created = app
        .operator("POST", &format!("/v1/accounts/{account}/keys"))
        .json(&json!({ "name": "CI" }))
        .header("user-agent", "deploy/1.0")
        .request_id(request_id)
        .send()
        .await
        .expect(StatusCode::CREATED);
    let page = app.operator("GET", "/v1/audit-log?limit=1").send().await.expect(StatusCode::OK);
    let event = &page["data"][0];
    assert!(event["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(event["action"], "key.created");
    assert_eq!(event["at"], "2026-11-23T12:00:00.000Z");
    assert_eq!(event["actor"], json!({ "type": "operator", "id": null, "name": "operator token" }));
    assert_eq!(event["account_id"], Value::from(account));
    assert_eq!(event["target"], json!({ "type": "key", "id": created["id"] }));
    assert_eq!(event["ip"], "192.0.2.7");
    assert_eq!(event["user_agent"], "deploy/1.0");
    assert_eq!(event["request_id"], request_id.to_string());
    assert!(event["details"].is_object());
}

#[tokio::test]
async fn the_log_of_one_account_has_no_event_of_another() {
    let app = App::start().await;
    let one = app.account("one@example.com").await;
    let two = app.account("two@example.com").await;
    app.key(&two, "CI").await;
    let path = format!("/v1/audit-log?account_id={one}");
    let page = app.operator("GET", &path).send().await.expect(StatusCode::OK);
    let events = page["data"].as_array().unwrap();
    assert!(!events.is_empty());
    assert!(events.iter().all(|event| event["account_id"] == one.as_str()), "{page}");
    let bad = app.operator("GET", "/v1/audit-log?account_id=nobody").send().await;
    assert_eq!(bad.problem("validation_failed")["errors"][0]["pointer"], "/account_id");
}

#[tokio::test]
async fn what_a_client_says_about_itself_is_cut_before_it_is_kept() {
    let app = App::start().await;
    let body = json!({ "email": "a@example.com" });
    let call = app.operator("POST", "/v1/accounts").json(&body);
    call.header("user-agent", &"x".repeat(5_000)).send().await.expect(StatusCode::CREATED);
    let page = app.operator("GET", "/v1/audit-log?limit=1").send().await.expect(StatusCode::OK);
    assert_eq!(page["data"][0]["user_agent"].as_str().unwrap().len(), 256);
}
