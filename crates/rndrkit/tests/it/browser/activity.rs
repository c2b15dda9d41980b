//! `/activity` in a browser: read, filtered and turned over without scripts, and looked at in every width and scheme.

use serde_json::json;

use super::looking::look_at;
use super::person::Person;

#[tokio::test]
async fn activity_is_read_filtered_and_cleared_without_scripts() {
    let Some((ada, server)) = Person::and_server(&[]).await else { return };
    ada.browser.set_scripts_enabled(false).await.unwrap();
    let account = server.account("ada@example.com", "agency").await;
    ada.join(&server, &account).await;
    let (key, _) = server.key(&account, "Production").await;
    assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
    server.key(&account, "مفتاح الإنتاج").await;
    server.key(&account, &"Deployment".repeat(7)[..64]).await;
    ada.press_in_sidebar("Activity").await;
    ada.see("Whoever runs RndrKit created the key Production").await;
    ada.see("Whoever runs RndrKit deleted the key Production").await;
    ada.see("You joined this account").await;
    // The operator's command and its address are not the account's to see; one's own browser is.
    assert!(ada.sees("Chrome without a window on Linux").await, "{}", ada.text().await);

    ada.choose("What", "Sign-ins and passwords").await;
    ada.press("Filter").await;
    ada.miss("created the key").await;
    assert!(ada.place().await.starts_with("/activity?kind=sign-ins"), "{}", ada.place().await);
    ada.choose("Who", "RndrKit").await;
    ada.press("Filter").await;
    ada.see("No activity matches these filters").await;
    ada.open("/activity?key=&kind=keys").await;
    ada.choose("Key", "Production").await;
    ada.press("Filter").await;
    ada.see("deleted the key Production").await;
    ada.miss("created the key مفتاح الإنتاج").await;
    ada.press("Clear filters").await;
    ada.see("created the key مفتاح الإنتاج").await;
    assert_eq!(ada.place().await, "/activity");
    for _ in 0..26 {
        let (key, _) = server.key(&account, "Short-lived").await;
        assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
    }
    ada.open("/activity").await;
    ada.miss("joined this account").await;
    ada.press("Older").await;
    ada.see("You joined this account").await;
    ada.press("Newer").await;
    ada.miss("joined this account").await;
    ada.leave().await;
}

#[tokio::test]
async fn activity_fits_every_window_in_every_state() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    for name in ["CI/CD Pipeline", "مفتاح الإنتاج", &"Deployment".repeat(7)[..64]] {
        let (key, _) = server.key(&account, name).await;
        assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
    }
    for (state, path) in [
        ("activity", "/activity"),
        ("activity-filtered", "/activity?kind=keys"),
        ("activity-no-match", "/activity?from=2020-01-01&to=2020-01-02"),
        ("activity-fault", "/activity?from=2020-01-02&to=2020-01-01"),
    ] {
        ada.open(path).await;
        ada.see("What happened in this account").await;
        look_at(&ada, state).await;
    }
    ada.leave().await;
}
