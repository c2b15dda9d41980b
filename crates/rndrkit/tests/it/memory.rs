//! Promise 9, memory is bounded, and every metric of the contract is seen to move.

use std::sync::Arc;

use rndrkit_testkit::private_postgres::PrivatePostgres;
use serde_json::{Value, json};

use crate::harness::Server;
use crate::upstream;

/// Keys that a server holds in memory in this test, and twice as many that it is asked about.
const CACHE_KEYS: u16 = 200;
const ACCOUNTS: usize = 4;
const KEYS_EACH: usize = 100;

/// One plan with room for many keys, so that few accounts hold enough of them.
const PLANS: &str = "[[plans]]\nid = \"starter\"\nname = \"Starter\"\napi_access = true\nactive_keys = 100\n\
                     requests_per_minute = 60000\nburst = 10000\n";

/// Many keys of a few accounts.
async fn many_keys(server: &Arc<Server>) -> Vec<(String, String)> {
    let mut makers = Vec::new();
    for n in 0..ACCOUNTS {
        let account = server.account(&format!("ada{n}@example.com"), "starter").await;
        let server = server.clone();
        makers.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            for n in 0..KEYS_EACH {
                keys.push(server.key(&account, &format!("key {n}")).await);
            }
            keys
        }));
    }
    let mut keys = Vec::new();
    for maker in makers {
        keys.extend(maker.await.unwrap());
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_9_twice_as_many_keys_as_fit_in_memory_are_all_answered_right() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rndrkit.toml"), PLANS).unwrap();
    let settings = [("RNDRKIT_CACHE_KEYS", "200")];
    let server = Arc::new(Server::start_in(folder.path(), &settings, None).await);
    let keys = many_keys(&server).await;
    assert_eq!(keys.len(), 2 * usize::from(CACHE_KEYS));
    let (revoked, alive): (Vec<_>, Vec<_>) = keys.iter().enumerate().partition(|(n, _)| n % 8 == 0);
    for (_, (key, _)) in &revoked {
        assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await.0, 200);
    }
    for _ in 0..3 {
        for (_, (key, secret)) in &alive {
            let (status, answer) = server.look(secret).await;
            assert_eq!((status, &answer["code"], &answer["key"]["id"]), (200, &json!("valid"), &json!(key)));
        }
        for (_, (_, secret)) in &revoked {
            assert_eq!(server.look(secret).await.1["code"], json!("key_revoked"));
        }
        let held = server.metric("rndrkit_cache_entries{cache=\"good\"}").await;
        assert!(held <= f64::from(CACHE_KEYS), "{held} entries, {CACHE_KEYS} allowed");
        assert!(held >= f64::from(CACHE_KEYS) / 2.0, "memory is hardly used: {held}");
    }
    let evicted = server.metric("rndrkit_cache_evictions_total").await;
    assert!(evicted >= f64::from(CACHE_KEYS), "{evicted} evictions");
    let accounts = server.metric("rndrkit_accounts_held").await;
    assert!(accounts <= 4.0, "{accounts} accounts held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_9_a_flood_of_bad_keys_evicts_no_good_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rndrkit.toml"), PLANS).unwrap();
    let server = Server::start_in(folder.path(), &[("RNDRKIT_CACHE_KEYS", "200")], None).await;
    let account = server.account("ada@example.com", "starter").await;
    let (_, good) = server.key(&account, "good").await;
    server.look(&good).await;
    let misses = server.metric("rndrkit_cache_misses_total").await;
    let prefix = rndrkit_domain::key_text::KeyPrefix::parse("rk_live_").unwrap();
    let mut asked = 0.0;
    for _ in 0..1_000 {
        // Well-formed to the checksum, and made by nobody.
        let stranger = rndrkit_domain::key_text::mint(&prefix, &rndrkit_domain::random::OsEntropy);
        let (status, answer) = server.look(stranger.secret.reveal()).await;
        assert_eq!((status, &answer["code"]), (200, &json!("invalid_key")));
        asked += 1.0;
    }
    assert!(server.metric("rndrkit_cache_misses_total").await >= misses + asked, "no look-up was made");
    let before = server.metric("rndrkit_cache_misses_total").await;
    assert_eq!(server.look(&good).await.1["valid"], json!(true));
    let evictions = server.metric("rndrkit_cache_evictions_total").await;
    assert_eq!((server.metric("rndrkit_cache_misses_total").await, evictions), (before, 0.0));
}

/// The sum of a metric over all its labels; none when it is not there.
fn total(text: &str, name: &str) -> Option<f64> {
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let values: Vec<f64> =
        text.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_contract_is_there_and_moves() {
    let upstream = upstream::start().await;
    let server = Server::start(&[("RNDRKIT_UPSTREAM_URL", &format!("http://{upstream}"))]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "Production").await;
    let before = server.metrics().await;
    for name in ["rndrkit_usage_dropped_total", "rndrkit_store_errors_total", "rndrkit_cache_evictions_total"]
    {
        assert_eq!(total(&before, name), Some(0.0), "{name}");
    }
    let version = format!("rndrkit_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(before.lines().any(|line| line == version), "{version}");

    assert_eq!(server.look(&secret).await.0, 200);
    assert_eq!(server.get_with_key("/api/x", &secret).await.status(), 200);
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    assert_eq!(server.get_with_key("/api/x", "garbage").await.status(), 401);
    server.join(&account, "ada@example.com").await;
    let after = server.metrics().await;
    for (door, code, by) in
        [("verify", "valid", 1), ("gateway", "valid", 1), ("self", "valid", 1), ("gateway", "invalid_key", 1)]
    {
        let series = format!("rndrkit_decisions_total{{door=\"{door}\",code=\"{code}\"}}");
        let (was, is) = (total(&before, &series), total(&after, &series));
        assert_eq!(is.unwrap() - was.unwrap(), f64::from(by), "{series}");
    }
    for (name, at_least) in [
        ("rndrkit_decision_seconds_count", 4.0),
        ("rndrkit_decision_seconds_sum", 0.000_000_1),
        ("rndrkit_cache_misses_total", 1.0),
        ("rndrkit_cache_entries", 1.0),
        ("rndrkit_accounts_held", 1.0),
        ("rndrkit_budget_restarts_total", 1.0),
        ("rndrkit_store_statements", 1.0),
    ] {
        let moved = total(&after, name).unwrap() - total(&before, name).unwrap();
        assert!(moved >= at_least, "{name} moved by {moved}\n{after}");
    }
    // Counted beside the use, and shown when that is stored.
    let was = total(&before, "rndrkit_cache_hits_total").unwrap();
    let hits =
        async |server: &Server| total(&server.metrics().await, "rndrkit_cache_hits_total") >= Some(was + 2.0);
    assert!(server.eventually(hits).await, "hits are not counted");
    // Counted now and then, for the first time soon after the start.
    let sessions = async |server: &Server| total(&server.metrics().await, "rndrkit_sessions") == Some(1.0);
    assert_eq!(total(&before, "rndrkit_sessions").unwrap_or(0.0), 0.0);
    assert!(server.eventually(sessions).await, "sessions are not counted");
    server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!(server.get_with_key("/api/x", &secret).await.status(), 401);
    let revoked = server.metric("rndrkit_decisions_total{door=\"gateway\",code=\"key_revoked\"}").await;
    assert_eq!(revoked, 1.0);
    for line in server.metrics().await.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.starts_with("rndrkit_"), "{line}");
        assert!(!line.contains(&account) && !line.contains(&key), "an account is a label: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_that_run_and_store_errors_are_seen_while_the_database_is_away() {
    let Some(mut database) = PrivatePostgres::start_or_notice().await else { return };
    let url = database.url();
    let token = "0123456789abcdef0123456789abcdef";
    let settings = [("RNDRKIT_DATABASE_URL", url.as_str()), ("RNDRKIT_OPERATOR_TOKEN", token)];
    let server = Arc::new(Server::start(&settings).await);
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    database.crash();
    let asker = tokio::spawn({
        let (server, secret) = (server.clone(), secret.clone());
        async move {
            // The first find a broken connection and know at once; then the look-up waits for a new one.
            for _ in 0..8 {
                assert_eq!(server.look(&secret).await.0, 503);
            }
        }
    });
    let running = async |server: &Server| server.metric("rndrkit_lookups_running").await >= 1.0;
    assert!(server.eventually(running).await, "no look-up was seen running");
    asker.await.unwrap();
    assert!(server.metric("rndrkit_store_errors_total").await >= 1.0);
    assert_eq!(server.metric("rndrkit_lookups_running").await, 0.0);
}
