//! Help in place: one line beside what it is about, with the one thing to do.

use std::time::Duration;

use http::StatusCode;
use rndrkit_domain::id::AccountId;

use crate::app::{App, Browser, Page};

const DAY: Duration = Duration::from_secs(86_400);

/// An account with keys of these names, and somebody who looks at it so much later.
async fn later(app: &App, names: &[&str], age: Duration) -> (AccountId, Browser) {
    let (account, mut browser) = app.customer("agency").await;
    for name in names {
        browser.create_key(name).await;
    }
    app.clock.advance(age);
    // Sessions end long before keys grow old.
    (account, app.visitor(account).await)
}

fn hint_lines(page: &Page) -> Vec<&str> {
    page.html
        .split("<p class=\"hint-line\">")
        .skip(1)
        .map(|rest| rest.split("</p>").next().unwrap())
        .collect()
}

#[tokio::test]
async fn a_key_that_nobody_uses_is_named_once_with_the_way_to_delete_it() {
    let app = App::start().await;
    let (account, mut browser) = later(&app, &["Nightly"], DAY * 7).await;
    let page = browser.get("/settings").await;
    let id = page.key_ids()[0].clone();
    let lines = hint_lines(&page);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(">Never used</span>") && lines[0].contains("Its secret is 7 days old."),
        "{lines:?}"
    );
    assert_eq!(lines[0].matches("<a ").count(), 1, "one thing to do");
    assert!(lines[0].contains(&format!("href=\"/settings/api-keys/{id}/delete\">Delete<")), "{lines:?}");
    assert!(lines[0].contains("<span class=\"visually-hidden\">: Nightly</span>"), "the link names its key");

    app.meddle(&format!(
        "INSERT INTO key_usage (digest, key_id, last_used_at)
         SELECT digest, key_id, created_at FROM key_secrets WHERE key_id = '{id}'"
    ))
    .await;
    assert!(hint_lines(&browser.get("/settings").await).is_empty());
    for (days, words) in [(23, "Unused for 30 days"), (60, "Unused for 90 days"), (90, "Unused for 180 days")]
    {
        app.clock.advance(DAY * days);
        let page = app.visitor(account).await.get("/settings").await;
        let lines = hint_lines(&page);
        assert_eq!(lines.len(), 1, "at most one for each key: {lines:?}");
        assert!(lines[0].contains(words), "{words}: {lines:?}");
        assert_eq!(lines[0].contains("chip caution"), days != 23, "{lines:?}");
    }
}

#[tokio::test]
async fn the_overview_says_what_needs_attention_or_that_nothing_does() {
    let app = App::start().await;
    let (account, mut first) = app.customer("agency").await;
    let empty = first.get("/").await;
    assert!(!empty.html.contains("attention"), "without keys there is nothing to say");
    let names = ["One", "<b>Two</b>", "Three"];
    for name in names {
        first.create_key(name).await;
    }
    first.get("/").await.says(StatusCode::OK, "Nothing needs your attention.");
    app.clock.advance(DAY * 8);
    let page = app.visitor(account).await.get("/").await;
    page.says(StatusCode::OK, "Needs your attention</h2>");
    assert!(!page.html.contains("Nothing needs your attention."));
    assert_eq!(hint_lines(&page).len(), 3);
    page.says(StatusCode::OK, "<bdi><b>&#60;b&#62;Two&#60;/b&#62;</b></bdi>");
    app.set_plan(account, "pro").await;
    let locked = app.visitor(account).await.get("/").await;
    assert!(!locked.html.contains("attention") && hint_lines(&locked).is_empty());
}

#[tokio::test]
async fn a_spent_limit_is_said_above_the_keys_with_the_way_to_a_higher_one() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    browser.create_key("Nightly").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    let minute = app.control.now().floor_to(Duration::from_secs(60)).unix_ms();
    app.meddle(&format!(
        "INSERT INTO usage (key_id, period, starts_at, account_id, allowed, limited, refused)
         VALUES ('{id}', 'minute', {minute}, '{account}', 500, 0, 0)"
    ))
    .await;
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "83 % of the limit</span>");
    assert!(hint_lines(&page)[0].contains("<a href=\"/usage\">See usage</a>"));
    app.meddle("UPDATE usage SET limited = 12").await;
    for path in ["/settings", "/"] {
        let page = browser.get(path).await;
        page.says(
            StatusCode::OK,
            "12 requests got 429 Too Many Requests in the last hour: your keys share 600 a minute.",
        );
        // Every plan of these tests has the same limit.
        assert!(hint_lines(&page)[0].contains("<a href=\"/usage\">See usage</a>"));
    }
    app.meddle("UPDATE plans SET requests_per_minute = 3000 WHERE id = 'agency_plus'").await;
    let page = browser.get("/settings").await;
    assert!(hint_lines(&page)[0].contains("<a href=\"/billing#upgrading\">Upgrading</a>"), "{}", page.html);
}

#[tokio::test]
async fn hints_that_cannot_be_found_out_hide_nothing_and_are_not_called_none() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    browser.create_key("Nightly").await;
    app.meddle("ALTER TABLE key_networks RENAME TO away").await;
    let page = browser.get("/settings").await;
    assert_eq!((page.status, page.key_ids().len()), (StatusCode::OK, 1));
    let page = browser.get("/").await;
    page.says(StatusCode::OK, "What needs your attention cannot be said right now.");
    assert!(!page.html.contains("Nothing needs your attention."));
}
