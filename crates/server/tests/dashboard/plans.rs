//! Plans and Pricing, and what a plan without API access shows.

use http::StatusCode;
use rndrkit_control::Billing;

use crate::app::{App, Setting};

const AVAILABILITY: &str = "API keys are available on the Agency and Agency+ plans. If you are on the Starter or \
    Pro plan and need API access, consider upgrading your plan.";

#[tokio::test]
async fn from_the_locked_page_an_upgrade_leads_back_to_the_keys() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("starter").await;
    let locked = browser.get("/settings").await;
    locked.says(StatusCode::OK, AVAILABILITY);
    assert!(!locked.html.contains("Create API Key"));
    browser.get("/settings/api-keys/new").await.leads_to("/settings#api-keys");
    let address = locked.html.split("href=\"/billing?").nth(1).unwrap().split('"').next().unwrap().to_owned();

    let plans = browser.get(&format!("/billing?{address}")).await;
    plans.says(StatusCode::OK, "Plan changes are free here.");
    let back = plans.field("return_to");
    let changed = browser.post("/billing", &[("plan", "agency"), ("return_to", &back)]).await;
    changed.leads_to("/settings?changed=plan#api-keys");
    let page = browser.get("/settings?changed=plan").await;
    page.says(StatusCode::OK, "You are on the Agency plan now.");
    page.says(StatusCode::OK, "In force on the server, 3 ms.");
    page.says(StatusCode::OK, "Create API Key");
}

#[tokio::test]
async fn a_downgrade_says_before_and_after_what_happens_to_the_keys() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for name in ["One", "Two"] {
        browser.create_key(name).await;
    }
    browser.get("/billing").await.says(StatusCode::OK, "Your 2 keys will stop working");
    let agreed = [("plan", "pro"), ("keys_stop", "yes")];
    browser.post("/billing", &agreed).await.leads_to("/billing?changed=plan");
    let page = browser.get("/billing?changed=plan").await;
    page.says(StatusCode::OK, "Your 2 keys answer 403 now");
    page.says(StatusCode::OK, "In force on the server, 3 ms.");
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "Your 2 keys answer 403 for now.");
    assert_eq!(page.key_ids().len(), 2);
    let gone = browser.post(&format!("/settings/api-keys/{}/delete", page.key_ids()[0]), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    browser.get("/settings").await.says(StatusCode::OK, "Your key answers 403 for now.");
}

#[tokio::test]
async fn a_downgrade_that_stops_keys_needs_its_box_ticked() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let before = browser.get("/billing").await;
    assert!(!before.html.contains("name=\"keys_stop\""), "nothing would stop");
    browser.create_key("Production").await;
    browser.get("/billing").await.says(StatusCode::OK, "required aria-describedby=\"warning-pro\"");
    for ticked in [&[("plan", "pro")][..], &[("plan", "pro"), ("keys_stop", "")]] {
        let refused = browser.post("/billing", ticked).await;
        refused.says(StatusCode::UNPROCESSABLE_ENTITY, "Tick “My key stops working” to change to Pro.");
        refused.says(StatusCode::UNPROCESSABLE_ENTITY, "id=\"unconfirmed-pro\"");
        assert!(!refused.html.contains("id=\"unconfirmed-starter\""));
    }
    browser.get("/settings").await.says(StatusCode::OK, "1 of 5");
    // No key stops on a plan with API access, so nothing is asked.
    let changed = browser.post("/billing", &[("plan", "agency_plus")]).await;
    changed.leads_to("/billing?changed=plan");
}

#[tokio::test]
async fn where_the_operator_bills_the_page_changes_nothing() {
    let app = App::with(Setting { billing: Billing::Operator, ..Setting::default() }).await;
    let (_, mut browser) = app.customer("starter").await;
    let page = browser.get("/billing").await;
    page.says(StatusCode::OK, "Ask your contact at RndrKit, or whoever invited you, to change your plan.");
    assert!(!page.html.contains("Upgrade to "));
    let refused = browser.post("/billing", &[("plan", "agency")]).await;
    refused.says(StatusCode::FORBIDDEN, "Your plan was not changed.");
    browser.get("/settings").await.says(StatusCode::OK, AVAILABILITY);
}

#[tokio::test]
async fn a_plan_that_does_not_exist_is_refused_on_the_page() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("starter").await;
    let page = browser.post("/billing", &[("plan", "platinum")]).await;
    page.says(StatusCode::UNPROCESSABLE_ENTITY, "Your plan was not changed.");
}

#[tokio::test]
async fn a_change_never_leads_to_another_site() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("starter").await;
    let changed = browser.post("/billing", &[("plan", "agency"), ("return_to", "//evil.example")]).await;
    changed.leads_to("/billing?changed=plan");
}

#[tokio::test]
async fn an_operators_change_shows_on_the_next_page() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("starter").await;
    app.set_plan(account, "agency_plus").await;
    browser.get("/").await.says(StatusCode::OK, "Agency+");
    browser.get("/settings").await.says(StatusCode::OK, "0 of 5");
}
