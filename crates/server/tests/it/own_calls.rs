//! `/api/rk/`: what the holder of a key may call, given the listener's decision.

use std::num::NonZeroU32;

use http::StatusCode;
use rndrkit_domain::decision::{BudgetState, Caller, Decision, Denial};
use rndrkit_domain::plan::{PlanId, RateLimit};
use serde_json::json;

use crate::app::App;

fn caller(account: &str, key: &str) -> Caller {
    Caller {
        key_id: key.parse().unwrap(),
        account_id: account.parse().unwrap(),
        external_id: None,
        plan: PlanId::parse("agency").unwrap(),
    }
}

pub fn allowed(account: &str, key: &str) -> Decision {
    let number = |n| NonZeroU32::new(n).unwrap();
    let limit = RateLimit { per_minute: number(600), burst: number(100) };
    Decision::Allowed {
        caller: caller(account, key),
        budget: BudgetState { limit, remaining: 99, reset_seconds: 1 },
    }
}

fn denied(account: &str, key: &str, denial: Denial) -> Decision {
    Decision::Denied { denial, caller: Some(caller(account, key)), budget: None }
}

#[tokio::test]
async fn the_holder_sees_its_account_its_key_and_its_budget() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, secret) = app.key(&account, "CI").await;
    let answer = app.public("GET", "/api/rk/account").extension(allowed(&account, &key)).send().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.body.contains(&secret));
    let json = answer.expect(StatusCode::OK);
    assert_eq!(json["account"]["id"], account.as_str());
    assert_eq!(json["account"]["keys"], json!({ "active": 1, "limit": 5 }));
    assert_eq!(json["key"]["id"], key.as_str());
    assert_eq!(
        json["rate_limit"],
        json!({ "per_minute": 600, "burst": 100, "remaining": 99, "reset_seconds": 1 })
    );
}

#[tokio::test]
async fn usage_is_a_list_and_bad_days_are_pointed_at() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    let get = |query: &str| {
        app.public("GET", &format!("/api/rk/usage{query}")).extension(allowed(&account, &key)).send()
    };
    assert_eq!(get("").await.expect(StatusCode::OK), json!({ "data": [] }));
    get("?from=2026-11-01&to=2026-11-23").await.expect(StatusCode::OK);
    let bad = get("?from=yesterday&to=2026-13-01").await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bad.problem("validation_failed")["errors"].as_array().unwrap().len(), 2);
    get("?form=2026-11-01").await.problem("invalid_request");
}

#[tokio::test]
async fn whoever_holds_a_secret_may_end_it_whatever_stands_against_the_account() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    for denial in
        [None, Some(Denial::AccountSuspended), Some(Denial::PlanRequired), Some(Denial::RateLimited)]
    {
        let (key, _) = app.key(&account, "CI").await;
        let decision = match denial {
            None => allowed(&account, &key),
            Some(denial) => denied(&account, &key, denial),
        };
        let answer = app.public("DELETE", "/api/rk/keys/self").extension(decision).send().await;
        let receipt = answer.expect(StatusCode::OK);
        assert_eq!(receipt["id"], key.as_str());
        assert_eq!(receipt["nodes_confirmed"], 1);
        let key = app.operator("GET", &format!("/v1/keys/{key}")).send().await.expect(StatusCode::OK);
        assert_eq!(key["revoked_reason"], "holder", "{denial:?}");
    }
}

#[tokio::test]
async fn nothing_is_answered_without_a_good_decision() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    let calls = [("GET", "/api/rk/account"), ("GET", "/api/rk/usage"), ("DELETE", "/api/rk/keys/self")];
    for (method, path) in calls {
        let undecided = app.public(method, path).header("cookie", "rk_session_local=x").send().await;
        assert_eq!(undecided.status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}");
        undecided.problem("internal");
        for denial in Denial::ALL {
            let ends_itself = method == "DELETE"
                && matches!(denial, Denial::AccountSuspended | Denial::PlanRequired | Denial::RateLimited);
            if !ends_itself {
                let decision = denied(&account, &key, denial);
                let answer = app.public(method, path).extension(decision).send().await;
                assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path} {denial:?}");
            }
        }
    }
    let key = app.operator("GET", &format!("/v1/keys/{key}")).send().await.expect(StatusCode::OK);
    assert_eq!(key["status"], "active");
}

#[tokio::test]
async fn a_decision_about_one_account_opens_nothing_of_another() {
    let app = App::start().await;
    let one = app.account("one@example.com").await;
    let two = app.account("two@example.com").await;
    let (key_of_two, _) = app.key(&two, "CI").await;
    let mixed = allowed(&one, &key_of_two);
    let answer = app.public("DELETE", "/api/rk/keys/self").extension(mixed).send().await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let key = app.operator("GET", &format!("/v1/keys/{key_of_two}")).send().await.expect(StatusCode::OK);
    assert_eq!(key["status"], "active");
}

#[tokio::test]
async fn the_rest_of_the_own_tree_is_problems_and_no_list_or_create_is_there() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    for path in ["/api/rk/", "/api/rk/keys", "/api/rk/nothing", "/api/rk/keys/self/more"] {
        for method in ["GET", "POST"] {
            let answer = app.public(method, path).extension(allowed(&account, &key)).send().await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
            let problem = answer.problem("not_found");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("DELETE /api/rk/keys/self"), "{detail}");
            assert!(!detail.contains("internal"), "{detail}");
        }
    }
    let answer = app.public("POST", "/api/rk/keys/self").extension(allowed(&account, &key)).send().await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "DELETE");
    answer.problem("method_not_allowed");
}

#[tokio::test]
async fn beside_the_own_tree_the_public_listener_is_the_dashboard() {
    let app = App::start().await;
    for (path, status) in [("/sign-in", StatusCode::OK), ("/no-such-page", StatusCode::NOT_FOUND)] {
        let answer = app.public("GET", path).header("host", "localhost:8080").send().await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    let internal = app.public("GET", "/v1/accounts").header("host", "localhost:8080").token("operator-token");
    assert_eq!(internal.send().await.status, StatusCode::NOT_FOUND, "the operator API is not public");
}
