//! What a first visit of the settings weighs on the wire.

use serde_json::json;

use super::person::Person;

/// Bytes of page, style sheet, script and icon together, heads of the answers included.
const MOST: u64 = 30_000;

/// What the browser says that the page and what it named took, in bytes.
const SENT: &str =
    "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map(entry => [entry.name.replace(location.origin, ''), entry.transferSize])";

#[tokio::test]
async fn a_first_visit_of_the_settings_is_light() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    for n in 0..5 {
        let (key, _) = server.key(&account, &format!("Nightly export of department {n}")).await;
        assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
        server.key(&account, &format!("Production render farm {n}")).await;
    }
    // Nothing that an earlier page has brought along counts as there already.
    ada.browser.devtools("Network.clearBrowserCache", json!({})).await.unwrap();
    ada.open("/settings").await;
    let sent: Vec<(String, u64)> = serde_json::from_value(ada.run(SENT).await).unwrap();
    assert!(sent.iter().any(|(name, _)| name.contains(".css")), "{sent:?}");
    assert!(sent.iter().any(|(name, _)| name.contains(".js")), "{sent:?}");
    assert!(sent.iter().all(|(_, bytes)| *bytes > 0), "something was not sent: {sent:?}");
    let icon = "return document.querySelector('link[rel=icon]').getAttribute('href')";
    let icon = ada.run(icon).await.as_str().unwrap().to_owned();
    let icon = server.http.get(server.public_url(&icon)).send().await.unwrap().bytes().await.unwrap();
    let total = sent.iter().map(|(_, bytes)| bytes).sum::<u64>() + icon.len() as u64;
    println!("{total} bytes: {sent:?} and the icon with {}", icon.len());
    assert!(total <= MOST, "{total} bytes: {sent:?}");
    ada.leave().await;
}
