//! `/v1/accounts`, as the contract has it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn a_new_account_has_the_contracts_members_and_the_default_plan() {
    let app = App::start().await;
    let body = json!({ "email": "Ada@Example.com" });
    let answer = app.operator("POST", "/v1/accounts").json(&body).send().await;
    let account = answer.expect(StatusCode::CREATED);
    let id = account["id"].as_str().unwrap();
    assert!(id.starts_with("acc_") && id.len() == 30, "{id}");
    assert_eq!(
        account,
        json!({
            "id": id, "external_id": null, "email": "ada@example.com", "name": "ada", "status": "active",
            "plan": { "id": "starter", "name": "Starter" }, "keys": { "active": 0, "limit": 5 },
            "created_at": "2026-11-23T12:00:00.000Z",
        })
    );
    let shown = app.operator("GET", &format!("/v1/accounts/{id}")).send().await;
    assert_eq!(shown.expect(StatusCode::OK), account);
}

#[tokio::test]
async fn accounts_are_found_by_address_and_by_external_id() {
    let app = App::start().await;
    app.account("other@example.com").await;
    let body = json!({ "email": "a+b@example.com", "external_id": "cus/42" });
    app.operator("POST", "/v1/accounts").json(&body).send().await.expect(StatusCode::CREATED);
    for filter in ["email=a%2Bb%40example.com", "email=A%2BB%40Example.com", "external_id=cus%2F42"] {
        let page = app.operator("GET", &format!("/v1/accounts?{filter}")).send().await;
        let page = page.expect(StatusCode::OK);
        assert_eq!(page["data"].as_array().unwrap().len(), 1, "{filter}");
        assert_eq!(page["data"][0]["external_id"], "cus/42", "{filter}");
    }
    let nobody = app.operator("GET", "/v1/accounts?email=nobody%40example.com").send().await;
    assert_eq!(nobody.expect(StatusCode::OK), json!({ "data": [], "has_more": false, "next_cursor": null }));
}

#[tokio::test]
async fn addresses_and_external_ids_are_taken_once() {
    let app = App::start().await;
    let create = |body: Value| app.operator("POST", "/v1/accounts").json(&body).send();
    create(json!({ "email": "a@example.com", "external_id": "x" })).await.expect(StatusCode::CREATED);
    let answer = create(json!({ "email": "A@example.com" })).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.problem("email_taken");
    let answer = create(json!({ "email": "b@example.com", "external_id": "x" })).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.problem("external_id_taken");
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_null_removes_the_external_id() {
    let app = App::start().await;
    let body = json!({ "email": "a@example.com", "external_id": "x", "plan": "agency" });
    let account = app.operator("POST", "/v1/accounts").json(&body).send().await.expect(StatusCode::CREATED);
    let path = format!("/v1/accounts/{}", account["id"].as_str().unwrap());
    let update = |body: Value| app.operator("PATCH", &path).json(&body).send();

    assert_eq!(update(json!({})).await.expect(StatusCode::OK), account, "nothing named, nothing changed");
    let renamed = update(json!({ "name": " Ada ", "status": "suspended" })).await.expect(StatusCode::OK);
    assert_eq!(renamed["name"], "Ada");
    assert_eq!(renamed["status"], "suspended");
    assert_eq!(renamed["external_id"], "x");
    let moved = update(json!({ "plan": "pro", "status": "active" })).await.expect(StatusCode::OK);
    assert_eq!(moved["plan"], json!({ "id": "pro", "name": "Pro" }));
    let removed = update(json!({ "external_id": null })).await.expect(StatusCode::OK);
    assert_eq!(removed["external_id"], Value::Null);
    assert_eq!(removed["name"], "Ada");
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_its_keys_are_revoked() {
    let app = App::start().await;
    let id = app.account("a@example.com").await;
    let (key, _) = app.key(&id, "CI").await;
    let path = format!("/v1/accounts/{id}");
    let answer = app.operator("DELETE", &path).send().await;
    assert_eq!(answer.expect(StatusCode::OK), json!({ "id": id, "deleted": true }));
    app.operator("GET", &path).send().await.problem("not_found");
    let key = app.operator("GET", &format!("/v1/keys/{key}")).send().await.expect(StatusCode::OK);
    assert_eq!(key["status"], "revoked");
    assert_eq!(key["revoked_reason"], "account_deleted");
    app.account("a@example.com").await;
}
