//! The promises on PostgreSQL: the same as on SQLite, and what happens when the database goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::private_postgres::PrivatePostgres;
use serde_json::{Value, json};

use crate::harness::Server;
use crate::promises;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The shortest that may be set.
const TRUST_SECONDS: &str = "4";
const TRUST: Duration = Duration::from_secs(4);
/// What that makes of the longest wait for a node that does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(6);
/// How the feed's table writes down that an entry is about a key.
const KIND_KEY: i64 = 1;

fn settings(url: &str) -> [(&str, &str); 3] {
    [
        ("RNDRKIT_DATABASE_URL", url),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_TRUST_SECONDS", TRUST_SECONDS),
    ]
}

/// A server on a database of its own; none after one visible line when there is no PostgreSQL.
async fn server_or_notice() -> Option<(Server, TestDatabase)> {
    let database = TestDatabase::postgres_or_notice().await?;
    let server = Server::start(&settings(database.url())).await;
    Some((server, database))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_on_postgresql_no_request_sent_after_the_delete_answered_is_accepted() {
    let Some((server, _database)) = server_or_notice().await else { return };
    promises::revoked_means_refused(&Arc::new(server), 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_3_on_postgresql_of_a_hundred_simultaneous_creates_five_succeed() {
    let Some((server, _database)) = server_or_notice().await else { return };
    promises::five_of_a_hundred(&Arc::new(server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_7_on_postgresql_what_was_acknowledged_survives_kill_9() {
    let Some((mut server, _database)) = server_or_notice().await else { return };
    // A deletion waits for the process that was killed: it could still be there, out of reach. Killed before
    // that is over, it would acknowledge none.
    promises::acknowledged_survives(&mut server, 60, LONGEST_WAIT).await;
}

#[tokio::test]
async fn a_restart_on_postgresql_keeps_everything() {
    let Some((mut server, database)) = server_or_notice().await else { return };
    assert!(!server.data().exists(), "nothing is kept in a folder here, so none is needed");
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    let (gone, gone_secret) = server.key(&account, "Old").await;
    assert_eq!(server.operator("DELETE", &format!("/v1/keys/{gone}"), Value::Null).await.0, 200);
    let before = server.state().await;

    assert_eq!(server.terminate(), Some(0));
    server.spawn().await;
    assert_eq!(server.state().await, before);
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));
    assert_eq!(server.look(&gone_secret).await.1["code"], json!("key_revoked"));
    let password = database.url().split_once('@').and_then(|(user, _)| user.rsplit_once(':')).unwrap().1;
    assert!(!server.log().contains(password), "the database's password was printed:\n{}", server.log());
}

#[tokio::test]
async fn two_processes_share_a_database_and_what_is_deleted_on_one_is_refused_on_the_other() {
    let Some((first, database)) = server_or_notice().await else { return };
    let mut second = Server::start(&settings(database.url())).await;
    // It answers before it has said all that it has to say.
    let counted =
        async |server: &Server| server.log().contains("2 are there now; a change waits at most 6 s");
    assert!(second.eventually(counted).await, "{}", second.log());
    let account = first.account("ada@example.com", "agency").await;
    let (key, secret) = first.key(&account, "Production").await;
    for server in [&first, &second] {
        assert_eq!(server.look(&secret).await.1["valid"], json!(true), "a new key works on every node");
    }

    let (status, receipt) = first.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!((status, &receipt["nodes_confirmed"]), (200, &json!(2)), "{receipt}");
    assert_eq!(second.look(&secret).await.1["code"], json!("key_revoked"));
    // Made on the other, to be seen here: one database, so one truth.
    assert_eq!(second.operator("GET", &format!("/v1/keys/{key}"), Value::Null).await.1["status"], "revoked");

    assert_eq!(second.terminate(), Some(0));
    let (_, receipt) = first.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    let who = (&receipt["nodes_confirmed"], &receipt["nodes_expired"]);
    assert_eq!(who, (&json!(1), &json!(0)), "a node that stopped in order is not waited for: {receipt}");
}

/// What a good key is told while the database is away: yes while trust lasts, then "unavailable".
async fn watch_a_known_key(server: &Server, secret: &str) {
    let begun = Instant::now();
    let mut last_yes = begun;
    let mut trusted = true;
    while trusted || begun.elapsed() < TRUST * 2 {
        let (status, answer) = server.look(secret).await;
        match status {
            200 => {
                assert_eq!(answer["valid"], json!(true), "not knowing became a no: {answer}");
                assert!(trusted, "trust came back without a database");
                last_yes = Instant::now();
            }
            503 => trusted = false,
            other => panic!("{other}: {answer}"),
        }
        assert!(begun.elapsed() < TRUST * 8, "still trusted without a database");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(last_yes > begun, "a short outage is not ridden out");
    // The last reading of the database may have been under way when it went, and the machine may be busy.
    assert!(last_yes - begun < TRUST + Duration::from_secs(3), "trusted for {:?}", last_yes - begun);
    assert!(!server.is_ready().await);
}

/// What needs the database is unavailable from the first moment.
async fn watch_an_unknown_key(server: &Server, secret: &str) {
    for _ in 0..3 {
        let (status, answer) = server.look(secret).await;
        assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_6_without_its_database_everything_is_unavailable_and_comes_back_by_itself() {
    let Some(mut database) = PrivatePostgres::start_or_notice().await else { return };
    let server = Server::start(&settings(&database.url())).await;
    let account = server.account("ada@example.com", "agency_plus").await;
    let (key, known) = server.key(&account, "known").await;
    let (_, not_looked_up) = server.key(&account, "not looked up").await;
    let cookie = server.session(&account).await;
    let pid = server.pid();
    assert_eq!(server.look(&known).await.0, 200);

    database.crash();
    tokio::join!(watch_a_known_key(&server, &known), watch_an_unknown_key(&server, &not_looked_up));
    for (method, path, body) in [
        ("POST", format!("/v1/accounts/{account}/keys"), json!({"name": "no database"})),
        ("DELETE", format!("/v1/keys/{key}"), Value::Null),
        ("GET", format!("/v1/keys/{key}"), Value::Null),
    ] {
        let (status, answer) = server.operator(method, &path, body).await;
        assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{method} {path}");
    }
    let page = server.page("/settings", &cookie).await;
    assert_eq!(page.status(), 503, "no session is not the same as not knowing");
    let garbage = server.get_with_key("/api/rk/account", "garbage").await;
    assert_eq!(garbage.status(), 503, "another node may have begun to use another prefix meanwhile");

    database.start().await;
    assert!(server.eventually(async |server| server.is_ready().await).await, "{}", server.log());
    for secret in [&known, &not_looked_up] {
        assert_eq!(server.look(secret).await.1["valid"], json!(true));
    }
    let spends = server.get_with_key("/api/rk/account", &known).await;
    assert_eq!(spends.status(), 200, "the budget is reached again by the very first request");
    assert_eq!(server.page("/settings", &cookie).await.status(), 200);
    let (status, _) = server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(server.look(&known).await.1["code"], json!("key_revoked"));
    assert_eq!(server.pid(), pid);
}

/// Revokes a key as another node would, behind the back of the one that serves.
async fn revoke_elsewhere(database: &TestDatabase, key: &str) {
    let statements = format!(
        "BEGIN;
         UPDATE api_keys SET revoked_at = created_at, revoked_reason = 'operator' WHERE id = '{key}';
         UPDATE feed_head SET number = number + 1, tag = 4711;
         INSERT INTO feed (number, tag, kind, account_id, key_id, digests, at)
             SELECT head.number, head.tag, {KIND_KEY}, k.account_id, k.id, s.digest, k.created_at
             FROM feed_head AS head, api_keys AS k JOIN key_secrets AS s ON s.key_id = k.id
             WHERE k.id = '{key}';
         COMMIT;"
    );
    rndrkit_testkit::database::meddle(database.url(), &statements).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_a_process_that_was_paused_believes_nothing_from_before_the_pause() {
    let Some((server, database)) = server_or_notice().await else { return };
    let server = Arc::new(server);
    let account = server.account("ada@example.com", "agency_plus").await;
    let (key, secret) = server.key(&account, "Production").await;
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));

    server.signal("STOP");
    revoke_elsewhere(&database, &key).await;
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let (server, secret) = (server.clone(), secret.clone());
            tokio::spawn(async move { server.look(&secret).await })
        })
        .collect();
    tokio::time::sleep(TRUST + Duration::from_secs(1)).await;
    server.signal("CONT");
    for answer in waiting {
        let (status, answer) = answer.await.unwrap();
        let code = answer["code"].as_str().unwrap();
        assert!(matches!((status, code), (503, "unavailable") | (200, "key_revoked")), "{status} {answer}");
    }
    let is_known = async |server: &Server| server.look(&secret).await.1["code"] == json!("key_revoked");
    assert!(server.eventually(is_known).await, "the change never arrived");
}
