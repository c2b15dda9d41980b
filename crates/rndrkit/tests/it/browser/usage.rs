//! Use in a real browser: the account's page and a key's page, in every window and without JavaScript.

use std::time::Duration;

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{AnswerCounts, UsageCounts, UsageDelta};
use rndrkit_store::{OpenOptions, Store};
use serde_json::json;

use super::looking::look_at;
use super::person::Person;
use crate::harness::Server;

const HOUR: Duration = Duration::from_secs(3_600);
const HOSTILE: &str = "<script>document.title='taken'</script>";

fn now() -> Timestamp {
    jiff::Timestamp::now().to_string().parse().unwrap()
}

/// A month of requests that look like work: more by day than by night, a burst now and then.
fn month(account: &str, keys: &[String]) -> Vec<UsageDelta> {
    let account_id: AccountId = account.parse().unwrap();
    let begin = now().floor_to(HOUR);
    let mut deltas = Vec::new();
    for hours_ago in 0..24_u32 * 30 {
        let minute = begin.minus(HOUR * hours_ago);
        let by_day = 6..20;
        let daytime = by_day.contains(&(minute.unix_ms() / 3_600_000 % 24));
        for (place, key) in keys.iter().enumerate() {
            let place = place as u64;
            let allowed =
                (u64::from(hours_ago) * 37 + place * 101) % 400 / (place + 1) * if daytime { 10 } else { 1 };
            let limited = if hours_ago % 61 == 7 { 120 + place } else { 0 };
            let refused = if hours_ago % 211 == 30 { 45 } else { 0 };
            let answers = AnswerCounts {
                successful: allowed * 9 / 10,
                client_error: allowed / 20,
                ..AnswerCounts::default()
            };
            let counts = UsageCounts { allowed, limited, refused, answers };
            let key_id: KeyId = key.parse().unwrap();
            deltas.push(UsageDelta { key_id, account_id, minute, counts });
        }
    }
    deltas
}

/// Writes use past the server, as its own flushes would have.
async fn count(server: &Server, deltas: &[UsageDelta]) {
    let url = format!("sqlite://{}", server.data().join("rndrkit.db").display());
    let store = Store::open(&OpenOptions::new(&url)).await.unwrap();
    store.record_usage(deltas, &[]).await.unwrap();
}

async fn used(server: &Server, account: &str, names: &[&str]) -> Vec<String> {
    let mut keys = Vec::new();
    for name in names {
        keys.push(server.key(account, name).await.0);
    }
    count(server, &month(account, &keys)).await;
    keys
}

#[tokio::test]
async fn what_keys_did_fits_every_window_and_is_there_to_read_and_to_take_away() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.press_in_sidebar("Usage").await;
    ada.see("Create an API key, and send it").await;
    look_at(&ada, "usage-nothing").await;
    let names = ["CI/CD Pipeline", HOSTILE, &"unbroken".repeat(8), "מפתח הייצור", "Staging"];
    let keys = used(&server, &account, &names).await;
    let (status, _) = server.operator("DELETE", &format!("/v1/keys/{}", keys[4]), json!(null)).await;
    assert_eq!(status, 200);
    for range in ["24 hours", "30 days", "7 days"] {
        ada.press(&format!("Last {range}")).await;
        ada.see(&format!("requests in the last {range}")).await;
        assert!(ada.sees(HOSTILE).await, "the name is a text");
        if range != "24 hours" {
            look_at(&ada, &format!("usage-{}", range.replace(' ', "-"))).await;
        }
    }
    ada.press("The same as a table").await;
    ada.see("so far").await;
    look_at(&ada, "usage-table").await;
    assert_ne!(ada.browser.client().title().await.unwrap(), "taken");

    let file = server.page("/usage.csv?range=7d", &ada.cookie().await).await;
    let disposition = file.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, "attachment; filename=\"usage-7d.csv\"");
    assert!(file.text().await.unwrap().lines().count() > 7 * 24);

    ada.press("CI/CD Pipeline").await;
    ada.see("what the plan allows all keys together").await;
    look_at(&ada, "key").await;
    ada.open(&format!("/settings/api-keys/{}?range=30d", keys[4])).await;
    ada.see("Deleted by whoever runs RndrKit").await;
    look_at(&ada, "key-past").await;
    ada.assert_quiet_console().await;
    ada.leave().await;
}

#[tokio::test]
async fn use_needs_no_script_to_be_seen() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    ada.browser.set_scripts_enabled(false).await.unwrap();
    used(&server, &account, &["CI/CD Pipeline", "Staging"]).await;
    ada.open("/").await;
    ada.open("/settings#api-keys").await;
    ada.press("Staging").await;
    ada.see("requests in the last 7 days").await;
    ada.press("Last 24 hours").await;
    ada.see("requests in the last 24 hours").await;
    ada.press("The same as a table").await;
    ada.see("so far").await;
    ada.press("Delete key").await;
    ada.see("Delete Staging?").await;
    ada.leave().await;
}
