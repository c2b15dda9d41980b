//! `Idempotency-Key` on the three creates.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{ADMIN, App};

#[tokio::test]
async fn a_repeat_makes_nothing_new_and_never_shows_the_secret_again() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let keys = format!("/v1/accounts/{account}/keys");
    let creates = [
        ("/v1/accounts", json!({ "email": "b@example.com" }), false),
        (keys.as_str(), json!({ "name": "CI" }), true),
        ("/v1/tokens", json!({ "name": "billing", "scope": "read" }), true),
    ];
    for (path, body, has_secret) in creates {
        let send = |key: &str| app.operator("POST", path).json(&body).header("idempotency-key", key).send();
        let first = send("8e03978e").await.expect(StatusCode::CREATED);
        let before = app.everything().await;
        let again = send("\"8e03978e\"").await.expect(StatusCode::CREATED);
        assert_eq!(again["id"], first["id"], "{path}");
        assert_eq!(app.everything().await, before, "{path}: the repeat changed something");
        if has_secret {
            assert!(first["secret"].is_string());
            assert_eq!(again["secret"], Value::Null, "{path}");
            assert_eq!(again["secret_status"], "already_delivered", "{path}");
        }
    }
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/keys");
    let send = |body: &str| {
        app.operator("POST", &path)
            .text("application/json", body.to_owned())
            .header("idempotency-key", "one")
            .send()
    };
    let first = send(r#"{"name":"CI","expires_at":null}"#).await.expect(StatusCode::CREATED);
    let respelt = send(r#" {"expires_at" : null, "name" : "\u0043I"} "#).await.expect(StatusCode::CREATED);
    assert_eq!(respelt["id"], first["id"], "the meaning is the same");
    let other = send(r#"{"name":"CD"}"#).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    other.problem("validation_failed");
}

#[tokio::test]
async fn keys_of_different_routes_accounts_and_askers_do_not_meet() {
    let app = App::start().await;
    let one = app.account("one@example.com").await;
    let two = app.account("two@example.com").await;
    let mut made = Vec::new();
    for (account, token) in [(&one, "operator-token"), (&two, "operator-token"), (&one, ADMIN)] {
        let call = app.operator("POST", &format!("/v1/accounts/{account}/keys")).token(token);
        let call = call.json(&json!({ "name": "CI" })).header("idempotency-key", "same");
        made.push(call.send().await.expect(StatusCode::CREATED)["secret"].clone());
    }
    assert!(made.iter().all(Value::is_string), "each call made a key of its own");
}

#[tokio::test]
async fn keys_that_are_not_one_short_visible_text_are_refused_before_anything_is_made() {
    let app = App::start().await;
    let before = app.everything().await;
    for bad in ["", "a b", "\"open", &"k".repeat(256)] {
        let call = app.operator("POST", "/v1/accounts").json(&json!({ "email": "b@example.com" }));
        let answer = call.header("idempotency-key", bad).send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?}");
        answer.problem("invalid_request");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_with_one_key_that_race_make_one_thing_and_show_its_secret_once() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/keys");
    let calls = (0..16).map(|_| {
        let call = app.operator("POST", &path).json(&json!({ "name": "CI" }));
        tokio::spawn(call.header("idempotency-key", "one").send())
    });
    let mut secrets = 0;
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        if answer.status == StatusCode::CONFLICT {
            answer.problem("idempotency_in_progress");
        } else {
            secrets += usize::from(answer.expect(StatusCode::CREATED)["secret"].is_string());
        }
    }
    assert_eq!(secrets, 1);
    let list = app.operator("GET", &path).send().await.expect(StatusCode::OK);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
