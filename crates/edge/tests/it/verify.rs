//! `POST /v1/keys/verify`: who may ask, what is understood, and what is answered.

use std::sync::atomic::Ordering;

use rndrkit_domain::token::Scope;
use serde_json::{Value, json};

use crate::wire::{Message, connect, request};
use crate::world::{BURST, OPERATOR_TOKEN, TestKey, World};

async fn post(world: &World, lines: &[&str], body: &str) -> Message {
    let mut client = connect(world.internal).await;
    client.send(request("POST /v1/keys/verify", lines, body)).await;
    client.answer().await
}

async fn verify(world: &World, question: &Value) -> Message {
    let token = format!("Authorization: Bearer {OPERATOR_TOKEN}");
    post(world, &[&token, "Content-Type: application/json; charset=utf-8"], &question.to_string()).await
}

fn about(key: &TestKey) -> Value {
    json!({"secret": key.text})
}

#[tokio::test]
async fn a_good_key_is_valid_with_its_account_and_what_to_reply() {
    let world = World::with(|options| {
        options.plan_names = std::sync::Arc::new(|plan| format!("Plan {plan}"));
    })
    .await;
    let key = world.key();
    world.name_externally(&key, "cus_42");
    let answer = verify(&world, &about(&key)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = json!({
        "valid": true, "code": "valid", "status": 200,
        "key": {"id": key.id.to_string()},
        "account": {
            "id": key.account.to_string(), "external_id": "cus_42",
            "plan": {"id": "agency", "name": "Plan agency"},
        },
        "rate_limit": {"per_minute": 60, "burst": 20, "remaining": 19, "reset_seconds": 1},
        "headers": {
            "RateLimit-Policy": "\"account\";q=20;w=20",
            "RateLimit": "\"account\";r=19;t=1",
        },
        "problem": null,
        "request_id": answer.header("x-rk-request-id"),
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn a_refusal_is_a_200_with_everything_to_reply_with() {
    let world = World::with(|_| {}).await;
    let (revoked, downgraded) = (world.key(), world.key());
    world.revoke(&revoked);
    world.downgrade(&downgraded);
    for (question, status, code, has_key) in [
        (about(&revoked), 401, "key_revoked", true),
        (about(&downgraded), 403, "plan_required", true),
        (json!({"secret": "nonsense"}), 401, "invalid_key", false),
        (json!({"secret": "a\u{0}b"}), 401, "invalid_key", false),
        (json!({"secret": "x".repeat(60_000)}), 401, "invalid_key", false),
        (json!({"secret": "ключ\r\n\u{7f}"}), 401, "invalid_key", false),
        (json!({"secret": " "}), 401, "invalid_key", false),
        (json!({"secret": ""}), 401, "missing_key", false),
    ] {
        let answer = verify(&world, &question).await;
        assert_eq!(answer.status(), 200, "{code}");
        let json = answer.json();
        assert_eq!((json["valid"].clone(), json["status"].clone()), (json!(false), json!(status)), "{code}");
        assert_eq!((json["code"].as_str(), json["problem"]["code"].as_str()), (Some(code), Some(code)));
        assert_eq!(json["key"].is_object(), has_key, "{code}");
        assert_eq!(json["account"].is_object(), has_key, "{code}");
        assert_eq!(json["headers"]["Content-Type"], "application/problem+json");
        assert_eq!(json["headers"]["Cache-Control"], "no-store");
        assert_eq!(json["headers"].get("WWW-Authenticate").is_some(), status == 401, "{code}");
    }
}

#[tokio::test]
async fn cost_takes_from_the_budget_and_none_only_looks() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let costing = |cost: u32| json!({"secret": key.text, "cost": cost});
    let remaining = |answer: &Message| answer.json()["rate_limit"]["remaining"].as_u64();
    assert_eq!(remaining(&verify(&world, &costing(0)).await), Some(20));
    assert_eq!(remaining(&verify(&world, &costing(15)).await), Some(5));
    let refused = verify(&world, &costing(6)).await;
    assert_eq!((refused.json()["code"].as_str(), remaining(&refused)), (Some("rate_limited"), Some(5)));
    assert_eq!(refused.json()["headers"]["Retry-After"], "1");
    assert_eq!(refused.json()["headers"]["RateLimit"], "\"account\";r=5;t=1");
    assert_eq!(remaining(&verify(&world, &costing(5)).await), Some(0));
    assert_eq!(verify(&world, &costing(0)).await.json()["valid"], true);
}

#[tokio::test]
async fn a_cost_that_no_budget_can_meet_is_a_mistake_and_spends_nothing() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let answer = verify(&world, &json!({"secret": key.text, "cost": BURST + 1})).await;
    assert_eq!((answer.status(), answer.code().as_str()), (422, "validation_failed"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/cost");
    let answer = verify(&world, &json!({"secret": key.text, "cost": BURST})).await;
    assert_eq!(answer.json()["valid"], true);
}

#[tokio::test]
async fn the_operator_token_and_every_scope_may_ask_and_nobody_else() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    for (text, scope) in [("t_admin", Scope::Admin), ("t_read", Scope::Read), ("t_verify", Scope::Verify)] {
        world.token(text, scope);
    }
    let json = "Content-Type: application/json";
    for token in [OPERATOR_TOKEN, "t_admin", "t_read", "t_verify"] {
        let answer =
            post(&world, &[&format!("Authorization: bearer {token}"), json], &about(&key).to_string()).await;
        assert_eq!(answer.status(), 200, "{token}");
    }
    for (line, code) in [
        ("X-Nothing: here", "missing_token"),
        ("Authorization: Basic dTpw", "missing_token"),
        ("Authorization: Bearer ", "missing_token"),
        ("Authorization: Bearer t_other", "invalid_token"),
    ] {
        let answer = post(&world, &[line, json], &about(&key).to_string()).await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, code), "{line}");
        assert!(answer.header("www-authenticate").is_some());
    }
}

#[tokio::test]
async fn not_knowing_is_503_about_key_and_token_alike() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    world.source.failing.store(true, Ordering::SeqCst);
    let answer = verify(&world, &about(&key)).await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let lines = ["Authorization: Bearer t_some", "Content-Type: application/json"];
    let answer = post(&world, &lines, &about(&key).to_string()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_refused_without_repeating_it() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let token = format!("Authorization: Bearer {OPERATOR_TOKEN}");
    let large = json!({"secret": "s", "context": {"path": "x".repeat(70_000)}}).to_string();
    let kind = "Content-Type: application/json";
    let secret = &key.text;
    for (kind, body, status, code) in [
        ("Content-Type: text/plain", about(&key).to_string(), 415, "unsupported_media_type"),
        ("Content-Type: application/jsonx", about(&key).to_string(), 415, "unsupported_media_type"),
        ("X-Nothing: here", about(&key).to_string(), 415, "unsupported_media_type"),
        (kind, large, 413, "payload_too_large"),
        (kind, "{".to_owned(), 400, "invalid_request"),
        (kind, "[]".to_owned(), 400, "invalid_request"),
        (kind, "{}".to_owned(), 400, "invalid_request"),
        (kind, "null".to_owned(), 400, "invalid_request"),
        (kind, format!("{{\"secret\":\"{secret}\"}}x"), 400, "invalid_request"),
        (kind, format!("{{\"secret\":\"{secret}\",\"secret\":\"{secret}\"}}"), 400, "invalid_request"),
        (kind, format!("{{\"secret\":\"{secret}\",\"cost\":0,\"cost\":1}}"), 400, "invalid_request"),
        (kind, format!("{{\"secret\":[\"{secret}\"]}}"), 400, "invalid_request"),
        (kind, format!("{{\"secret\":\"{secret}\\ud800\"}}"), 400, "invalid_request"),
        (kind, "{\"secret\":null}".to_owned(), 400, "invalid_request"),
        (kind, "{\"secret\":7}".to_owned(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "cost": -1}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "cost": 1.5}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "cost": "1"}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "cost": 5_000_000_000_u64}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "cots": 1}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": "s", "cost": secret}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "context": []}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "context": {"host": "a"}}).to_string(), 400, "invalid_request"),
        (kind, json!({"secret": secret, "context": {"path": 1}}).to_string(), 400, "invalid_request"),
        (
            kind,
            json!({"secret": secret, "context": {"ip": "somewhere"}}).to_string(),
            422,
            "validation_failed",
        ),
        (kind, json!({"secret": secret, "context": {"ip": ""}}).to_string(), 422, "validation_failed"),
    ] {
        let answer = post(&world, &[&token, kind], &body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{body:.80}");
        assert!(!answer.text().contains(secret), "{code}");
        let pointer = answer.json()["errors"][0]["pointer"].as_str().map(str::to_owned);
        assert_eq!(pointer.is_some(), status == 422, "{body:.80}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_text_is_refused() {
    let world = World::with(|_| {}).await;
    let head = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {OPERATOR_TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 14\r\n\r\n"
    );
    let mut client = connect(world.internal).await;
    client.send([head.as_bytes(), b"{\"secret\":\"\xff\"}"].concat()).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn whatever_the_askers_caller_wrote_about_himself_is_no_mistake_of_the_asker() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    for context in [
        Value::Null,
        json!({}),
        json!({"ip": null, "method": null, "path": null, "user_agent": null}),
        json!({"method": "", "path": "", "user_agent": ""}),
        json!({"method": "BREW\r\nX", "path": "/\u{0}\u{202e}", "user_agent": "\u{1b}[2J"}),
        json!({"method": "M".repeat(5_000), "path": "p".repeat(20_000), "user_agent": "ü".repeat(9_000)}),
        json!({"ip": "fe80::1%eth0"}),
    ] {
        let answer = verify(&world, &json!({"secret": key.text, "context": context, "cost": null})).await;
        assert_eq!((answer.status(), answer.json()["valid"].clone()), (200, json!(true)), "{context:.60}");
    }
}

#[tokio::test]
async fn several_keys_are_malformed_however_they_were_joined() {
    let world = World::with(|_| {}).await;
    let (one, two) = (world.key(), world.key());
    for secret in [format!("{}, {}", one.text, two.text), format!("{0},{0}", one.text), ",".to_owned()] {
        let answer = verify(&world, &json!({"secret": secret})).await;
        let json = answer.json();
        assert_eq!((json["status"].clone(), json["code"].clone()), (json!(400), json!("invalid_request")));
        assert_eq!(json["problem"]["status"], 400);
        assert!(!answer.text().contains(&one.text));
    }
}

#[tokio::test]
async fn failed_look_ups_are_bounded_per_address_that_the_asker_names() {
    let world = World::with(|_| {}).await;
    let strangers = World::with(|_| {}).await;
    let ask = |ip: &'static str| {
        let stranger = strangers.key();
        let world = &world;
        async move {
            let question = json!({"secret": stranger.text, "context": {"ip": ip}});
            verify(world, &question).await.json()["code"].as_str().unwrap().to_owned()
        }
    };
    for _ in 0..100 {
        assert_eq!(ask("203.0.113.9").await, "invalid_key");
    }
    assert_eq!(ask("203.0.113.9").await, "too_many_failures");
    assert_eq!(ask("::ffff:203.0.113.9").await, "too_many_failures");
    assert_eq!(ask("203.0.113.10").await, "invalid_key");
}

#[tokio::test]
async fn everything_else_on_the_internal_listener_goes_to_the_operator_api() {
    let world = World::with(|_| {}).await;
    for first_line in ["POST /v1/keys/verify/", "GET /v1/keys/verify2", "POST /v1/accounts", "GET /livez"] {
        let answer = crate::wire::ask(world.internal, first_line, &[]).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "passed on"), "{first_line}");
    }
    assert_eq!(world.passed().len(), 4);
}

#[tokio::test]
async fn only_post_asks() {
    let world = World::with(|_| {}).await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = crate::wire::ask(world.internal, &format!("{method} /v1/keys/verify"), &[]).await;
        assert_eq!((answer.status(), answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let mut client = connect(world.internal).await;
    client.send(request("HEAD /v1/keys/verify", &["Connection: close"], "")).await;
    assert_eq!(client.head().await.status(), 405);
    assert!(client.is_closed().await);
    assert!(world.passed().is_empty());
}
