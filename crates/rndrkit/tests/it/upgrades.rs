//! Rolling upgrades with real processes: the schema grows first, both versions run on it, then it shrinks. The
//! newer version is played by hand, as no such version exists.

use std::process::Command;

use rndrkit_testkit::database::{TestDatabase, meddle};
use serde_json::{Value, json};

use crate::harness::Server;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn settings(url: &str) -> [(&str, &str); 3] {
    [("RNDRKIT_DATABASE_URL", url), ("RNDRKIT_OPERATOR_TOKEN", TOKEN), ("RNDRKIT_TRUST_SECONDS", "4")]
}

/// What a newer version does at its first start while this one runs: adds, and takes nothing away.
const EXPAND: &str = "BEGIN;
    ALTER TABLE accounts ADD COLUMN region TEXT;
    ALTER TABLE api_keys ADD COLUMN note TEXT;
    CREATE TABLE invoices (id TEXT NOT NULL PRIMARY KEY);
    UPDATE schema_version SET version = 99;
    INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0099_later', 1);
    COMMIT";

/// An entry that only a newer version understands.
const UNKNOWN_KIND: &str = "BEGIN;
    UPDATE feed_head SET number = number + 1, tag = 4711;
    INSERT INTO feed (number, tag, kind, digests, at)
        SELECT number, tag, 99, '\\x'::bytea, 1 FROM feed_head;
    COMMIT";

/// What a newer version does when no older one is to run any more.
const CONTRACT: &str = "UPDATE schema_version SET oldest_runnable = 99";

async fn is_valid(server: &Server, secret: &str) -> bool {
    server.look(secret).await.1["valid"] == json!(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_version_goes_on_and_restarts_on_a_schema_that_a_newer_one_has_expanded() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let mut server = Server::start(&settings(database.url())).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, known) = server.key(&account, "before").await;
    assert!(is_valid(&server, &known).await);

    meddle(database.url(), EXPAND).await;
    assert!(is_valid(&server, &known).await);
    let (key, made_after) = server.key(&account, "after").await;
    assert!(is_valid(&server, &made_after).await, "reading and writing go on");
    let (status, receipt) = server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(server.look(&made_after).await.1["code"], json!("key_revoked"));

    meddle(database.url(), "UPDATE accounts SET status = 'suspended'").await;
    meddle(database.url(), UNKNOWN_KIND).await;
    let is_suspended = async |server: &Server| server.look(&known).await.1["code"] == "account_suspended";
    assert!(server.eventually(is_suspended).await, "an entry that it does not know must drop everything");
    let (status, answer) =
        server.operator("PATCH", &format!("/v1/accounts/{account}"), json!({"status": "active"})).await;
    assert_eq!(status, 200, "the feed goes on behind it: {answer}");
    assert!(is_valid(&server, &known).await);

    assert_eq!(server.terminate(), Some(0));
    server.spawn().await;
    assert!(is_valid(&server, &known).await, "the way back is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_schema_needs_a_newer_version_this_one_stops_deciding_and_does_not_start() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let server = Server::start(&settings(database.url())).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    assert!(is_valid(&server, &secret).await);
    meddle(database.url(), EXPAND).await;
    meddle(database.url(), CONTRACT).await;

    let stopped = async |server: &Server| !server.is_ready().await;
    assert!(server.eventually(stopped).await, "it went on: {}", server.log());
    let (status, answer) = server.look(&secret).await;
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
    let says_why = async |server: &Server| server.log().contains("schema 99");
    assert!(server.eventually(says_why).await, "it must say why: {}", server.log());

    let folder = tempfile::tempdir().unwrap();
    let late = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .env_clear()
        .envs(settings(database.url()))
        .env("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0")
        .env("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    assert_eq!(late.status.code(), Some(1), "{said}");
    for word in ["schema 99", "made by a newer rndrkit", "Start the newer version"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_that_start_at_once_on_an_empty_database_all_come_up() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let mut starting = Vec::new();
    for _ in 0..8 {
        let url = database.url().to_owned();
        starting.push(tokio::spawn(async move { Server::start(&settings(&url)).await }));
    }
    let mut servers = Vec::new();
    for server in starting {
        servers.push(server.await.unwrap());
    }
    let account = servers[0].account("ada@example.com", "agency").await;
    let (key, secret) = servers[1].key(&account, "Production").await;
    for server in &servers {
        assert!(is_valid(server, &secret).await, "{}", server.log());
    }
    let (status, receipt) = servers[2].operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!((status, &receipt["nodes_confirmed"]), (200, &json!(8)), "{receipt}");
    for server in &servers {
        assert_eq!(server.look(&secret).await.1["code"], json!("key_revoked"));
    }
}
