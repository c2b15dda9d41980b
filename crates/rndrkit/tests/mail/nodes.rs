//! Two nodes share one outbox: each mail is sent by one of them.

use rndrkit_testkit::database::TestDatabase;
use serde_json::Value;

use crate::harness::Server;
use crate::receiver::Receiver;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ROUNDS: usize = 20;

#[tokio::test]
async fn of_two_nodes_one_sends_each_mail() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let url = receiver.url();
    let settings = [
        ("RNDRKIT_DATABASE_URL", database.url()),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_SMTP_URL", url.as_str()),
        ("RNDRKIT_MAIL_FROM", "keys@mail.example"),
    ];
    let nodes = [Server::start(&settings).await, Server::start(&settings).await];
    let account = nodes[0].account("ada@example.com", "agency").await;
    for round in 0..ROUNDS {
        let (key, _) = nodes[round % 2].key(&account, &format!("Key {round}")).await;
        let path = format!("/v1/keys/{key}");
        assert_eq!(nodes[(round + 1) % 2].operator("DELETE", &path, Value::Null).await.0, 200);
    }
    let mails = receiver.wait_for_mails(2 * ROUNDS).await;
    let mut ids: Vec<&str> = mails.iter().map(super::receiver::Mail::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((mails.len(), ids.len()), (2 * ROUNDS, 2 * ROUNDS), "each once");
    let mut sent = 0.0;
    for node in &nodes {
        sent += node.metric("rndrkit_mail_total{outcome=\"sent\"}").await;
    }
    assert_eq!(sent, 40.0);
}
