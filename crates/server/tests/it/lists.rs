//! Pages: newest first, every item once, whatever is added meanwhile.

use http::StatusCode;
use serde_json::Value;

use crate::app::App;

/// Follows `Link: rel="next"` to the end.
async fn walk(app: &App, first: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let answer = app.operator("GET", &path).send().await;
        let page = answer.expect(StatusCode::OK);
        items.extend(page["data"].as_array().unwrap().iter().cloned());
        assert_eq!(page["has_more"], !page["next_cursor"].is_null());
        let link = answer.header("link");
        next =
            link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).map(str::to_owned);
        assert_eq!(next.is_some(), page["has_more"] == true, "{link}");
        assert!(items.len() <= 100, "pages without end");
    }
    items
}

#[tokio::test]
async fn pages_of_every_list_hold_each_item_once_and_the_newest_first() {
    let app = App::start().await;
    let mut accounts = Vec::new();
    for number in 0..5 {
        accounts.push(app.account(&format!("user{number}@example.com")).await);
    }
    let mut keys = Vec::new();
    for number in 0..5 {
        // All in the same millisecond: the id must break the tie.
        keys.push(app.key(&accounts[0], &format!("key {number}")).await.0);
    }
    let mut expected_accounts = accounts.clone();
    expected_accounts.sort_by(|a, b| b.cmp(a));
    let mut expected_keys = keys;
    expected_keys.sort_by(|a, b| b.cmp(a));
    let ids = |items: Vec<Value>| -> Vec<String> {
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    for limit in [1, 2, 5, 100] {
        let path = format!("/v1/accounts?limit={limit}");
        assert_eq!(ids(walk(&app, &path).await), expected_accounts, "{limit}");
        let path = format!("/v1/accounts/{}/keys?limit={limit}", accounts[0]);
        assert_eq!(ids(walk(&app, &path).await), expected_keys, "{limit}");
        let events = ids(walk(&app, &format!("/v1/audit-log?limit={limit}")).await);
        let distinct: std::collections::BTreeSet<_> = events.iter().collect();
        assert_eq!(distinct.len(), events.len());
        assert!(events.len() >= 10, "{}", events.len());
    }
}

#[tokio::test]
async fn a_cursor_of_one_list_is_not_one_of_another() {
    let app = App::start().await;
    for number in 0..2 {
        app.account(&format!("user{number}@example.com")).await;
    }
    let page = app.operator("GET", "/v1/accounts?limit=1").send().await.expect(StatusCode::OK);
    let cursor = page["next_cursor"].as_str().unwrap();
    let answer = app.operator("GET", &format!("/v1/audit-log?after={cursor}")).send().await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    answer.problem("invalid_request");
}

#[tokio::test]
async fn limits_outside_1_to_100_and_misspelt_filters_are_refused() {
    let app = App::start().await;
    for path in ["/v1/accounts", "/v1/tokens", "/v1/audit-log"] {
        for limit in ["0", "101", "-1", "x", ""] {
            let answer = app.operator("GET", &format!("{path}?limit={limit}")).send().await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {limit}");
            assert_eq!(answer.problem("validation_failed")["errors"][0]["pointer"], "/limit");
        }
        for query in ["after=x", "after=", "emial=a", "limit=1&limit=2"] {
            let answer = app.operator("GET", &format!("{path}?{query}")).send().await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {query}");
            answer.problem("invalid_request");
        }
    }
}
