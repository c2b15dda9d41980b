//! `POST /v1/keys/{id}/rotate`, as the contract has it.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{Answer, App};

async fn rotate(app: &App, key: &str, body: Value) -> Answer {
    app.operator("POST", &format!("/v1/keys/{key}/rotate")).json(&body).send().await
}

#[tokio::test]
async fn a_rotated_key_shows_its_new_secret_once_and_says_until_when_the_old_one_works() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, old) = app.key(&account, "CI").await;
    let answer = rotate(&app, &key, json!({})).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let rotated = answer.expect(StatusCode::CREATED);
    let secret = rotated["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("rk_live_") && secret.len() == "rk_live_".len() + 32 && secret != old);
    assert_eq!(
        (&rotated["id"], &rotated["name"], &rotated["status"]),
        (&json!(key), &json!("CI"), &json!("active"))
    );
    assert_eq!(rotated["mask"], secret[..12]);
    let previous = json!({"mask": &old[..12], "works_until": "2026-11-24T12:00:00.000Z"});
    assert_eq!(rotated["previous"], previous, "24 hours, when nobody says");
    for path in
        [format!("/v1/accounts/{account}/keys"), format!("/v1/keys/{key}"), "/v1/audit-log".to_owned()]
    {
        let answer = app.operator("GET", &path).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.body.contains(&secret[12..]), "{path} shows the secret");
    }
    let shown = app.operator("GET", &format!("/v1/keys/{key}")).send().await.expect(StatusCode::OK);
    assert_eq!((&shown["mask"], &shown["previous"]), (&rotated["mask"], &previous));
    app.clock.advance(Duration::from_secs(86_400));
    let shown = app.operator("GET", &format!("/v1/keys/{key}")).send().await.expect(StatusCode::OK);
    assert_eq!(shown["previous"], Value::Null, "its time is over");
    let account = app.operator("GET", &format!("/v1/accounts/{account}")).send().await.expect(StatusCode::OK);
    assert_eq!(account["keys"]["active"], 1, "no second slot");
}

#[tokio::test]
async fn without_an_overlap_there_is_no_previous_secret() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    let rotated = rotate(&app, &key, json!({"overlap_seconds": 0})).await.expect(StatusCode::CREATED);
    assert_eq!(rotated["previous"], Value::Null);
    let events = app.operator("GET", "/v1/audit-log").send().await.expect(StatusCode::OK);
    assert_eq!(events["data"][0]["action"], "key.rotated");
    assert_eq!(events["data"][0]["target"], json!({"type": "key", "id": key}));
    assert_eq!(events["data"][0]["account_id"], account.as_str());
    assert_eq!(events["data"][0]["details"], json!({"overlap_seconds": "0"}));
}

#[tokio::test]
async fn an_overlap_is_from_none_to_seven_days() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    let before = app.everything().await;
    for too_long in [json!(604_801), json!(u64::MAX)] {
        let answer = rotate(&app, &key, json!({"overlap_seconds": too_long})).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{too_long}: {}", answer.body);
        assert_eq!(answer.problem("validation_failed")["errors"][0]["pointer"], "/overlap_seconds");
    }
    for wrong in [json!(-1), json!(1.5), json!("3600")] {
        let answer = rotate(&app, &key, json!({"overlap_seconds": wrong})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}: {}", answer.body);
    }
    assert_eq!(rotate(&app, &key, json!({"overlap": 1})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(app.everything().await, before);
    let longest = rotate(&app, &key, json!({"overlap_seconds": 604_800})).await.expect(StatusCode::CREATED);
    assert_eq!(longest["previous"]["works_until"], "2026-11-30T12:00:00.000Z");
    let usual = rotate(&app, &key, json!({"overlap_seconds": null})).await.expect(StatusCode::CREATED);
    assert_eq!(usual["previous"]["works_until"], "2026-11-24T12:00:00.000Z");
}

#[tokio::test]
async fn a_repeated_rotation_rotates_once_and_shows_no_secret() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    let send = |body: Value| {
        let call = app.operator("POST", &format!("/v1/keys/{key}/rotate")).json(&body);
        call.header("idempotency-key", "8e03978e").send()
    };
    let first = send(json!({"overlap_seconds": 3600})).await.expect(StatusCode::CREATED);
    let before = app.everything().await;
    let again = send(json!({"overlap_seconds": 3600})).await.expect(StatusCode::CREATED);
    assert_eq!(app.everything().await, before, "the repeat changed something");
    assert_eq!((&again["secret"], &again["secret_status"]), (&Value::Null, &json!("already_delivered")));
    assert_eq!((&again["mask"], &again["previous"]), (&first["mask"], &first["previous"]));
    send(json!({"overlap_seconds": 0})).await.problem("validation_failed");
    // The same key of the header on another route, or another API key, is another call.
    let (other, _) = app.key(&account, "CD").await;
    let call =
        app.operator("POST", &format!("/v1/keys/{other}/rotate")).json(&json!({"overlap_seconds": 3600}));
    let other = call.header("idempotency-key", "8e03978e").send().await.expect(StatusCode::CREATED);
    assert!(other["secret"].is_string());
}

#[tokio::test]
async fn a_key_that_is_not_active_or_not_there_is_not_rotated() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    app.operator("DELETE", &format!("/v1/keys/{key}")).send().await.expect(StatusCode::OK);
    let answer = rotate(&app, &key, json!({})).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer.problem("validation_failed");
    assert_eq!(
        problem["detail"],
        "This key was deleted or has expired, so it gets no new secret. Create another key."
    );
    let unknown = format!("key_{}", "0".repeat(26));
    assert_eq!(rotate(&app, &unknown, json!({})).await.status, StatusCode::NOT_FOUND);
    let (key, _) = app.key(&account, "CI").await;
    let patch = |body: Value| app.operator("PATCH", &format!("/v1/accounts/{account}")).json(&body).send();
    patch(json!({"plan": "pro"})).await.expect(StatusCode::OK);
    rotate(&app, &key, json!({})).await.problem("plan_required");
    patch(json!({"status": "suspended"})).await.expect(StatusCode::OK);
    rotate(&app, &key, json!({})).await.problem("account_suspended");
}
