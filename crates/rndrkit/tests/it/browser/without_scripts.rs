//! The dashboard without JavaScript: plain forms and pages do everything.

use serde_json::json;

use super::person::{PASSWORD, Person, link};

async fn without_scripts(settings: &[(&str, &str)]) -> Option<(Person, crate::harness::Server)> {
    let (person, server) = Person::and_server(settings).await?;
    person.browser.set_scripts_enabled(false).await.unwrap();
    Some((person, server))
}

#[tokio::test]
async fn everything_works_without_scripts() {
    let Some((ada, server)) = without_scripts(&[]).await else { return };
    let account = server.account("ada@example.com", "starter").await;
    ada.join(&server, &account).await;
    ada.sign_out().await;
    assert!(!ada.can_press("Show password").await, "a button that does nothing is shown");
    ada.fill("E-mail", "ada@example.com").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Sign in").await;
    ada.see("Hello").await;

    ada.press_in_sidebar("Billing").await;
    ada.press("Upgrade to Agency").await;
    ada.see("Your plan was changed.").await;

    ada.press_in_sidebar("Settings").await;
    let secret = ada.create_key("CI/CD Pipeline").await;
    assert_eq!(ada.place().await, "/settings/api-keys");
    assert!(!ada.can_press("Copy").await, "a button that does nothing is shown");
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    ada.store_it().await;
    ada.see("1 of 5").await;
    ada.see(&secret[.."rk_live_".len() + 4]).await;

    ada.press_delete_of("CI/CD Pipeline").await;
    ada.see("Delete CI/CD Pipeline?").await;
    ada.press("Cancel").await;
    ada.see("1 of 5").await;
    ada.press_delete_of("CI/CD Pipeline").await;
    ada.press("Delete key").await;
    ada.see("CI/CD Pipeline was deleted.").await;
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 401);
    ada.press("Past keys 1").await;
    ada.see("Deleted in the dashboard").await;

    ada.open(&link(&server, &account, json!({"kind": "sign_in"})).await).await;
    ada.press("Open dashboard").await;
    ada.see("Hello").await;
    ada.leave().await;
}

#[tokio::test]
async fn reloading_the_page_that_showed_a_secret_makes_no_second_key() {
    let Some((ada, server)) = without_scripts(&[]).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.enter(&server, &account).await;
    let secret = ada.create_key("Staging").await;
    // Sends the form again, as a person who confirms it does.
    ada.reload().await;
    ada.see("This form was already sent.").await;
    assert!(!ada.everything_kept().await.contains(&secret));
    assert_eq!(ada.rows().await.len(), 1);

    ada.press("Delete that key").await;
    ada.press("Delete key").await;
    ada.see("Staging was deleted.").await;
    ada.leave().await;
}

#[tokio::test]
async fn a_refused_request_is_explained_by_a_plain_form() {
    let Some((ada, server)) = without_scripts(&[]).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Nightly export").await;
    let path = format!("/v1/accounts/{account}");
    assert_eq!(server.operator("PATCH", &path, json!({"plan": "pro"})).await.0, 200);
    let refused = server.get_with_key("/api/rk/account", &secret).await;
    let id = refused.headers()["x-rk-request-id"].to_str().unwrap().to_owned();
    ada.enter(&server, &account).await;
    ada.open("/explain").await;
    ada.fill("Request id", "what was it").await;
    ada.press("Explain").await;
    ada.see("This is not a request id.").await;
    // Written with the next flush.
    ada.wait("the refusal is explained", async || {
        ada.open("/explain").await;
        ada.fill("Request id", &format!("\"request_id\":\"{id}\"")).await;
        ada.press("Explain").await;
        ada.sees("was on the Pro plan, which does not include API access").await
    })
    .await;
    ada.see("The same request on the Agency and Agency+ plans.").await;
    ada.see("Nightly export").await;
    ada.press("Upgrading").await;
    ada.arrive("/billing#upgrading").await;
    ada.leave().await;
}

#[tokio::test]
async fn a_form_with_a_fault_keeps_what_was_typed() {
    let Some((ada, server)) = without_scripts(&[]).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.enter(&server, &account).await;
    ada.press("Create API Key").await;
    let name = "Pro\u{202e}duction";
    ada.fill("Name", name).await;
    ada.press("Create").await;
    ada.see("no line breaks or invisible characters").await;
    assert_eq!(ada.field("Name").await.prop("value").await.unwrap(), Some(name.to_owned()));
    ada.fill("Name", "Production").await;
    ada.press("Create").await;
    ada.see("Your new key").await;
    ada.leave().await;
}
