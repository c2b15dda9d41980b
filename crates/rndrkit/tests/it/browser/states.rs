//! What people, other tabs and other sites do to the dashboard: it says what happened, and nothing happens
//! twice.

use fantoccini::Locator;
use fantoccini::actions::{InputSource as _, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use serde_json::json;

use super::person::{PASSWORD, Person};
use crate::harness::Server;

/// Sends a form the way a browser would, with a cookie and these headers.
async fn send(server: &Server, path: &str, cookie: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut request = server
        .http
        .post(server.public_url(path))
        .header(COOKIE, cookie)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

async fn active_keys(server: &Server, account: &str) -> u64 {
    let (_, view) = server.operator("GET", &format!("/v1/accounts/{account}"), json!(null)).await;
    view["keys"]["active"].as_u64().unwrap()
}

async fn set(server: &Server, account: &str, change: serde_json::Value) {
    assert_eq!(server.operator("PATCH", &format!("/v1/accounts/{account}"), change).await.0, 200);
}

#[tokio::test]
async fn a_double_click_on_create_makes_one_key() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    for (scripts, made) in [(true, 1), (false, 2)] {
        ada.browser.set_scripts_enabled(scripts).await.unwrap();
        ada.open("/settings").await;
        ada.press("Create API Key").await;
        ada.fill("Name", "Twice").await;
        let button = ada.one("//button[normalize-space(.)=\"Create\"]").await;
        let (x, y, width, height) = button.rectangle().await.unwrap();
        let (x, y) = ((x + width / 2.0).round(), (y + height / 2.0).round());
        let down = PointerAction::Down { button: MOUSE_BUTTON_LEFT };
        let up = PointerAction::Up { button: MOUSE_BUTTON_LEFT };
        let clicks = MouseActions::new("mouse".to_owned())
            .then(PointerAction::MoveTo { duration: None, x, y })
            .then(down.clone())
            .then(up.clone())
            .then(down)
            .then(up);
        ada.browser.client().perform_actions(clicks).await.unwrap();
        ada.wait("the answer", async || {
            ada.sees("Your new key").await || ada.sees("This form was already sent").await
        })
        .await;
        assert_eq!(active_keys(&server, &account).await, made, "scripts: {scripts}");
    }
    ada.leave().await;
}

#[tokio::test]
async fn a_secret_is_gone_once_its_page_was_left() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    for leaving in ["reload", "back", "link"] {
        let secret = ada.create_key(leaving).await;
        match leaving {
            "reload" => ada.reload().await,
            "back" => ada.back().await,
            _ => {
                ada.open("/billing").await;
                ada.see("Plans and Pricing").await;
                ada.back().await;
            }
        }
        ada.miss("Your new key").await;
        ada.see(&format!("{leaving}\nKey that begins with")).await;
        assert!(!ada.everything_kept().await.contains(&secret), "kept after {leaving}");
    }
    assert_eq!(active_keys(&server, &account).await, 3);
    ada.leave().await;
}

#[tokio::test]
async fn back_after_signing_out_shows_nothing_of_the_account() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    server.key(&account, "Production").await;
    ada.reload().await;
    ada.see("Production").await;
    ada.press_in_sidebar("Sign out").await;
    ada.see("Sign in to RndrKit").await;
    ada.back().await;
    ada.see("Sign in to RndrKit").await;
    assert!(!ada.sees("Production").await);
    ada.leave().await;
}

#[tokio::test]
async fn a_session_that_ends_in_mid_form_changes_nothing_and_leads_back() {
    let Some((ada, server)) = Person::and_server(&[]).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.join(&server, &account).await;
    ada.open("/settings#api-keys").await;
    ada.press("Create API Key").await;
    ada.fill("Name", "Too late").await;
    let same_origin = [("sec-fetch-site", "same-origin")];
    assert_eq!(send(&server, "/sign-out", &ada.cookie().await, &same_origin, "").await, 303);
    ada.press("Create").await;
    ada.see("Your session has ended, so nothing was changed. Sign in to go on.").await;
    assert_eq!(active_keys(&server, &account).await, 0);
    ada.fill("E-mail", "ada@example.com").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Sign in").await;
    ada.arrive("/settings#api-keys").await;
    ada.see("0 of 5").await;
    ada.leave().await;
}

#[tokio::test]
async fn another_sites_form_changes_nothing() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    let cookie = ada.cookie().await;
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), (ORIGIN.as_str(), "http://evil.localhost")],
        &[(ORIGIN.as_str(), "https://evil.example")],
        &[(ORIGIN.as_str(), "null")],
        &[],
    ] {
        for (path, body) in
            [("/settings/api-keys", "name=theirs"), ("/billing", "plan=starter"), ("/sign-out", "")]
        {
            assert_eq!(send(&server, path, &cookie, headers, body).await, 403, "{path} {headers:?}");
        }
    }
    let address = server.public_url("/settings/api-keys");
    let page = format!(
        "<form method=post action={address}><input name=name value=theirs><button>Win</button></form>"
    );
    ada.open(&format!("data:text/html,{page}")).await;
    ada.press("Win").await;
    ada.see("This form came from another site").await;
    ada.open("/settings").await;
    ada.see("0 of 5").await;
    assert_eq!(active_keys(&server, &account).await, 0);
    ada.leave().await;
}

#[tokio::test]
async fn a_smaller_plan_keeps_the_keys_and_says_that_they_rest() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    let secret = ada.create_key("Production").await;
    ada.store_it().await;
    ada.press_in_sidebar("Billing").await;
    ada.see("Your key will stop working: it answers 403 until you are back on a plan with API access.").await;
    ada.press("Change to Pro").await;
    ada.wait("the box to be asked for", async || ada.focus().await == "My key stops working").await;
    ada.keys(" ").await;
    ada.press("Change to Pro").await;
    ada.see("Your plan was changed.").await;
    ada.see("Your key answers 403 now").await;
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 403);
    ada.press_in_sidebar("Settings").await;
    ada.see("The Pro plan does not include API access").await;
    ada.see("Your key answers 403 for now.").await;
    assert!(!ada.can_press("Create API Key").await);

    // A form from before the change.
    let cookie = ada.cookie().await;
    let same_origin = [("sec-fetch-site", "same-origin")];
    assert_eq!(send(&server, "/settings/api-keys", &cookie, &same_origin, "name=late").await, 403);

    ada.press("Upgrade your plan").await;
    ada.press("Upgrade to Agency+").await;
    ada.see("You are on the Agency+ plan now.").await;
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);

    set(&server, &account, json!({"plan": "starter"})).await;
    ada.reload().await;
    ada.press_delete_of("Production").await;
    ada.press("Delete key").await;
    ada.see("Production was deleted.").await;
    ada.leave().await;
}

#[tokio::test]
async fn what_a_key_still_lacks_is_asked_for_in_the_dialog() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.press("Create API Key").await;
    ada.fill("Name", "   ").await;
    ada.press("Create").await;
    ada.wait("the name to be asked for", async || ada.focus().await == "Name").await;

    ada.fill("Name", "Trade fair").await;
    ada.press("More options").await;
    ada.field("Expires").await.select_by_value("date").await.unwrap();
    ada.press("More options").await;
    ada.press("Create").await;
    ada.wait("the fold to open", async || ada.focus().await == "Last day (UTC)").await;
    ada.run("document.activeElement.value = '2020-01-01'").await;
    ada.press("Create").await;
    assert_eq!(ada.focus().await, "Last day (UTC)", "a past day is no better");
    assert_eq!(ada.displayed("//dialog").await.len(), 1);
    assert_eq!(active_keys(&server, &account).await, 0);

    ada.field("Expires").await.select_by_value("never").await.unwrap();
    ada.press("Create").await;
    ada.see("Your new key: Trade fair").await;
    ada.leave().await;
}

#[tokio::test]
async fn a_suspended_account_may_look_and_delete() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.create_key("Production").await;
    ada.store_it().await;
    set(&server, &account, json!({"status": "suspended"})).await;
    ada.reload().await;
    ada.see("This account is suspended.").await;
    ada.see("A suspended account cannot create keys.").await;
    ada.press("Create API Key").await;
    assert!(ada.displayed("//dialog").await.is_empty());
    // A form from before the suspension.
    let same_origin = [("sec-fetch-site", "same-origin")];
    assert_eq!(
        send(&server, "/settings/api-keys", &ada.cookie().await, &same_origin, "name=late").await,
        403
    );
    assert_eq!(active_keys(&server, &account).await, 1);
    ada.press_delete_of("Production").await;
    ada.press("Delete key").await;
    ada.see("Production was deleted.").await;
    set(&server, &account, json!({"status": "active"})).await;
    ada.reload().await;
    ada.miss("This account is suspended.").await;
    ada.leave().await;
}

#[tokio::test]
async fn a_deleted_account_signs_its_people_out() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.press("Create API Key").await;
    ada.fill("Name", "Too late").await;
    assert_eq!(server.operator("DELETE", &format!("/v1/accounts/{account}"), json!(null)).await.0, 200);
    ada.press("Create").await;
    ada.see("Your session has ended").await;
    ada.open("/settings").await;
    ada.see("Sign in to RndrKit").await;
    ada.leave().await;
}

#[tokio::test]
async fn names_are_shown_as_they_were_typed() {
    let Some((ada, _server, _)) = Person::on_plan("agency").await else { return };
    let long = "a".repeat(64);
    let names = [long.as_str(), "מפתח הייצור של עדה", "<img src=x onerror=alert(1)><b>&amp;</b>"];
    for name in names {
        ada.create_key(name).await;
        ada.see(&format!("Your new key: {name}")).await;
        ada.store_it().await;
    }
    ada.browser.set_viewport(320, 700).await.unwrap();
    for name in names {
        ada.press_delete_of(name).await;
        ada.see(&format!("Delete {name}?")).await;
        assert_eq!(ada.run("return document.documentElement.scrollWidth <= innerWidth").await, json!(true));
        ada.press("Delete key").await;
        ada.see(&format!("{name} was deleted.")).await;
    }
    assert!(ada.browser.client().find(Locator::Css("img")).await.is_err(), "a name became an element");
    ada.assert_quiet_console().await;
    ada.leave().await;
}

#[tokio::test]
async fn two_tabs_may_delete_the_same_key() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.create_key("Staging").await;
    ada.store_it().await;
    let client = ada.browser.client();
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    ada.open("/settings#api-keys").await;
    ada.press_delete_of("Staging").await;
    ada.press("Delete key").await;
    ada.see("Staging was deleted.").await;
    client.switch_to_window(first).await.unwrap();
    ada.press_delete_of("Staging").await;
    ada.press("Delete key").await;
    ada.see("Staging was deleted.").await;
    ada.see("0 of 5").await;
    assert_eq!(active_keys(&server, &account).await, 0);
    ada.leave().await;
}

#[tokio::test]
async fn a_form_that_was_open_while_the_last_place_went_makes_no_sixth_key() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.press("Create API Key").await;
    ada.fill("Name", "Sixth").await;
    for n in 1..=5 {
        server.key(&account, &format!("key {n}")).await;
    }
    ada.press("Create").await;
    ada.see("No key was created.").await;
    ada.see("5 of 5 active keys. Delete one to create another.").await;
    assert_eq!(ada.rows().await.len(), 5);
    ada.leave().await;
}

#[tokio::test]
async fn another_accounts_key_does_not_exist_here() {
    let Some((ada, server, _)) = Person::on_plan("agency").await else { return };
    let other = server.account("eve@example.com", "agency").await;
    let (key, secret) = server.key(&other, "Not Ada’s").await;
    let path = format!("/settings/api-keys/{key}/delete");
    ada.open(&path).await;
    ada.see("There is no such page").await;
    let same_origin = [("sec-fetch-site", "same-origin")];
    assert_eq!(send(&server, &path, &ada.cookie().await, &same_origin, "").await, 404);
    ada.open(&format!("/settings?deleted={key}#api-keys")).await;
    ada.see("0 of 5").await;
    assert!(!ada.sees("Not Ada’s").await);
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    ada.leave().await;
}
