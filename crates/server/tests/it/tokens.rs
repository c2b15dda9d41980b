//! `/v1/tokens`, as the contract has it.

use http::StatusCode;
use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_token_is_shown_once_listed_without_its_secret_and_deleted() {
    let app = App::start().await;
    let body = json!({ "name": "billing", "scope": "read" });
    let mut created = app.operator("POST", "/v1/tokens").json(&body).send().await.expect(StatusCode::CREATED);
    let secret = created.as_object_mut().unwrap().remove("secret").unwrap();
    let id = created["id"].as_str().unwrap().to_owned();
    assert_eq!(
        created,
        json!({
            "id": id, "name": "billing", "scope": "read", "created_at": "2026-11-23T12:00:00.000Z",
            "expires_at": null,
        })
    );
    let list = app.operator("GET", "/v1/tokens").send().await;
    assert!(!list.body.contains(secret.as_str().unwrap()));
    assert_eq!(list.expect(StatusCode::OK)["data"], json!([created]));

    let path = format!("/v1/tokens/{id}");
    let deleted = app.operator("DELETE", &path).send().await.expect(StatusCode::OK);
    assert_eq!(deleted, json!({ "id": id, "deleted": true }));
    let list = app.operator("GET", "/v1/tokens").send().await;
    assert_eq!(list.expect(StatusCode::OK)["data"], json!([]));
}

#[tokio::test]
async fn scopes_outside_the_three_are_pointed_at() {
    let app = App::start().await;
    let body = json!({ "name": "", "scope": "root" });
    let answer = app.operator("POST", "/v1/tokens").json(&body).send().await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer.problem("validation_failed");
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| &e["pointer"]).collect();
    assert_eq!(pointers, ["/name", "/scope"]);
}
