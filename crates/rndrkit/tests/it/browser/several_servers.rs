//! What somebody sees of several servers: that a deletion waits for all of them, and how that ended.

use rndrkit_testkit::database::TestDatabase;

use super::person::Person;
use crate::harness::Server;

/// Keeps all that the button says while the browser waits for the answer.
const LISTEN: &str = "const button = document.querySelector('dialog[open] .destroy');
    new MutationObserver(() => {
        sessionStorage.said = (sessionStorage.said ?? '') + button.textContent + '|';
    }).observe(button, {childList: true, characterData: true, subtree: true});";

#[tokio::test]
async fn a_deletion_that_waits_for_a_server_says_so_and_then_how_it_ended() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let settings = [
        ("RNDRKIT_DATABASE_URL", database.url()),
        ("RNDRKIT_OPERATOR_TOKEN", "0123456789abcdef0123456789abcdef"),
        ("RNDRKIT_TRUST_SECONDS", "4"),
    ];
    let Some((ada, server)) = Person::and_server(&settings).await else { return };
    let other = Server::start(&settings).await;
    let account = server.account("ada@example.com", "agency").await;
    ada.enter(&server, &account).await;
    for name in ["Staging", "Production"] {
        ada.create_key(name).await;
        ada.store_it().await;
    }

    ada.press_delete_of("Staging").await;
    ada.press("Delete key").await;
    ada.see("Refused on both servers, ").await;

    other.signal("STOP");
    ada.press_delete_of("Production").await;
    ada.run(LISTEN).await;
    ada.press("Delete key").await;
    ada.see("Production was deleted.").await;
    ada.see("1 server confirmed; 1 did not answer and cannot accept it any more;").await;
    let said = ada.run("return sessionStorage.said").await;
    assert_eq!(said.as_str(), Some("Deleting…|Waiting for every server…|"));
    other.signal("CONT");
    ada.leave().await;
}
