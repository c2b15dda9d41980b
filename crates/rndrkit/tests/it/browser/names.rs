//! What a screen reader says: the names that the browser's accessibility tree gives to what can be pressed or filled in.

use serde_json::{Value, json};

use super::person::Person;

/// What people act on.
const ROLES: [&str; 8] =
    ["button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "DisclosureTriangle"];

/// Role and name of each thing on the page that can be acted on, in the order of the page.
async fn spoken(person: &Person) -> Vec<(String, String)> {
    let tree = person.browser.devtools("Accessibility.getFullAXTree", json!({})).await.unwrap();
    let text = |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().trim().to_owned();
    tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] != json!(true))
        .map(|node| (text(node, "role"), text(node, "name")))
        .filter(|(role, _)| ROLES.contains(&role.as_str()))
        .collect()
}

/// Everything has a name, and no two buttons have the same.
async fn assert_named(person: &Person, page: &str) {
    let spoken = spoken(person).await;
    assert!(spoken.len() > 2, "{page}: {spoken:?}");
    let nameless: Vec<_> = spoken.iter().filter(|(_, name)| name.is_empty()).collect();
    assert!(nameless.is_empty(), "{page}: {nameless:?}");
    let mut buttons: Vec<&str> =
        spoken.iter().filter(|(role, _)| role == "button").map(|(_, name)| name.as_str()).collect();
    // The browser puts this one into every field for a date, and says the field's name before it.
    buttons.retain(|name| !name.starts_with("Show date picker"));
    buttons.sort_unstable();
    let all = buttons.clone();
    buttons.dedup();
    assert_eq!(buttons, all, "{page}: buttons that cannot be told apart");
}

#[tokio::test]
async fn everything_that_can_be_pressed_has_a_name_and_no_two_buttons_have_the_same() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    for name in ["CI/CD Pipeline", "Staging", "מפתח הייצור"] {
        server.key(&account, name).await;
    }
    for page in ["/", "/usage", "/activity", "/explain", "/billing", "/settings", "/settings/api-keys/new"] {
        ada.open(page).await;
        assert_named(&ada, page).await;
    }
    ada.open("/settings").await;
    ada.create_key("Reports").await;
    assert_named(&ada, "the page with a new key").await;
    ada.store_it().await;
    ada.sign_out().await;
    assert_named(&ada, "/sign-in").await;
    ada.leave().await;
}

#[tokio::test]
async fn what_can_be_done_with_a_key_is_named_after_the_key() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    let names = ["CI/CD Pipeline", "Staging"];
    for name in names {
        server.key(&account, name).await;
    }
    ada.open("/settings").await;
    let spoken = spoken(&ada).await;
    for said in names.into_iter().flat_map(|name| [format!("Delete {name}"), format!("Rotate {name}")]) {
        assert!(spoken.contains(&("button".to_owned(), said.clone())), "{said}: {spoken:?}");
    }
    let mask = "return document.querySelector('[data-key-id] .mask').textContent";
    let mask = ada.run(mask).await;
    assert!(mask.as_str().unwrap().starts_with("Key that begins with rk_live_"), "{mask}");
    ada.leave().await;
}
