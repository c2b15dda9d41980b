//! Every state of the pages of somebody who is signed in, on the real server: each is looked at as `looking` does.

use serde_json::{Value, json};

use super::looking::look_at;
use super::person::{Person, link};
use crate::harness::Server;

/// As many past keys as the page lists.
const PAST_KEYS: usize = 200;
/// Keeps every form from being sent after the page's own script has seen it: the state in which it waits.
const HOLD_FORMS: &str = "addEventListener('submit', event => event.preventDefault())";

async fn set(server: &Server, account: &str, change: Value) {
    assert_eq!(server.operator("PATCH", &format!("/v1/accounts/{account}"), change).await.0, 200);
}

async fn settings(person: &Person) {
    person.open("/").await;
    person.open("/settings#api-keys").await;
}

#[tokio::test]
async fn every_state_of_the_page_fits_every_window() {
    let Some((ada, server, account)) = Person::on_plan("starter").await else { return };
    for (state, path) in [("locked", "/settings"), ("billing", "/billing"), ("overview", "/")] {
        ada.open(path).await;
        look_at(&ada, state).await;
    }
    set(&server, &account, json!({"plan": "agency"})).await;
    fill_the_page(&ada, &server, &account).await;
    take_away(&ada, &server, &account).await;
    ada.leave().await;
}

/// From no key to five.
async fn fill_the_page(ada: &Person, server: &Server, account: &str) {
    settings(ada).await;
    look_at(ada, "empty").await;
    ada.press("Create API Key").await;
    look_at(ada, "create-form").await;
    ada.press("More options").await;
    look_at(ada, "create-form-options").await;
    ada.press("Cancel").await;
    let secret = ada.create_key("CI/CD Pipeline").await;
    look_at(ada, "just-created").await;
    ada.store_it().await;
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 12);
    let path = format!("/v1/accounts/{account}/keys");
    let key = json!({"name": "Load test in the week before the launch", "expires_at": soon.to_string()});
    assert_eq!(server.operator("POST", &path, key).await.0, 201);
    server.key(account, "Staging").await;
    settings(ada).await;
    look_at(ada, "list").await;
    ada.press_delete_of("CI/CD Pipeline").await;
    look_at(ada, "delete-confirmation").await;
    ada.run(HOLD_FORMS).await;
    ada.press("Delete key").await;
    ada.see("Deleting…").await;
    look_at(ada, "deleting").await;
    settings(ada).await;
    server.key(account, "Preview builds").await;
    server.key(account, "Local development").await;
    settings(ada).await;
    look_at(ada, "five-of-five").await;
    ada.open("/").await;
    look_at(ada, "quick-start").await;
    ada.open("/billing").await;
    look_at(ada, "billing-downgrade").await;
    ada.open("/explain").await;
    look_at(ada, "explain-none").await;
    ada.open("/explain?request=req_01k").await;
    look_at(ada, "explain-no-id").await;
    settings(ada).await;
}

/// From five keys to a smaller plan and a suspension.
async fn take_away(ada: &Person, server: &Server, account: &str) {
    ada.press_delete_of("Staging").await;
    ada.press("Delete key").await;
    ada.see("Staging was deleted.").await;
    ada.press("Past keys 1").await;
    look_at(ada, "deleted-past-keys-open").await;
    set(server, account, json!({"plan": "pro"})).await;
    settings(ada).await;
    look_at(ada, "downgraded").await;
    set(server, account, json!({"plan": "agency", "status": "suspended"})).await;
    settings(ada).await;
    look_at(ada, "suspended").await;
    ada.open("/").await;
    look_at(ada, "overview-suspended").await;
    ada.open("/nowhere").await;
    look_at(ada, "not-found").await;
}

#[tokio::test]
async fn names_and_lists_at_their_longest_fit_every_window() {
    let Some((ada, server)) = Person::and_server(&[]).await else { return };
    let name = "Bund für barrierefreie Anwendungsprogrammierschnittstellen Nord";
    let account = json!({"email": "ada.with.a.long.address@department.of.northwind.example", "plan": "agency", "name": name});
    let (status, account) = server.operator("POST", "/v1/accounts", account).await;
    assert_eq!(status, 201, "{account}");
    let account = account["id"].as_str().unwrap();
    ada.open(&link(&server, account, json!({"kind": "sign_in"})).await).await;
    look_at(&ada, "link-of-a-long-name").await;
    ada.press("Open dashboard").await;
    ada.see("Hello").await;
    look_at(&ada, "overview-of-a-long-name").await;
    for n in 0..PAST_KEYS {
        let (key, _) = server.key(account, &format!("Nightly export {n}")).await;
        assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
    }
    let unbroken = "W".repeat(64);
    let words = "Production render farm in eu-central, used by the nightly export";
    for name in [unbroken.as_str(), words, "מפתח הייצור של עדה", "مفتاح النشر", "<b>&amp;</b>"]
    {
        server.key(account, name).await;
    }
    settings(&ada).await;
    look_at(&ada, "hard-names").await;
    ada.press_delete_of(&unbroken).await;
    look_at(&ada, "hard-name-delete").await;
    ada.press("Cancel").await;
    ada.press(&format!("Past keys {PAST_KEYS}")).await;
    look_at(&ada, "two-hundred-past-keys").await;
    ada.leave().await;
}

#[tokio::test]
async fn pages_without_scripts_fit_every_window() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    let (key, _) = server.key(&account, "Staging").await;
    let look = async |state: &str| {
        // The page has run nothing of its own by now, and axe needs scripts.
        ada.browser.set_scripts_enabled(true).await.unwrap();
        look_at(&ada, &format!("{state}-without-scripts")).await;
        ada.browser.set_scripts_enabled(false).await.unwrap();
    };
    ada.browser.set_scripts_enabled(false).await.unwrap();
    ada.open("/settings").await;
    look("list").await;
    ada.open(&format!("/settings/api-keys/{key}/delete")).await;
    look("delete-page").await;
    ada.open("/settings/api-keys/new").await;
    look("create-page").await;
    ada.fill("Name", "Pro\u{202e}duction").await;
    ada.press("Create").await;
    ada.see("no line breaks or invisible characters").await;
    look("create-page-faults").await;
    ada.fill("Name", "Production").await;
    ada.press("Create").await;
    ada.see("Your new key").await;
    look("just-created").await;
    // Sends the form again, as a person who confirms it does.
    ada.reload().await;
    ada.see("This form was already sent.").await;
    look("sent-twice").await;
    ada.leave().await;
}
