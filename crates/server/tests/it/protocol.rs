//! What every answer keeps to: ids, caching, methods, HEAD, and what happens when a handler breaks.

use std::sync::atomic::Ordering;

use http::StatusCode;
use rndrkit_domain::id::RequestId;
use rndrkit_domain::random::OsEntropy;

use crate::app::{App, UNCHECKABLE};

#[tokio::test]
async fn every_answer_names_its_request_and_may_not_be_kept() {
    let app = App::start().await;
    let id = RequestId::generate(app.control.now(), &OsEntropy);
    for (method, path) in
        [("GET", "/v1/accounts"), ("GET", "/v1/nothing"), ("PUT", "/v1/accounts"), ("GET", "/livez")]
    {
        let answer = app.operator(method, path).request_id(id).send().await;
        assert_eq!(answer.header("x-rk-request-id"), id.to_string(), "{method} {path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
        let answer = app.operator(method, path).send().await;
        assert!(answer.header("x-rk-request-id").parse::<RequestId>().is_ok(), "{method} {path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_405_says_what_is_allowed() {
    let app = App::start().await;
    for path in ["/", "/v1", "/v1/accounts/", "/v1/keys", "/v2/accounts", "/api/rk/account"] {
        let answer = app.operator("GET", path).send().await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        answer.problem("not_found");
    }
    for (method, path, allowed) in [
        ("PUT", "/v1/accounts", ["GET", "HEAD", "POST"].as_slice()),
        ("POST", "/v1/keys/key_x", &["GET", "HEAD", "PATCH", "DELETE"]),
        ("OPTIONS", "/v1/tokens/tok_x", &["DELETE"]),
        ("POST", "/livez", &["GET", "HEAD"]),
    ] {
        let answer = app.operator(method, path).anonymous().send().await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        answer.problem("method_not_allowed");
        let allow: std::collections::BTreeSet<_> = answer.header("allow").split(',').map(str::trim).collect();
        assert_eq!(allow, allowed.iter().copied().collect(), "{method} {path}");
    }
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let app = App::start().await;
    for path in ["/v1/accounts", "/livez", "/v1/nothing", "/v1/accounts/acc_x"] {
        let get = app.operator("GET", path).send().await;
        let head = app.operator("HEAD", path).send().await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.body.is_empty(), "{path}: {}", head.body);
    }
}

#[tokio::test]
async fn a_handler_that_breaks_answers_500_and_the_next_call_is_served() {
    let app = App::start().await;
    app.switches.panics.store(true, Ordering::SeqCst);
    let answer = app.operator("GET", "/readyz").send().await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let problem = answer.problem("internal");
    assert!(!problem.to_string().contains("as a test asked"), "the cause is for the log only");
    app.switches.panics.store(false, Ordering::SeqCst);
    app.operator("GET", "/readyz").send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_is_our_trouble_and_not_the_callers() {
    let app = App::start().await;
    let answer = app.operator("GET", "/v1/accounts").token(UNCHECKABLE).send().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    answer.problem("unavailable");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(answer.header("www-authenticate"), "");
}

#[tokio::test]
async fn two_authorization_headers_are_malformed_even_when_equal() {
    let app = App::start().await;
    let call = app.operator("GET", "/v1/accounts").another("authorization", "Bearer operator-token");
    let answer = call.send().await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    answer.problem("invalid_request");
}
