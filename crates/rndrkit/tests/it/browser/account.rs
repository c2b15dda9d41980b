//! Changing one's own password and address, by somebody at a browser, with and without scripts.

use rndrkit_testkit::database::texts;

use super::person::{MAIL, PASSWORD, Person};
use crate::harness::Server;

const EMAIL: &str = "ada@example.com";
const NEW_EMAIL: &str = "ada@lovelace.example";
const NEW_PASSWORD: &str = "nine green bottles on a wall";

async fn sign_in(ada: &Person, email: &str, password: &str) {
    ada.fill("E-mail", email).await;
    ada.fill("Password", password).await;
    ada.press("Sign in").await;
}

/// Opens a fold of the section *Account*.
async fn unfold(ada: &Person, name: &str) {
    ada.open("/settings#account").await;
    ada.one(&format!("//summary[normalize-space(.)=\"{name}\"]")).await.click().await.unwrap();
}

async fn send_passwords(ada: &Person, current: &str, new: &str) {
    ada.fill("Current password", current).await;
    ada.fill("New password", new).await;
    ada.one("//button[normalize-space(.)=\"Change password\"]").await.click().await.unwrap();
}

async fn change_password(ada: &Person) {
    unfold(ada, "Change password").await;
    send_passwords(ada, "not the password", NEW_PASSWORD).await;
    ada.see("This is not your current password.").await;
    for field in ["Current password", "New password"] {
        let typed = ada.field(field).await.prop("value").await.unwrap();
        assert_eq!(typed.as_deref(), Some(""), "{field} came back");
    }
    send_passwords(ada, PASSWORD, NEW_PASSWORD).await;
    ada.see("Your password was changed.").await;
    ada.arrive("/settings?changed=password#account").await;
    ada.sign_out().await;
    sign_in(ada, EMAIL, PASSWORD).await;
    ada.see("The e-mail address or the password is not right.").await;
    sign_in(ada, EMAIL, NEW_PASSWORD).await;
    ada.see("Hello").await;
}

async fn ask_for_address(ada: &Person) {
    unfold(ada, "Change e-mail").await;
    ada.fill("New e-mail", NEW_EMAIL).await;
    ada.fill("Current password", NEW_PASSWORD).await;
    ada.press("Send the link").await;
    ada.see("Look into the new mailbox.").await;
    ada.see(&format!("Waiting for {NEW_EMAIL} to confirm.")).await;
}

async fn change_address(ada: &Person, server: &Server) {
    ask_for_address(ada).await;
    ada.press(&format!("Cancel the change to {NEW_EMAIL}")).await;
    ada.see("The change was cancelled.").await;
    ada.miss("Waiting for").await;
    ask_for_address(ada).await;
    let url = format!("sqlite://{}", server.data().join("rndrkit.db").display());
    let newest = "SELECT payload FROM outbox WHERE kind = 'email_confirmation' AND payload IS NOT NULL
                  ORDER BY created_at DESC LIMIT 1";
    let links = texts(&url, newest).await;
    ada.open(&links[0]).await;
    ada.see(NEW_EMAIL).await;
    ada.press("Use this address").await;
    ada.see("Your e-mail address was changed.").await;
    ada.sign_out().await;
    sign_in(ada, EMAIL, NEW_PASSWORD).await;
    ada.see("The e-mail address or the password is not right.").await;
    sign_in(ada, NEW_EMAIL, NEW_PASSWORD).await;
    ada.see("Hello").await;
    ada.open(&links[0]).await;
    ada.see("This link no longer works").await;
}

#[tokio::test]
async fn password_and_address_are_changed_by_their_owner_with_and_without_scripts() {
    for scripts in [true, false] {
        let Some((ada, server)) = Person::and_server(&MAIL).await else { return };
        ada.browser.set_scripts_enabled(scripts).await.unwrap();
        let account = server.account(EMAIL, "agency").await;
        ada.join(&server, &account).await;
        change_password(&ada).await;
        change_address(&ada, &server).await;
        if scripts {
            ada.assert_quiet_console().await;
        }
        ada.leave().await;
    }
}
