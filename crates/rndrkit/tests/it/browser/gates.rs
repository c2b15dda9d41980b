//! Every page that somebody sees who is not signed in, on the real server: each is looked at as `looking` does.

use serde_json::json;

use super::looking::look_at;
use super::person::{PASSWORD, Person, link};
use crate::harness::Server;

/// From a fresh page: what one attempt was told must not be taken for what the next one is.
async fn wrong_password(ada: &Person) {
    ada.open("/sign-in").await;
    ada.fill("E-mail", "ada@example.com").await;
    ada.fill("Password", "not the right one").await;
    ada.press("Sign in").await;
}

#[tokio::test]
async fn pages_before_signing_in_fit_every_window() {
    let Some((ada, server)) = Person::and_server(&[("RNDRKIT_SIGN_UP", "invite")]).await else { return };
    let first = server.log().split("Create the first account: ").nth(1).unwrap().to_owned();
    ada.open(first.split_whitespace().next().unwrap()).await;
    look_at(&ada, "sign-up-first").await;

    let account = server.account("ada@example.com", "agency").await;
    ada.open(&link(&server, &account, json!({"kind": "invite"})).await).await;
    look_at(&ada, "sign-up-invite").await;
    ada.fill("E-mail", "ada@example.com").await;
    ada.fill("Password", "password password").await;
    ada.press("Join").await;
    ada.wait("a word about the password", async || !ada.texts(".problem").await.is_empty()).await;
    look_at(&ada, "sign-up-faults").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Join").await;
    ada.see("Hello").await;
    ada.sign_out().await;
    look_at(&ada, "sign-in").await;
    wrong_password(&ada).await;
    ada.wait("a refusal", async || !ada.texts("[role=alert]").await.is_empty()).await;
    look_at(&ada, "sign-in-refused").await;
    ada.open("/sign-in?ended=1").await;
    look_at(&ada, "sign-in-ended").await;
    look_at_links(&ada, &server, &account).await;
    ada.leave().await;
}

/// What links lead to, also when they no longer do.
async fn look_at_links(ada: &Person, server: &Server, account: &str) {
    ada.open("/sign-up").await;
    look_at(ada, "sign-up-by-invitation").await;
    ada.open(&link(server, account, json!({"kind": "sign_in"})).await).await;
    look_at(ada, "link").await;
    ada.open(&link(server, account, json!({"kind": "password_reset"})).await).await;
    look_at(ada, "reset").await;
    ada.open("/sign-in?link=used-up").await;
    look_at(ada, "link-dead").await;
    ada.open(&format!(
        "data:text/html,<form method=post action={}><button>Win</button></form>",
        server.public_url("/sign-out")
    ))
    .await;
    ada.press("Win").await;
    ada.see("This form came from another site").await;
    look_at(ada, "form-of-another-site").await;
}

#[tokio::test]
async fn open_sign_up_fits_every_window() {
    let settings = [("RNDRKIT_SIGN_UP", "open"), ("RNDRKIT_BILLING", "operator")];
    let Some((ada, _server)) = Person::and_server(&settings).await else { return };
    ada.open("/sign-in").await;
    look_at(&ada, "sign-in-open").await;
    ada.press("Create an account").await;
    look_at(&ada, "sign-up-open").await;
    ada.fill("E-mail", "ada@example.com").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Create account").await;
    ada.see("Hello").await;
    ada.open("/billing").await;
    look_at(&ada, "billing-by-operator").await;
    ada.sign_out().await;
    for _ in 0..30 {
        wrong_password(&ada).await;
        ada.wait("a refusal", async || !ada.texts("[role=alert]").await.is_empty()).await;
        if ada.sees("many").await {
            break;
        }
    }
    look_at(&ada, "sign-in-too-often").await;
    ada.leave().await;
}
