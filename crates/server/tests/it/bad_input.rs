//! Input that nobody sends by mistake twice: refused with the right status, and nothing is made of it.

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn malformed_bodies_are_400_and_change_nothing() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let before = app.everything().await;
    let keys = format!("/v1/accounts/{account}/keys");
    let one = format!("/v1/accounts/{account}");
    let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let deep_objects = format!("{}1{}", r#"{"name":"#.repeat(5_000), "}".repeat(5_000));
    let bodies = [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        r#"{"name""#,
        r#"{"name":}"#,
        "{'name':'x'}",
        "\u{feff}{}",
        r#"{"name":"x",}"#,
        r#"{"name":7}"#,
        r#"{"name":["x"]}"#,
        r#"{"name":{"a":"x"}}"#,
        r#"{"colour":"x"}"#,
        r#"{"name":"x","name":"y"}"#,
        r#"{"name":"\ud800"}"#,
        &deep,
        &deep_objects,
    ];
    for (method, path) in
        [("POST", keys.as_str()), ("PATCH", &one), ("POST", "/v1/accounts"), ("POST", "/v1/tokens")]
    {
        for body in bodies {
            let answer = app.operator(method, path).text("application/json", body.to_owned()).send().await;
            let shown: String = body.chars().take(40).collect();
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {shown}: {}", answer.body);
            answer.problem("invalid_request");
        }
        let not_utf8 = app.operator(method, path).text("application/json", b"{\"name\":\"\xff\"}".to_vec());
        not_utf8.send().await.problem("invalid_request");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn bodies_over_64_kib_are_413_however_they_arrive() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let path = format!("/v1/accounts/{account}/keys");
    let ten_megabytes = format!(r#"{{"name":"{}"}}"#, "x".repeat(10 * 1024 * 1024));
    let answer = app.operator("POST", &path).text("application/json", ten_megabytes.clone()).send().await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    answer.problem("payload_too_large");

    // Without a length, in pieces.
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        ten_megabytes.as_bytes().chunks(16 * 1024).map(|piece| Ok(piece.to_vec())).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let answer = app.operator("POST", &path).text("application/json", body).send().await;
    answer.problem("payload_too_large");
}

#[tokio::test]
async fn bodies_that_are_not_json_by_name_are_415() {
    let app = App::start().await;
    let body = json!({ "email": "b@example.com" }).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let answer = app.operator("POST", "/v1/accounts").text(content_type, body.clone()).send().await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        answer.problem("unsupported_media_type");
    }
    let call = app.operator("POST", "/v1/accounts").text("application/json", body);
    let packed = call.header("content-encoding", "gzip").send().await;
    packed.problem("unsupported_media_type");
}

#[tokio::test]
async fn unacceptable_names_are_422_and_pointed_at() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let before = app.everything().await;
    let long = "x".repeat(65);
    let names = ["", "   ", &long, "a\nb", "a\tb", "a\u{0}b", "a\u{202e}b", "a\u{200b}b", "a\u{2028}b"];
    for name in names {
        let calls = [
            ("POST", format!("/v1/accounts/{account}/keys"), json!({ "name": name })),
            ("PATCH", format!("/v1/accounts/{account}"), json!({ "name": name })),
            ("POST", "/v1/accounts".to_owned(), json!({ "email": "b@example.com", "name": name })),
            ("POST", "/v1/tokens".to_owned(), json!({ "scope": "read", "name": name })),
        ];
        for (method, path, body) in calls {
            let answer = app.operator(method, &path).json(&body).send().await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{method} {path} {name:?}");
            assert_eq!(answer.problem("validation_failed")["errors"][0]["pointer"], "/name");
        }
    }
    assert_eq!(app.everything().await, before);
    app.key(&account, &"é".repeat(64)).await;
}

#[tokio::test]
async fn unknown_plans_past_ends_and_bad_values_are_422_and_pointed_at() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let before = app.everything().await;
    let one = format!("/v1/accounts/{account}");
    let keys = format!("{one}/keys");
    let cases: [(&str, &str, Value, &str); 10] = [
        ("POST", "/v1/accounts", json!({ "email": "b@example.com", "plan": "platinum" }), "/plan"),
        ("POST", "/v1/accounts", json!({ "email": "b@example.com", "plan": "" }), "/plan"),
        ("PATCH", &one, json!({ "plan": "platinum" }), "/plan"),
        ("PATCH", &one, json!({ "status": "deleted" }), "/status"),
        ("POST", "/v1/accounts", json!({ "email": "nobody" }), "/email"),
        ("POST", "/v1/accounts", json!({ "email": "b@example.com", "external_id": "-" }), "/external_id"),
        ("PATCH", &one, json!({ "external_id": "a\r\nX-Rk-Plan: agency" }), "/external_id"),
        ("POST", &keys, json!({ "name": "CI", "expires_at": "2026-11-23T11:59:59Z" }), "/expires_at"),
        ("POST", &keys, json!({ "name": "CI", "expires_at": "tomorrow" }), "/expires_at"),
        (
            "POST",
            "/v1/tokens",
            json!({ "name": "t", "scope": "read", "expires_at": "1969-01-01T00:00:00Z" }),
            "/expires_at",
        ),
    ];
    for (method, path, body, pointer) in cases {
        let answer = app.operator(method, path).json(&body).send().await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{method} {path} {body}: {}",
            answer.body
        );
        assert_eq!(answer.problem("validation_failed")["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn ids_of_nothing_of_another_kind_or_in_another_spelling_are_404() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    let upper = format!("acc_{}", account[4..].to_ascii_uppercase());
    let ids = [
        key.as_str(),
        &upper,
        "acc_",
        "acc_00000000000000000000000000",
        "x",
        "%00",
        "%ff",
        "..%2F..%2Fetc",
        "acc_%0d%0aX:%20y",
    ];
    for id in ids {
        let calls = [
            ("GET", format!("/v1/accounts/{id}"), Value::Null),
            ("PATCH", format!("/v1/accounts/{id}"), json!({ "name": "x" })),
            ("DELETE", format!("/v1/accounts/{id}"), Value::Null),
            ("GET", format!("/v1/accounts/{id}/keys"), Value::Null),
            ("POST", format!("/v1/accounts/{id}/keys"), json!({ "name": "CI" })),
            ("POST", format!("/v1/accounts/{id}/links"), json!({ "kind": "invite" })),
            ("DELETE", format!("/v1/tokens/{id}"), Value::Null),
        ];
        for (method, path, body) in calls {
            let answer = app.operator(method, &path).json(&body).send().await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.body);
            answer.problem("not_found");
        }
    }
    for method in ["GET", "DELETE"] {
        app.operator(method, &format!("/v1/keys/{account}")).send().await.problem("not_found");
    }
}
