//! Files to take away: how many at once, and that one of many pages is whole or visibly is not.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use rndrkit_control::Context;
use rndrkit_domain::id::AccountId;
use serde_json::Value;

use crate::app::{App, Browser};

const FILES: [&str; 3] = ["/activity.json", "/activity.csv", "/usage.csv"];

/// Opens a file once a place is free: whoever left is noticed a moment later.
async fn in_the_end(browser: &Browser, path: &str) -> Response<Body> {
    for _ in 0..500 {
        let answer = browser.open(path).await;
        if answer.status() == StatusCode::OK {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no place for {path}");
}

#[tokio::test]
async fn an_account_has_two_downloads_at_once_and_delays_nobody_elses() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "agency").await;
    let other = app.account("bob@example.org", "agency").await;
    let (mut ada, mut bob) = (app.visitor(account).await, app.visitor(other).await);
    let first = in_the_end(&ada, "/activity.json").await;
    let second = in_the_end(&ada, "/usage.csv").await;
    for path in FILES {
        let refused = ada.get(path).await;
        refused.says(StatusCode::TOO_MANY_REQUESTS, "Another download is running");
        assert_eq!(refused.header("retry-after"), "10");
        assert_eq!(bob.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(ada.get("/activity").await.status, StatusCode::OK);
    // A reader that has all, and one that went away, leave their places.
    first.into_body().collect().await.unwrap();
    let third = in_the_end(&ada, "/activity.csv").await;
    drop(second);
    in_the_end(&ada, "/activity.csv").await;
    drop(third);
}

#[tokio::test]
async fn eight_downloads_run_at_once_and_pages_are_shown_meanwhile() {
    let app = App::start().await;
    let mut open = Vec::new();
    for number in 0..4 {
        let account = app.account(&format!("ada{number}@example.com"), "agency").await;
        let browser = app.visitor(account).await;
        for path in ["/activity.json", "/activity.csv"] {
            open.push(in_the_end(&browser, path).await);
        }
    }
    let account = app.account("bob@example.org", "agency").await;
    let mut bob = app.visitor(account).await;
    for path in FILES {
        let refused = bob.open(path).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(refused.headers()[RETRY_AFTER], "10");
        bob.get(path).await.says(StatusCode::SERVICE_UNAVAILABLE, "Many downloads are running");
    }
    assert_eq!(bob.get("/activity").await.status, StatusCode::OK);
    open.pop();
    in_the_end(&bob, "/activity.json").await;
}

/// Some pages of events.
async fn busy(app: &App, account: AccountId) {
    for round in 0..210 {
        let name = format!("Key {round}");
        let key = app.control.create_key(&Context::system(), account, &name, None, None).await.unwrap().value;
        app.control.revoke_key(&Context::system(), key.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_of_many_pages_is_whole_or_breaks_off_visibly() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "agency").await;
    let mut ada = app.visitor(account).await;
    busy(&app, account).await;
    let json = ada.get("/activity.json").await.html;
    let document: Value = serde_json::from_str(&json).unwrap();
    let events = document["events"].as_array().unwrap();
    let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(ids.len() > 420 && ids.len() == events.len(), "{} of {}", ids.len(), events.len());
    assert_eq!((&document["complete"], &document["remark"]), (&Value::Bool(true), &Value::Null));
    assert!(json.contains("RndrKit created the key Key 0\"") && json.contains("ended the key Key 209\""));
    let report = rndrkit_store::check_activity_file(json.as_bytes()).unwrap();
    assert_eq!((report.events, report.changed), (events.len() as u64, None));
    let csv = ada.get("/activity.csv").await.html;
    assert_eq!(csv.lines().count(), events.len() + 1);
    assert_eq!(csv.matches("actor_type").count(), 1);

    for path in ["/activity.json", "/activity.csv"] {
        let begun = ada.open(path).await;
        assert_eq!(begun.status(), StatusCode::OK);
        // The third page is read only when the first was taken.
        app.meddle("ALTER TABLE audit_events RENAME TO elsewhere").await;
        assert!(begun.into_body().collect().await.is_err(), "{path}");
        app.meddle("ALTER TABLE elsewhere RENAME TO audit_events").await;
    }
}
