//! `/v1/accounts/{id}/usage`, and the days that a key's holder sees of the same counts.

use http::StatusCode;
use rndrkit_domain::usage::{AnswerCounts, UsageCounts};
use serde_json::{Value, json};

use crate::app::App;
use crate::own_calls::allowed;

/// The app's clock stands at noon of 23 November 2026.
async fn counted() -> (App, String, [String; 2]) {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let mut keys = [app.key(&account, "CI").await.0, app.key(&account, "Production").await.0];
    keys.sort_unstable();
    let answers = AnswerCounts { successful: 5, redirection: 1, client_error: 2, server_error: 1 };
    let counts = UsageCounts { allowed: 10, limited: 3, refused: 2, answers };
    for (key, minute) in [
        (&keys[0], "2026-11-23T11:58:00Z"),
        (&keys[1], "2026-11-23T11:58:00Z"),
        (&keys[0], "2026-11-23T11:59:00Z"),
        (&keys[0], "2026-11-22T23:59:00Z"),
        (&keys[1], "2026-10-01T00:00:00Z"),
    ] {
        app.count(&account, key, minute, counts).await;
    }
    (app, account, keys)
}

fn starts(list: &Value) -> Vec<(String, u64)> {
    let text = |entry: &Value| entry["starts_at"].as_str().unwrap().to_owned();
    let entries = list["data"].as_array().unwrap().iter();
    entries.map(|entry| (text(entry), entry["allowed"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn use_is_answered_by_day_and_key_with_what_requests_were_answered() {
    let (app, account, keys) = counted().await;
    let usage = app.operator("GET", &format!("/v1/accounts/{account}/usage")).send().await;
    let usage = usage.expect(StatusCode::OK);
    let entry = |day: &str, key: &str, times: u64| {
        json!({
            "key_id": key, "starts_at": format!("2026-11-{day}T00:00:00.000Z"), "period": "day",
            "allowed": 10 * times, "limited": 3 * times, "refused": 2 * times,
            "answers": { "successful": 5 * times, "redirection": times, "client_error": 2 * times,
                "server_error": times },
        })
    };
    assert_eq!(
        usage,
        json!({ "data": [entry("22", &keys[0], 1), entry("23", &keys[0], 2), entry("23", &keys[1], 1)] }),
        "by start, then key; October is over"
    );
}

#[tokio::test]
async fn periods_and_ends_choose_what_is_answered() {
    let (app, account, _) = counted().await;
    let ask = async |query: &str| {
        let path = format!("/v1/accounts/{account}/usage?{query}");
        starts(&app.operator("GET", &path).send().await.expect(StatusCode::OK))
    };
    let first = |text: &str, allowed: u64| (text.to_owned(), allowed);
    assert_eq!(
        ask("period=minute").await,
        [
            first("2026-11-23T11:58:00.000Z", 10),
            first("2026-11-23T11:58:00.000Z", 10),
            first("2026-11-23T11:59:00.000Z", 10)
        ]
    );
    assert_eq!(
        ask("period=hour").await,
        [
            first("2026-11-22T23:00:00.000Z", 10),
            first("2026-11-23T11:00:00.000Z", 20),
            first("2026-11-23T11:00:00.000Z", 10)
        ]
    );
    assert_eq!(
        ask("period=minute&from=2026-11-22&to=2026-11-22").await,
        [first("2026-11-22T23:59:00.000Z", 10)]
    );
    let within = "period=minute&from=2026-11-23T11:59:30Z&to=2026-11-23T12:59:00%2B01:00";
    assert_eq!(ask(within).await, [first("2026-11-23T11:59:00.000Z", 10)]);
    assert_eq!(
        ask("from=2026-10-01&to=2026-10-31&period=day").await,
        [first("2026-10-01T00:00:00.000Z", 10)]
    );
    assert_eq!(ask("from=2027-01-01&to=2027-01-02").await, [], "what is not yet is empty");
}

#[tokio::test]
async fn what_cannot_be_meant_is_pointed_at_and_another_account_is_not_there() {
    let (app, account, _) = counted().await;
    let ask = async |query: &str| {
        app.operator("GET", &format!("/v1/accounts/{account}/usage?{query}")).send().await
    };
    let bad = ask("from=yesterday&to=2026-13-01&period=week").await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = bad.problem("validation_failed");
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| &e["pointer"]).collect();
    assert_eq!(pointers, ["/period", "/from", "/to"]);
    for query in ["from=2026-11-24", "from=2026-11-23&to=2026-11-22", "from=2025-01-01"] {
        let problem = ask(query).await;
        assert_eq!(problem.problem("validation_failed")["errors"][0]["pointer"], "/from", "{query}");
    }
    ask("form=2026-11-23").await.problem("invalid_request");
    let missing = "/v1/accounts/acc_00000000000000000000000000/usage";
    app.operator("GET", missing).send().await.problem("not_found");
    let other = app.account("b@example.com").await;
    let empty = app.operator("GET", &format!("/v1/accounts/{other}/usage")).send().await;
    assert_eq!(empty.expect(StatusCode::OK), json!({ "data": [] }));
}

#[tokio::test]
async fn more_than_can_be_answered_at_once_is_refused_and_not_cut_off() {
    let (app, account, _) = counted().await;
    app.count_many(&account, 10_001).await;
    let path = format!("/v1/accounts/{account}/usage");
    let refused = app.operator("GET", &path).send().await;
    assert_eq!(refused.problem("validation_failed")["errors"][0]["pointer"], "/from");
    let less = app.operator("GET", &format!("{path}?to=2026-11-22")).send().await;
    assert_eq!(starts(&less.expect(StatusCode::OK)).len(), 1);
}

#[tokio::test]
async fn a_keys_holder_sees_the_days_of_the_whole_account_without_answers() {
    let (app, account, keys) = counted().await;
    let call = app.public("GET", "/api/rk/usage?from=2026-11-22&to=2026-11-22");
    let usage = call.extension(allowed(&account, &keys[1])).send().await.expect(StatusCode::OK);
    let day = json!({ "key_id": keys[0], "day": "2026-11-22", "allowed": 10, "limited": 3, "refused": 2 });
    assert_eq!(usage, json!({ "data": [day] }));
    let all = app.public("GET", "/api/rk/usage").extension(allowed(&account, &keys[1])).send().await;
    assert_eq!(all.expect(StatusCode::OK)["data"].as_array().unwrap().len(), 3, "the last thirty days");
    let future = app.public("GET", "/api/rk/usage?from=2027-01-01&to=2027-01-02");
    let future = future.extension(allowed(&account, &keys[1])).send().await;
    assert_eq!(future.expect(StatusCode::OK), json!({ "data": [] }));
    // Without `to` the last day is today, and nothing begins after its end.
    let backwards = app.public("GET", "/api/rk/usage?from=2026-11-24").extension(allowed(&account, &keys[1]));
    assert_eq!(backwards.send().await.problem("validation_failed")["errors"][0]["pointer"], "/from");
}
