//! Rotating a key and ending its old secret, by somebody at a browser, with and without scripts.

use super::person::Person;
use crate::harness::Server;

async fn status(server: &Server, secret: &str) -> u16 {
    server.get_with_key("/api/rk/account", secret).await.status().as_u16()
}

/// What is displayed once.
async fn new_secret(ada: &Person) -> String {
    ada.see("The new secret of Production").await;
    ada.field("API key").await.prop("value").await.unwrap().unwrap()
}

async fn stored(ada: &Person) {
    ada.one("//label[normalize-space(.)=\"I have stored this key\"]/input").await.click().await.unwrap();
    ada.press("Done").await;
    ada.miss("The new secret of").await;
}

/// Presses what is displayed as this in the table; its name says of which key.
async fn press_row(ada: &Person, words: &str) {
    let button = format!("//table//button[normalize-space(.)=\"{words}\"]");
    ada.one(&button).await.click().await.unwrap();
}

async fn rotate_and_end(ada: &Person, server: &Server) {
    let old = ada.create_key("Production").await;
    ada.store_it().await;
    assert_eq!(status(server, &old).await, 200);

    press_row(ada, "Rotate").await;
    ada.see("Rotate Production?").await;
    ada.press("Cancel").await;
    ada.miss("When does the current secret end?").await;
    press_row(ada, "Rotate").await;
    ada.see("When does the current secret end?").await;
    ada.press("Rotate key").await;
    let fresh = new_secret(ada).await;
    assert!(fresh.starts_with("rk_live_") && fresh != old);
    ada.see("The old secret works until tomorrow at").await;
    assert_eq!((status(server, &old).await, status(server, &fresh).await), (200, 200));
    stored(ada).await;

    ada.see("1 of 5").await;
    ada.see(&fresh[..12]).await;
    ada.see(&old[..12]).await;
    ada.see("Not safe to end yet").await;
    ada.see("It is safe to end the old secret once it was not used for 24 hours").await;
    press_row(ada, "End now").await;
    ada.see("End the old secret of Production?").await;
    ada.press("End old secret").await;
    ada.see("The old secret of Production was ended.").await;
    ada.see("Refused on the server").await;
    assert_eq!((status(server, &old).await, status(server, &fresh).await), (401, 200));

    press_row(ada, "Rotate").await;
    ada.one("//*[self::main or self::dialog[@open]]//label[normalize-space(.)=\"Now\"]")
        .await
        .click()
        .await
        .unwrap();
    ada.press("Rotate key").await;
    let last = new_secret(ada).await;
    ada.see("The old secret works no more.").await;
    assert_eq!((status(server, &fresh).await, status(server, &last).await), (401, 200));
    stored(ada).await;
    let kept = ada.everything_kept().await;
    assert!([old, fresh, last].iter().all(|secret| !kept.contains(&secret[12..])));
}

#[tokio::test]
async fn a_key_is_rotated_in_dialogs_and_its_old_secret_is_ended() {
    let Some((ada, server, _)) = Person::on_plan("agency").await else { return };
    ada.press_in_sidebar("Settings").await;
    rotate_and_end(&ada, &server).await;
    ada.assert_quiet_console().await;
    ada.leave().await;
}

/// A choice for one key that was then left must not end another key's secret.
#[tokio::test]
async fn what_was_chosen_in_a_dialog_and_left_is_forgotten() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    server.key(&account, "Production").await;
    ada.press_in_sidebar("Settings").await;
    ada.reload().await;
    press_row(&ada, "Rotate").await;
    let chosen = async || {
        let value = "document.querySelector('dialog[open] input[type=radio]:checked').value";
        ada.run(&format!("return [{value}, document.activeElement.value]")).await
    };
    let at_first = serde_json::json!(["86400", "86400"]);
    assert_eq!(chosen().await, at_first, "the keyboard is where the choice is");
    ada.one("//dialog[@open]//label[normalize-space(.)=\"Now\"]").await.click().await.unwrap();
    assert_eq!(chosen().await[0], "0");
    ada.press("Cancel").await;
    press_row(&ada, "Rotate").await;
    assert_eq!(chosen().await, at_first);
    ada.press("Cancel").await;
    ada.press("Create API Key").await;
    ada.fill("Name", "left over").await;
    ada.press("Cancel").await;
    ada.press("Create API Key").await;
    assert_eq!(ada.field("Name").await.prop("value").await.unwrap().unwrap(), "");
    ada.assert_quiet_console().await;
    ada.leave().await;
}

#[tokio::test]
async fn a_key_is_rotated_and_its_old_secret_is_ended_without_scripts() {
    let Some((ada, server)) = Person::and_server(&[]).await else { return };
    ada.browser.set_scripts_enabled(false).await.unwrap();
    let account = server.account("ada@example.com", "agency").await;
    ada.enter(&server, &account).await;
    rotate_and_end(&ada, &server).await;
    ada.leave().await;
}
