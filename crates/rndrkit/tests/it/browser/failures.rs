//! What people see while the database is away: that we do not know, never an empty list.

use rndrkit_testkit::private_postgres::PrivatePostgres;

use super::looking::look_at;
use super::person::Person;
use crate::harness::Server;

#[tokio::test]
async fn without_its_database_the_dashboard_says_so_and_comes_back() {
    let Some(mut postgres) = PrivatePostgres::start_or_notice().await else { return };
    let settings = [
        ("RNDRKIT_DATABASE_URL", postgres.url()),
        ("RNDRKIT_OPERATOR_TOKEN", "only-for-this-test".repeat(2)),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let Some((ada, server)) = Person::and_server(&settings).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.enter(&server, &account).await;
    ada.press("Create API Key").await;
    ada.fill("Name", "Reports").await;
    postgres.crash();
    ada.press("Create").await;
    ada.see("We cannot answer right now").await;
    ada.see("may or may not have happened").await;
    ada.open("/settings").await;
    ada.see("We cannot answer right now").await;
    assert!(!ada.sees("may or may not have happened").await, "a page that was only opened changed nothing");
    assert!(!ada.sees("No keys yet").await && !ada.sees("No active keys").await);
    look_at(&ada, "failure").await;
    ada.open("/usage?range=30d").await;
    ada.see("We cannot answer right now").await;
    assert!(!ada.sees("No requests").await, "what is not known looks like nothing");

    postgres.start().await;
    ada.wait("the page that was asked for", async || {
        if ada.can_press("Try again").await {
            ada.press("Try again").await;
        }
        ada.sees("No requests in the last 30 days").await
    })
    .await;
    ada.open("/settings").await;
    ada.see("0 of 5").await;
    let secret = ada.create_key("Reports").await;
    // Pages need the database; a decision needs a beat as well, which comes within a second.
    assert!(server.eventually(async |server: &Server| server.is_ready().await).await);
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    ada.leave().await;
}
