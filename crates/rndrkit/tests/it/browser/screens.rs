//! How every state of the API Keys page looks: pictures of the real server's pages in
//! `target/screenshots`, in three widths and two colour schemes, none of which scrolls sideways or cuts
//! anything off.

use rndrkit_testkit::browser::ColorScheme;
use serde_json::{Value, json};

use super::person::Person;
use crate::harness::Server;

const WIDTHS: [u32; 3] = [320, 768, 1280];
const SCHEMES: [(&str, ColorScheme); 2] = [("light", ColorScheme::Light), ("dark", ColorScheme::Dark)];
/// A window's height; pages without a dialog are pictured as a whole.
const HEIGHT: u32 = 800;

/// Elements that reach out of the window, or hold more than they show. What only screen readers get is
/// clipped on purpose.
const CUT: &str = "
    const clipped = e => { for (; e; e = e.parentElement) if (getComputedStyle(e).clipPath !== 'none') return true; };
    return [...document.body.querySelectorAll(':not(svg, svg *, .skip)')]
        .filter(e => e.checkVisibility({ visibilityProperty: true }) && !clipped(e))
        .filter(e => {
            const box = e.getBoundingClientRect();
            return box.left < -0.5 || box.right > innerWidth + 0.5
                || (e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1);
        })
        .map(e => e.outerHTML.slice(0, 120));";

/// What is pressed and is too small for a finger: below 24 pixels.
const SMALL: &str = "
    return [...document.querySelectorAll('button, .button, summary, nav a, label.check, select, input:not([type=checkbox])')]
        .filter(e => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().height < 24)
        .map(e => e.outerHTML.slice(0, 120));";

/// Pictures what is displayed, in every width and scheme, and looks for what does not fit.
pub(super) async fn picture(person: &Person, state: &str) {
    for width in WIDTHS {
        person.browser.set_viewport(width, HEIGHT).await.unwrap();
        let whole =
            "return document.querySelector('dialog[open]') ? 0 : document.documentElement.scrollHeight";
        let whole = person.run(whole).await.as_u64().unwrap();
        let height = u32::try_from(whole).unwrap().max(HEIGHT);
        person.browser.set_viewport(width, height).await.unwrap();
        for (scheme_name, scheme) in SCHEMES {
            person.browser.set_color_scheme(scheme).await.unwrap();
            let name = format!("{state}-{width}-{scheme_name}");
            person.browser.save_screenshot(&name).await.unwrap();
        }
        let fits = person.run("return document.documentElement.scrollWidth <= innerWidth").await;
        assert_eq!(fits, json!(true), "{state} scrolls sideways at {width}");
        assert_eq!(person.run(CUT).await, json!([]), "cut off in {state} at {width}");
        assert_eq!(person.run(SMALL).await, json!([]), "too small in {state} at {width}");
    }
}

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
        picture(&ada, state).await;
    }
    set(&server, &account, json!({"plan": "agency"})).await;
    fill_the_page(&ada, &server, &account).await;
    take_away(&ada, &server, &account).await;
    ada.open("/").await;
    ada.press_in_sidebar("Sign out").await;
    ada.see("Sign in").await;
    picture(&ada, "sign-in").await;
    ada.leave().await;
}

/// From no key to five.
async fn fill_the_page(ada: &Person, server: &Server, account: &str) {
    settings(ada).await;
    picture(ada, "empty").await;
    ada.press("Create API Key").await;
    picture(ada, "create-form").await;
    ada.press("More options").await;
    picture(ada, "create-form-options").await;
    ada.press("Cancel").await;
    let secret = ada.create_key("CI/CD Pipeline").await;
    picture(ada, "just-created").await;
    ada.store_it().await;
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    server.key(account, &"unbroken".repeat(8)).await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 12);
    let path = format!("/v1/accounts/{account}/keys");
    let key = json!({"name": "Load test in the week before the launch", "expires_at": soon.to_string()});
    assert_eq!(server.operator("POST", &path, key).await.0, 201);
    settings(ada).await;
    picture(ada, "list").await;
    ada.press_delete_of("CI/CD Pipeline").await;
    picture(ada, "delete-confirmation").await;
    ada.press("Cancel").await;
    server.key(account, "Staging").await;
    server.key(account, "מפתח הייצור").await;
    settings(ada).await;
    picture(ada, "five-of-five").await;
    ada.open("/").await;
    picture(ada, "quick-start").await;
    ada.open("/billing").await;
    picture(ada, "billing-downgrade").await;
    settings(ada).await;
}

/// From five keys to a smaller plan and a suspension.
async fn take_away(ada: &Person, server: &Server, account: &str) {
    ada.press_delete_of("Staging").await;
    ada.press("Delete key").await;
    ada.see("Staging was deleted.").await;
    ada.press("Past keys 1").await;
    picture(ada, "deleted-past-keys-open").await;
    set(server, account, json!({"plan": "pro"})).await;
    settings(ada).await;
    picture(ada, "downgraded").await;
    set(server, account, json!({"plan": "agency", "status": "suspended"})).await;
    settings(ada).await;
    picture(ada, "suspended").await;
    ada.open("/nowhere").await;
    picture(ada, "not-found").await;
}
