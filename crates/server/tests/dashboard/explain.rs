//! Why a request was refused: what is said of what is known, and of what is not.

use std::time::Duration;

use http::StatusCode;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::{AccountId, KeyId, RequestId};
use rndrkit_domain::observation::{BucketFacts, Door, Refusal, RefusalFacts};
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock as _, Timestamp};

use crate::app::{App, Browser};

/// A customer on Agency with one key.
async fn customer(app: &App) -> (AccountId, KeyId, Browser) {
    let (account, mut browser) = app.customer("agency").await;
    let page = browser.create_key("CI/CD Pipeline").await;
    (account, page.key_ids()[0].parse().unwrap(), browser)
}

fn id_of(at: Timestamp) -> RequestId {
    RequestId::generate(at, &OsEntropy)
}

async fn refused(app: &App, owner: (AccountId, KeyId), code: Denial, bucket: Option<u32>) -> String {
    let limit = app.control.list_plans().await.unwrap()[2].rate_limit;
    let bucket = bucket.map(|before| BucketFacts {
        limit,
        before,
        after: before,
        retry_after_seconds: 1,
        shared: true,
    });
    let (api_access, account_status) = RefusalFacts::judged(code);
    let at = app.clock.now();
    let refusal = Refusal {
        request_id: id_of(at),
        account_id: owner.0,
        key_id: owner.1,
        at,
        code,
        facts: RefusalFacts {
            door: Door::Verify,
            method: Some("POST".to_owned()),
            path: Some("/<b>renders</b>".to_owned()),
            plan: PlanId::parse("agency").unwrap(),
            plan_name: None,
            api_access,
            account_status,
            cost: 5,
            bucket,
        },
        ip: Some("2001:db8::9".parse().unwrap()),
        user_agent: Some("\"><img src=x>".to_owned()),
    };
    app.store().await.record_observations(&[], std::slice::from_ref(&refusal)).await.unwrap();
    refusal.request_id.to_string()
}

fn asked(id: &str) -> String {
    format!("/explain?request={id}")
}

#[tokio::test]
async fn a_spent_budget_is_explained_with_numbers_and_ways() {
    let app = App::start().await;
    let (account, key, mut browser) = customer(&app).await;
    let id = refused(&app, (account, key), Denial::RateLimited, Some(2)).await;
    app.clock.advance(Duration::from_secs(180));
    let page = browser.get(&asked(&format!("%20{}%20", id.to_uppercase().replace("REQ_", "req_")))).await;
    for words in [
        "its budget held 2 requests, and 5 were needed.",
        "100 requests at once, and 600 a minute, over all keys of the account.",
        "2 of 100 requests",
        "This server’s share",
        "The same request 2 seconds later.",
        "A call that costs 2 requests or less, at that moment.",
        "Calls spread out to 10 a second",
        "3 minutes ago",
        "CI/CD Pipeline",
        "Sent to a service, which asked about it",
        "2001:db8::9",
    ] {
        page.says(StatusCode::OK, words);
    }
    assert!(!page.html.contains("<b>renders") && !page.html.contains("<img"), "{}", page.html);
    page.says(StatusCode::OK, "POST /&#60;b&#62;renders");
    assert_eq!(page.field("request"), id);
    // And from the list, without an id at hand.
    browser.get("/explain").await.says(StatusCode::OK, &format!("href=\"/explain?request={id}\""));
    browser.get("/").await.says(StatusCode::OK, "href=\"/explain\"");
}

#[tokio::test]
async fn the_other_causes_are_explained_as_they_were_and_with_what_passes_today() {
    let app = App::start().await;
    let (account, key, mut browser) = customer(&app).await;
    for (code, why, way) in [
        (Denial::PlanRequired, "does not include API access", "is on the Agency plan today"),
        (Denial::AccountSuspended, "the account was suspended", "not suspended any more"),
        (Denial::KeyRevoked, "The key had been deleted.", "with a key that is active"),
        (Denial::KeyExpired, "The secret had ended", "with a key that is active"),
        (Denial::SecretReplaced, "The key had been rotated", "newer secret"),
    ] {
        let page = browser.get(&asked(&refused(&app, (account, key), code, None).await)).await;
        page.says(StatusCode::OK, why);
        page.says(StatusCode::OK, way);
        page.says(StatusCode::OK, "Not looked at.");
    }
    let id = refused(&app, (account, key), Denial::PlanRequired, None).await;
    app.set_plan(account, "starter").await;
    let page = browser.get(&asked(&id)).await;
    page.says(StatusCode::OK, "Today: Starter");
    page.says(StatusCode::OK, "The same request on the Agency and Agency+ plans.");
}

#[tokio::test]
async fn what_is_not_known_is_said_to_be_and_why() {
    let app = App::start().await;
    let (_, _, mut browser) = customer(&app).await;
    let now = app.clock.now();
    let unknown =
        async |browser: &mut Browser, at: Timestamp| browser.get(&asked(&id_of(at).to_string())).await;
    let minute = Duration::from_secs(60);
    let page = unknown(&mut browser, now).await;
    page.says(StatusCode::NOT_FOUND, "A refusal is written within 15 seconds");
    assert!(!page.html.contains("It passed"), "it is too early to say");
    let page = unknown(&mut browser, now.minus(minute * 5)).await;
    page.says(StatusCode::NOT_FOUND, "It passed, or its key was unknown");
    // From then on no minute is kept, and none that is missing proves anything.
    let page = unknown(&mut browser, now.minus(minute * (60 * 48 + 1))).await;
    page.says(StatusCode::NOT_FOUND, "nobody can tell any more");
    let page = unknown(&mut browser, now.minus(minute * 60 * 24 * 8)).await;
    page.says(StatusCode::NOT_FOUND, "Refusals are kept for 7 days");
    let page = unknown(&mut browser, now.plus(minute * 5)).await;
    page.says(StatusCode::NOT_FOUND, "No request with this id has been made yet.");
    page.says(StatusCode::NOT_FOUND, "Requests that passed are counted and not kept");
}

#[tokio::test]
async fn what_is_no_request_id_is_told_so_and_shown_again_harmlessly() {
    let app = App::start().await;
    let (_, key, mut browser) = customer(&app).await;
    let long = "x".repeat(9_000);
    for text in [key.to_string().as_str(), "%3Cscript%3E", "%00%FF", "req_", "%22%20autofocus%20x=%22", &long]
    {
        let page = browser.get(&asked(text)).await;
        assert!(matches!(page.status.as_u16(), 200 | 422), "{text}: {}", page.status);
        assert!(!page.html.contains("<script>") && !page.html.contains("\" autofocus"), "{}", page.html);
    }
    browser.get(&asked("req_")).await.says(StatusCode::UNPROCESSABLE_ENTITY, "This is not a request id.");
    browser.get(&asked("")).await.says(StatusCode::OK, "No request of your keys was refused");
}

#[tokio::test]
async fn another_accounts_refusal_is_not_there() {
    let app = App::start().await;
    let (account, key, _) = customer(&app).await;
    let id = refused(&app, (account, key), Denial::RateLimited, Some(0)).await;
    let other = app.account("eve@example.com", "agency").await;
    let mut eve = app.visitor(other).await;
    let page = eve.get(&asked(&id)).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(!page.html.contains("CI/CD") && !page.html.contains("rate_limited"), "{}", page.html);
    app.stranger().get(&asked(&id)).await.leads_to("/sign-in?return_to=/explain");
}

#[tokio::test]
async fn without_its_database_nothing_is_said_about_a_request() {
    let app = App::start().await;
    let (account, key, mut browser) = customer(&app).await;
    let id = refused(&app, (account, key), Denial::RateLimited, Some(0)).await;
    app.meddle("ALTER TABLE refusals RENAME TO away").await;
    let page = browser.get(&asked(&id)).await;
    assert!(page.status.is_server_error(), "{}", page.status);
}
