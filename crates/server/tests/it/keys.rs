//! `/v1/accounts/{id}/keys` and `/v1/keys/{id}`, as the contract has them.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn a_secret_is_shown_by_the_call_that_made_it_and_never_again() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/keys");
    let answer = app.operator("POST", &path).json(&json!({ "name": "CI/CD Pipeline" })).send().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut created = answer.expect(StatusCode::CREATED);
    let secret = created["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("rk_live_") && secret.len() == "rk_live_".len() + 32);
    created.as_object_mut().unwrap().remove("secret");
    let id = created["id"].as_str().unwrap().to_owned();
    assert_eq!(
        created,
        json!({
            "id": id, "account_id": account, "name": "CI/CD Pipeline", "environment": null,
            "mask": &secret[..12], "status": "active",
            "created_at": "2026-11-23T12:00:00.000Z", "last_used_at": null, "expires_at": null,
            "revoked_at": null, "revoked_reason": null, "previous": null,
        })
    );
    for path in
        [path, format!("/v1/keys/{id}"), "/v1/audit-log".to_owned(), format!("/v1/accounts/{account}")]
    {
        let answer = app.operator("GET", &path).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.body.contains(&secret), "{path} shows the secret");
    }
}

#[tokio::test]
async fn the_sixth_key_is_refused_until_one_is_revoked() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let mut last = String::new();
    for number in 1..=5 {
        last = app.key(&account, &format!("key {number}")).await.0;
    }
    let path = format!("/v1/accounts/{account}/keys");
    let sixth = app.operator("POST", &path).json(&json!({ "name": "six" })).send().await;
    assert_eq!(sixth.status, StatusCode::CONFLICT);
    assert_eq!(sixth.problem("key_limit_reached")["limit"], 5);
    app.operator("DELETE", &format!("/v1/keys/{last}")).send().await.expect(StatusCode::OK);
    app.key(&account, "six").await;
}

#[tokio::test]
async fn keys_need_a_plan_with_api_access_and_the_refusal_says_where_to_upgrade() {
    let app = App::start().await;
    let body = json!({ "email": "a@example.com", "plan": "pro" });
    let account = app.operator("POST", "/v1/accounts").json(&body).send().await.expect(StatusCode::CREATED);
    let path = format!("/v1/accounts/{}/keys", account["id"].as_str().unwrap());
    let answer = app.operator("POST", &path).json(&json!({ "name": "CI" })).send().await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.problem("plan_required")["upgrade_url"], "http://localhost:8080/billing");
}

#[tokio::test]
async fn a_key_expires_by_itself_and_stays_listed() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/keys");
    let body = json!({ "name": "short", "expires_at": "2026-11-23T14:00:00+01:00" });
    let created = app.operator("POST", &path).json(&body).send().await.expect(StatusCode::CREATED);
    assert_eq!(created["expires_at"], "2026-11-23T13:00:00.000Z");
    app.clock.advance(Duration::from_secs(3_600));
    let page = app.operator("GET", &path).send().await.expect(StatusCode::OK);
    assert_eq!(page["data"][0]["status"], "expired");
}

#[tokio::test]
async fn a_receipt_says_when_and_how_many_nodes_confirmed_and_a_repeat_keeps_the_moment() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (id, _) = app.key(&account, "CI").await;
    let path = format!("/v1/keys/{id}");
    let first = app.operator("DELETE", &path).send().await.expect(StatusCode::OK);
    let expected = json!({
        "id": id, "revoked_at": "2026-11-23T12:00:00.000Z", "nodes_confirmed": 1, "nodes_expired": 0,
        "took_ms": 3,
    });
    assert_eq!(first, expected);
    app.clock.advance(Duration::from_secs(60));
    let again = app.operator("DELETE", &path).send().await.expect(StatusCode::OK);
    assert_eq!(again, expected);
    let key = app.operator("GET", &path).send().await.expect(StatusCode::OK);
    assert_eq!((&key["status"], &key["revoked_reason"]), (&Value::from("revoked"), &Value::from("operator")));
}

#[tokio::test]
async fn a_key_says_where_it_is_used_and_its_words_can_be_mended() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let keys = format!("/v1/accounts/{account}/keys");
    let body = json!({ "name": "Pipelne", "environment": " CI/CD " });
    let created = app.operator("POST", &keys).json(&body).send().await.expect(StatusCode::CREATED);
    assert_eq!(created["environment"], "CI/CD");
    let path = format!("/v1/keys/{}", created["id"].as_str().unwrap());
    let update = |body: Value| app.operator("PATCH", &path).json(&body).send();

    let renamed = update(json!({ "name": "Pipeline" })).await.expect(StatusCode::OK);
    assert_eq!((&renamed["name"], &renamed["environment"]), (&json!("Pipeline"), &json!("CI/CD")));
    let bare = update(json!({ "environment": null })).await.expect(StatusCode::OK);
    assert_eq!((&bare["name"], &bare["environment"]), (&json!("Pipeline"), &Value::Null));
    let shown = app.operator("GET", &path).send().await.expect(StatusCode::OK);
    assert_eq!(shown, bare);
    assert_eq!(shown["mask"], created["mask"], "the key itself stays as it is");
    assert_eq!(update(json!({})).await.expect(StatusCode::OK), bare);

    for (body, pointer) in [
        (json!({ "environment": "" }), "/environment"),
        (json!({ "environment": "x".repeat(33) }), "/environment"),
        (json!({ "environment": "a\u{202e}b" }), "/environment"),
        (json!({ "name": " " }), "/name"),
        (json!({ "name": null, "environment": "a\nb" }), "/environment"),
    ] {
        let answer = update(body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.problem("validation_failed")["errors"][0]["pointer"], pointer, "{body}");
    }
    let log = app.operator("GET", "/v1/audit-log").send().await.expect(StatusCode::OK);
    let changes: Vec<&Value> =
        log["data"].as_array().unwrap().iter().filter(|event| event["action"] == "key.updated").collect();
    assert_eq!(changes.len(), 2, "what changes nothing is no event");
    assert_eq!(changes[0]["details"]["fields"], "environment");
    assert_eq!(changes[1]["account_id"], account.as_str());
}
