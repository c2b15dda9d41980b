//! Counted use: the account's page, a key's page, and the rows to take away.

use std::time::Duration;

use http::StatusCode;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::{AccountId, KeyId, RequestId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::observation::{Door, Refusal, RefusalFacts};
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::usage::{AnswerCounts, LastUse, UsageCounts, UsageDelta};

use crate::app::{App, Browser};

const HOUR: Duration = Duration::from_secs(3_600);

impl App {
    /// Counts requests of a key, this many hours ago.
    async fn count(&self, (key, account): (&str, AccountId), hours_ago: u32, counts: UsageCounts) {
        let key_id: KeyId = key.parse().unwrap();
        let at = self.control.now().minus(HOUR * hours_ago);
        let minute = at.floor_to(Duration::from_secs(60));
        let delta = UsageDelta { key_id, account_id: account, minute, counts };
        let used = LastUse { digest: Digest::of(key), key_id, at };
        self.store.record_usage(&[delta], &[used]).await.unwrap();
    }
}

fn counts(allowed: u64, limited: u64, refused: u64) -> UsageCounts {
    let answers = AnswerCounts { successful: allowed, ..AnswerCounts::default() };
    UsageCounts { allowed, limited, refused, answers }
}

/// A new key; each a second later than the one before, as lists are in that order.
async fn key(app: &App, browser: &mut Browser, name: &str) -> String {
    app.clock.advance(Duration::from_secs(1));
    browser.create_key(name).await.key_ids()[0].clone()
}

#[tokio::test]
async fn the_numbers_are_exact_and_the_same_in_figures_chart_table_and_words() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    let first = key(&app, &mut browser, "CI/CD Pipeline").await;
    let second = key(&app, &mut browser, "Staging").await;
    app.count((&first, account), 2, counts(1_000, 7, 0)).await;
    app.count((&second, account), 2, counts(234, 0, 3)).await;
    app.count((&second, account), 30, counts(5, 0, 0)).await;
    app.count((&second, account), 24 * 20, counts(9_999, 0, 0)).await;

    let week = browser.get("/usage").await;
    week.says(StatusCode::OK, "1,249 requests in the last 7 days, less than 1% of what the plan allows");
    week.says(StatusCode::OK, "7 were limited and 3 refused.");
    week.says(StatusCode::OK, "Busiest hour: 23 Nov, 10:00–11:00 UTC, with 1,244 requests.");
    for figure in ["1,249", "1,239", ">7<", ">3<"] {
        assert!(week.html.contains(figure), "{figure}");
    }
    assert!(week.html.contains("data-series=\"key-1\"") && week.html.contains("data-series=\"key-2\""));
    assert!(week.html.contains("data-series=\"limited\"") && week.html.contains("data-series=\"refused\""));
    week.says(StatusCode::OK, "which is 216,000 in 6 hours. The limit is the account’s");
    assert!(week.html.contains("<dt>2xx"), "{}", week.html);

    let day = browser.get("/usage?range=24h").await;
    day.says(StatusCode::OK, "1,244 requests in the last 24 hours");
    day.says(StatusCode::OK, "which is 36,000 an hour");
    let month = browser.get("/usage?range=30d").await;
    month.says(StatusCode::OK, "11,248 requests in the last 30 days");
    month.says(StatusCode::OK, "Busiest day: 3 Nov, with 9,999 requests.");
    let unknown = browser.get("/usage?range=1000y").await;
    unknown.says(StatusCode::OK, "in the last 7 days");
}

#[tokio::test]
async fn a_keys_page_shows_its_own_use_and_lives_on_when_the_key_is_past() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    let first = key(&app, &mut browser, "CI/CD Pipeline").await;
    let second = key(&app, &mut browser, "Staging").await;
    app.count((&first, account), 2, counts(41, 0, 0)).await;
    app.count((&second, account), 2, counts(900, 0, 0)).await;
    let settings = browser.get("/settings").await;
    assert!(settings.html.contains(&format!("href=\"/settings/api-keys/{first}\"")), "{}", settings.html);

    let path = format!("/settings/api-keys/{first}?range=24h");
    let page = browser.get(&path).await;
    page.says(StatusCode::OK, "41 requests in the last 24 hours");
    page.says(StatusCode::OK, "The limit is the account’s: all its keys share it.");
    assert!(page.html.contains("<dd>Active</dd>") && page.html.contains(&format!("{first}/delete")));
    browser.get(&format!("/usage?range=24h&key={first}")).await.leads_to(&path);

    browser.post(&format!("/settings/api-keys/{first}/delete"), &[]).await;
    let past = browser.get(&path).await;
    past.says(StatusCode::OK, "Deleted in the dashboard");
    past.says(StatusCode::OK, "41 requests in the last 24 hours");
    assert!(!past.html.contains(&format!("{first}/delete")));
    browser.get("/usage").await.says(StatusCode::OK, "Past key");
    let settings = browser.get("/settings").await;
    assert!(
        settings.html.contains(&format!("href=\"/settings/api-keys/{first}\"")),
        "in the list of past keys"
    );
}

#[tokio::test]
async fn more_keys_than_a_chart_can_tell_apart_are_added_up() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    for number in 1..=8 {
        let id = key(&app, &mut browser, &format!("Key number {number}")).await;
        app.count((&id, account), 1, counts(number * 10, 0, 0)).await;
        browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    }
    let page = browser.get("/usage").await;
    page.says(StatusCode::OK, "360 requests");
    for shown in 4..=8 {
        assert!(page.html.contains(&format!("Key number {shown}")), "{shown}");
    }
    for other in 1..=3 {
        assert!(!page.html.contains(&format!("Key number {other}")), "{other}");
    }
    page.says(StatusCode::OK, "Other keys");
    assert!(page.html.contains("<span>60</span>"), "10, 20 and 30 together: {}", page.html);
}

#[tokio::test]
async fn somebody_elses_key_has_no_page_no_chart_and_no_rows() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let other = app.account("eve@example.com", "agency").await;
    let mut eve = app.visitor(other).await;
    let id = key(&app, &mut eve, "Not for others").await;
    app.count((&id, other), 1, counts(5, 0, 0)).await;
    for path in [format!("/settings/api-keys/{id}"), format!("/usage.csv?key={id}")] {
        browser.get(&path).await.says(StatusCode::NOT_FOUND, "There is no such page");
    }
    for path in ["/settings/api-keys/nothing", "/usage?key=nothing", "/usage.csv?key=nothing"] {
        browser.get(path).await.says(StatusCode::NOT_FOUND, "There is no such page");
    }
    let own = browser.get("/usage").await;
    own.says(StatusCode::OK, "No requests in the last 7 days.");
    assert!(!browser.get("/usage.csv").await.html.contains("Not for others"));
}

#[tokio::test]
async fn where_nothing_was_asked_the_page_says_what_to_do() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("starter").await;
    browser.get("/usage").await.says(StatusCode::OK, "The Starter plan does not include API access.");
    app.set_plan(account, "agency").await;
    let without_key = browser.get("/usage").await;
    without_key.says(StatusCode::OK, "Create an API key");
    assert!(!without_key.html.contains("<figure"), "an empty chart");
    let id = key(&app, &mut browser, "CI").await;
    browser.get("/usage").await.says(StatusCode::OK, "curl -X GET");
    browser.get(&format!("/settings/api-keys/{id}")).await.says(StatusCode::OK, "curl -X GET");
}

#[tokio::test]
async fn a_plan_without_access_and_a_suspension_still_show_what_was_used() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    let id = key(&app, &mut browser, "CI").await;
    app.count((&id, account), 1, counts(12, 0, 4)).await;
    app.set_plan(account, "starter").await;
    for path in ["/usage".to_owned(), format!("/settings/api-keys/{id}")] {
        let page = browser.get(&path).await;
        page.says(StatusCode::OK, "16 requests in the last 7 days; 4 were refused.");
        page.says(
            StatusCode::OK,
            "The Starter plan does not include API access: requests get 403 until it does.",
        );
    }
}

#[tokio::test]
async fn use_that_cannot_be_read_is_a_failure_and_never_an_empty_chart() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let id = key(&app, &mut browser, "CI").await;
    app.meddle("ALTER TABLE usage RENAME TO away").await;
    for path in ["/usage?range=24h".to_owned(), format!("/settings/api-keys/{id}?range=24h")] {
        let page = browser.get(&path).await;
        page.says(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side");
        assert!(page.html.contains(&format!("href=\"{path}\">Try again")), "{}", page.html);
        assert!(!page.html.contains("<figure") && !page.html.contains("No requests"), "{}", page.html);
    }
    assert_eq!(browser.get("/usage.csv").await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn rows_are_taken_away_as_a_file_that_no_spreadsheet_runs() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    let hostile = key(&app, &mut browser, "=HYPERLINK(\"http://evil.example\",\"x\")").await;
    let plain = key(&app, &mut browser, "Staging, the \"big\" one").await;
    app.count((&hostile, account), 2, counts(3, 1, 2)).await;
    app.count((&plain, account), 1, counts(8, 0, 0)).await;
    let file = browser.get("/usage.csv?range=24h").await;
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"usage-24h.csv\"");
    assert_eq!(file.header("cache-control"), "no-store");
    let lines: Vec<&str> = file.html.lines().collect();
    let head = "start_utc,length,key_id,key_name,allowed,limited,refused,answered_2xx,answered_3xx,answered_4xx,answered_5xx";
    assert_eq!(lines[0], head);
    let escaped = "\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\"";
    assert_eq!(lines[1], format!("2026-11-23T10:00:00.000Z,hour,{hostile},{escaped},3,1,2,3,0,0,0"));
    assert_eq!(
        lines[2],
        format!("2026-11-23T11:00:00.000Z,hour,{plain},\"Staging, the \"\"big\"\" one\",8,0,0,8,0,0,0")
    );
    assert_eq!(lines.len(), 3);

    let one = browser.get(&format!("/usage.csv?range=30d&key={plain}")).await;
    assert!(one.html.contains(",day,") && !one.html.contains("HYPERLINK"), "{}", one.html);
    assert!(one.header("content-disposition").contains(&plain));
}

#[tokio::test]
async fn a_hostile_name_stays_a_text() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    let id = key(&app, &mut browser, "<script>alert(1)</script> & \"x\"").await;
    let other = key(&app, &mut browser, "Plain").await;
    app.count((&id, account), 1, counts(3, 1, 1)).await;
    app.count((&other, account), 1, counts(3, 1, 1)).await;
    for path in ["/usage".to_owned(), format!("/settings/api-keys/{id}")] {
        let page = browser.get(&path).await;
        assert!(!page.html.contains("<script>alert"), "{path}");
        assert!(page.html.contains("&#60;script&#62;"), "{path}");
    }
}

#[tokio::test]
async fn a_keys_last_refusals_say_why_and_what_to_do_and_are_its_own() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    let first = key(&app, &mut browser, "CI/CD Pipeline").await;
    let second = key(&app, &mut browser, "Staging").await;
    let path = format!("/settings/api-keys/{first}");
    browser.get(&path).await.says(StatusCode::OK, "No request with this key was refused.");
    let refusal = refusal(&app, &first, account, "/api/<b>");
    let other = Refusal { code: Denial::PlanRequired, ..self::refusal(&app, &second, account, "/api/other") };
    app.store.record_observations(&[], &[refusal.clone(), other]).await.unwrap();
    let page = browser.get(&path).await;
    page.says(StatusCode::OK, "Rate limit spent");
    page.says(StatusCode::OK, "Wait as long as Retry-After says");
    page.says(StatusCode::OK, &format!("href=\"/explain?request={}\"", refusal.request_id));
    page.says(StatusCode::OK, "POST /api/&#60;b&#62;");
    page.says(StatusCode::OK, "from 192.0.2.9");
    assert!(!page.html.contains("Plan without API access"), "another key's refusal");
}

fn refusal(app: &App, key: &str, account_id: AccountId, path: &str) -> Refusal {
    let now = app.control.now();
    Refusal {
        request_id: RequestId::generate(now, &OsEntropy),
        account_id,
        key_id: key.parse().unwrap(),
        at: now,
        code: Denial::RateLimited,
        facts: RefusalFacts {
            door: Door::Gateway,
            method: Some("POST".to_owned()),
            path: Some(path.to_owned()),
            plan: PlanId::parse("agency").unwrap(),
            plan_name: None,
            api_access: Some(true),
            account_status: None,
            cost: 1,
            bucket: None,
        },
        ip: Some("192.0.2.9".parse().unwrap()),
        user_agent: None,
    }
}
