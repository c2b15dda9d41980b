//! The pages about use, about one key and about mail, in their states on the real server: each is looked at as `looking`
//! does. Their fixtures are in the server's gallery.

use serde_json::json;

use super::looking::look_at;
use super::person::{MAIL, Person};
use crate::harness::Server;

#[tokio::test]
async fn usage_fits_every_window_in_every_state() {
    let Some((ada, server, account)) = Person::on_plan("starter").await else { return };
    ada.open("/usage").await;
    look_at(&ada, "usage-locked").await;
    let path = format!("/v1/accounts/{account}");
    assert_eq!(server.operator("PATCH", &path, json!({"plan": "agency"})).await.0, 200);
    ada.open("/usage").await;
    look_at(&ada, "usage-without-keys").await;
    let mut first = String::new();
    for (n, name) in ["CI/CD Pipeline", "מפתח הייצור", "Nightly export"].into_iter().enumerate() {
        let (key, secret) = server.key(&account, name).await;
        for _ in 0..=(12 - 3 * n) {
            assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
        }
        if n == 0 {
            first = key;
        }
    }
    assert!(
        server
            .eventually(async |_: &Server| {
                ada.open("/usage").await;
                !ada.texts(".figure").await.is_empty()
            })
            .await
    );
    look_at(&ada, "usage").await;
    ada.press("The same as a table").await;
    look_at(&ada, "usage-table").await;
    ada.open(&format!("/settings/api-keys/{first}")).await;
    look_at(&ada, "key").await;
    assert_eq!(server.operator("DELETE", &format!("/v1/keys/{first}"), json!(null)).await.0, 200);
    ada.open(&format!("/settings/api-keys/{first}")).await;
    look_at(&ada, "key-past").await;
    ada.leave().await;
}

#[tokio::test]
async fn what_would_be_mailed_fits_every_window_where_no_mail_is_sent() {
    let Some((ada, _server, _)) = Person::on_plan("agency").await else { return };
    ada.open("/settings#notifications").await;
    ada.see("No mail server is set up here, so nothing is mailed; all that happens shows in Activity.").await;
    ada.press("What would be mailed").await;
    ada.see("Every Monday").await;
    look_at(&ada, "notifications-without-mail").await;
    ada.leave().await;
}

#[tokio::test]
async fn environments_and_notifications_fit_every_window() {
    let Some((ada, server)) = Person::and_server(&MAIL).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.enter(&server, &account).await;
    let path = format!("/v1/accounts/{account}/keys");
    for (name, environment) in [
        ("CI/CD Pipeline", "CI/CD"),
        ("Render farm", "production"),
        ("Ours", "Für die Messe im Frühling 2027"),
    ] {
        let key = json!({"name": name, "environment": environment});
        assert_eq!(server.operator("POST", &path, key).await.0, 201);
    }
    ada.open("/settings").await;
    look_at(&ada, "environments-and-notifications").await;
    ada.press("Save notifications").await;
    ada.see("Notifications are saved.").await;
    look_at(&ada, "notifications-saved").await;
    let (_, keys) = server.operator("GET", &path, json!(null)).await;
    let key = keys["data"][0]["id"].as_str().unwrap();
    ada.open(&format!("/settings/api-keys/{key}/label")).await;
    look_at(&ada, "label").await;
    ada.leave().await;
}

#[tokio::test]
async fn passwords_and_signed_in_browsers_fit_every_window() {
    let Some((ada, server)) = Person::and_server(&[]).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.join(&server, &account).await;
    server.session(&account).await;
    ada.open("/settings#account").await;
    ada.see("Signed-in browsers").await;
    ada.press("Change password").await;
    look_at(&ada, "account").await;
    ada.fill("Current password", "not the right one").await;
    ada.fill("New password", "ten harps behind a tram").await;
    ada.one("//form[@action='/settings/password']//button[not(@type)]").await.click().await.unwrap();
    ada.wait("a word about it", async || {
        !ada.texts("#account .problem, #account [role=alert]").await.is_empty()
    })
    .await;
    look_at(&ada, "account-faults").await;
    ada.leave().await;
}

#[tokio::test]
async fn rotation_fits_every_window_in_every_state() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    let (key, secret) = server.key(&account, "Production render farm in eu-central").await;
    server.key(&account, "Staging").await;
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    ada.open(&format!("/settings/api-keys/{key}/rotate")).await;
    look_at(&ada, "rotate-page").await;
    ada.open("/settings").await;
    ada.one("//button[@aria-label='Rotate Production render farm in eu-central']")
        .await
        .click()
        .await
        .unwrap();
    ada.see("When does the current secret end?").await;
    look_at(&ada, "rotate").await;
    ada.press("Rotate key").await;
    ada.see("The new secret of").await;
    look_at(&ada, "rotated").await;
    ada.one("//label[normalize-space(.)='I have stored this key']/input").await.click().await.unwrap();
    ada.press("Done").await;
    ada.see("Old secret").await;
    look_at(&ada, "two-secrets").await;
    ada.one("//button[normalize-space(.)='End now']").await.click().await.unwrap();
    ada.see("End the old secret of").await;
    look_at(&ada, "end-old-secret").await;
    ada.leave().await;
}
