//! `rndrkit doctor` on PostgreSQL: trouble is made on real servers, and must be named with its remedy.

use std::path::Path;
use std::process::Command;

use rndrkit_testkit::database::{TestDatabase, meddle};
use rndrkit_testkit::private_postgres::PrivatePostgres;
use serde_json::{Value, json};

use crate::harness::Server;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Exit code and findings of `doctor --json`, from a folder where nothing is.
fn doctor(url: &str, args: &[&str]) -> (Option<i32>, Vec<Value>) {
    doctor_at("127.0.0.1:0", "127.0.0.1:0", url, args)
}

fn doctor_at(public: &str, internal: &str, url: &str, args: &[&str]) -> (Option<i32>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .args(["doctor", "--json"])
        .args(args)
        .env_clear()
        .env("RNDRKIT_DATABASE_URL", url)
        .env("RNDRKIT_OPERATOR_TOKEN", TOKEN)
        .env("RNDRKIT_PUBLIC_LISTEN", public)
        .env("RNDRKIT_INTERNAL_LISTEN", internal)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a look left something behind");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let document: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    (output.status.code(), document["checks"].as_array().unwrap().clone())
}

/// Checks that a finding with this status has the word in it, and why it matters and what to do beside it.
#[track_caller]
fn expect(findings: &[Value], name: &str, status: &str, word: &str) {
    let found = findings.iter().find(|finding| {
        finding["name"] == name
            && finding["status"] == status
            && finding["detail"].as_str().unwrap().contains(word)
    });
    let Some(found) = found else { panic!("no {status} of {name} with `{word}`: {findings:#?}") };
    if status != "ok" {
        assert!(found["advice"].is_string(), "{found}");
    }
}

fn migrate(url: &str, folder: &Path) {
    let migrated = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .arg("migrate")
        .env_clear()
        .env("RNDRKIT_DATABASE_URL", url)
        .env("RNDRKIT_OPERATOR_TOKEN", TOKEN)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_what_could_lose_acknowledged_changes() {
    let Some(primary) = PrivatePostgres::start_or_notice().await else { return };
    let folder = tempfile::tempdir().unwrap();
    migrate(&primary.url(), folder.path());
    let (code, findings) = doctor(&primary.url(), &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    expect(&findings, "server", "ok", "writable");
    expect(&findings, "replication", "ok", "no standby");
    expect(&findings, "clock", "ok", "agree");
    expect(&findings, "pooler", "ok", "none in the way");

    let standby = primary.synchronous_standby().await;
    let (code, findings) = doctor(&primary.url(), &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    expect(&findings, "replication", "ok", "1 synchronous");
    let (code, findings) = doctor(&standby.url(), &[]);
    assert_eq!(code, Some(1));
    expect(&findings, "server", "fail", "only follows another server");

    let set = |setting: &str| {
        let _ = primary.sql(&format!("ALTER SYSTEM SET {setting}"));
        let _ = primary.sql("SELECT pg_reload_conf()");
    };
    set("synchronous_standby_names = ''");
    set("fsync = off");
    // Sessions that begin before the server has read its settings again see the old ones.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (code, findings) = doctor(&primary.url(), &[]);
    assert_eq!(code, Some(1));
    expect(&findings, "durability", "fail", "fsync is off");
    expect(&findings, "replication", "warn", "none of them synchronous");
    drop(standby);
    set("fsync = on");
    set("synchronous_standby_names = 'gone'");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (code, findings) = doctor(&primary.url(), &[]);
    assert_eq!(code, Some(1));
    expect(&findings, "replication", "fail", "no such standby");
}

#[tokio::test]
async fn doctor_names_nodes_that_are_silent_or_differ() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let folder = tempfile::tempdir().unwrap();
    migrate(database.url(), folder.path());
    for (mark, name, version, trust_ms, ago_ms) in [
        ("a", "east", "1.0.0", 5_000, 100),
        ("b", "west", "1.1.0", 30_000, 100),
        ("c", "south", "1.1.0", 5_000, 600_000),
    ] {
        let insert = format!(
            "INSERT INTO nodes (incarnation, name, beat, applied, version, trust_ms, started_at, seen_at)
             VALUES (repeat('{mark}', 32), '{name}', repeat('{mark}', 32), 0, '{version}', {trust_ms}, 1,
                 (extract(epoch FROM clock_timestamp()) * 1000)::bigint - {ago_ms})"
        );
        meddle(database.url(), &insert).await;
    }
    let (code, findings) = doctor(database.url(), &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    expect(&findings, "nodes", "warn", "south has said nothing for 60");
    expect(&findings, "nodes", "warn", "different versions: 1.0.0, 1.1.0");
    expect(&findings, "nodes", "warn", "trust_seconds differ: 5 s, 30 s");
    meddle(database.url(), "UPDATE schema_version SET version = 99").await;
    expect(&doctor(database.url(), &[]).1, "database", "warn", "newer version's (99)");
    meddle(database.url(), "UPDATE schema_version SET oldest_runnable = 99").await;
    let (code, findings) = doctor(database.url(), &[]);
    assert_eq!(code, Some(1));
    expect(&findings, "database", "fail", "newer version's (99)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_node_its_own_ports_are_no_trouble_and_another_programs_are() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let settings = [("RNDRKIT_DATABASE_URL", database.url()), ("RNDRKIT_OPERATOR_TOKEN", TOKEN)];
    let node = Server::start(&settings).await;
    let (public, internal) = (node.public.to_string(), node.internal.to_string());
    let (code, findings) = doctor_at(&public, &internal, database.url(), &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    expect(&findings, "settings", "ok", "this node is running here");
    expect(&findings, "listener", "ok", "in use, as the server is running");
    // A program that accepts and says nothing.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let (code, findings) = doctor_at("127.0.0.1:0", &taken, database.url(), &[]);
    assert_eq!(code, Some(1));
    expect(&findings, "listener", "fail", "in use by another program");
}

#[tokio::test]
async fn doctor_works_without_a_database_that_answers_and_repeats_no_password() {
    let (code, findings) = doctor("postgres://rk:hunter2@127.0.0.1:9/rk", &[]);
    assert_eq!(code, Some(1));
    expect(&findings, "database", "fail", "unavailable");
    assert!(!format!("{findings:?}").contains("hunter2"), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_changes_by_hand_a_flush_makes_the_nodes_read_all_again() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let settings = [("RNDRKIT_DATABASE_URL", database.url()), ("RNDRKIT_OPERATOR_TOKEN", TOKEN)];
    let (one, other) = tokio::join!(Server::start(&settings), Server::start(&settings));
    let account = one.account("ada@example.com", "agency").await;
    let (_, secret) = one.key(&account, "Production").await;
    let both_say = async |valid: bool| {
        let (one, other) = tokio::join!(one.look(&secret), other.look(&secret));
        [one, other].iter().all(|(_, answer)| answer["valid"] == json!(valid))
    };
    // What a start publishes may go by just now and be taken for the flush: then once more.
    let mut is_unknown = false;
    for _ in 0..5 {
        assert!(both_say(true).await);
        meddle(database.url(), "UPDATE accounts SET status = 'suspended'").await;
        is_unknown = both_say(true).await;
        if is_unknown {
            break;
        }
        meddle(database.url(), "UPDATE accounts SET status = 'active'").await;
        assert_eq!(doctor(database.url(), &["--flush"]).0, Some(0));
    }
    assert!(is_unknown, "if they know already, this proves nothing");
    let (code, findings) = doctor(database.url(), &["--flush"]);
    assert_eq!(code, Some(0), "{findings:#?}");
    expect(&findings, "flush", "ok", "2 nodes have dropped what they held");
    for server in [&one, &other] {
        assert_eq!(server.look(&secret).await.1["code"], json!("account_suspended"));
    }
}
