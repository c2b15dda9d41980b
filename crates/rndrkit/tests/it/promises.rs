//! The promises that need a whole process: shown once, revoked at once, five, one budget, durable, no SQL.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Server;

/// Every file below a folder, as bytes.
fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn promise_1_a_secret_stands_in_no_file_log_or_later_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(folder.path(), &[("RNDRKIT_LOG_LEVEL", "trace")], None).await;
    let account = server.account("ada@example.com", "agency").await;
    let mut secrets = Vec::new();
    for n in 0..5 {
        let (key, secret) = server.key(&account, &format!("key {n}")).await;
        secrets.push((key, secret));
    }
    // A rotation shows a secret as well, through the operator API and on a page; the old ones work on.
    let rotated_key = secrets[0].0.clone();
    let path = format!("/v1/keys/{rotated_key}/rotate");
    let (status, rotated) = server.operator("POST", &path, json!({})).await;
    assert_eq!(status, 201, "{rotated}");
    secrets.push((rotated_key, rotated["secret"].as_str().unwrap().to_owned()));
    let cookie = server.session(&account).await;
    let paged_key = secrets[1].0.clone();
    let path = format!("/settings/api-keys/{paged_key}/rotate");
    let page = server.form(&path, &cookie, &[("overlap", "3600"), ("form_id", "form-1")]).await;
    let html = page.text().await.unwrap();
    let from_secret = &html[html.find("data-secret>").unwrap() + "data-secret>".len()..];
    secrets.push((paged_key, from_secret[..from_secret.find('<').unwrap()].to_owned()));
    assert!(secrets.iter().all(|(_, secret)| secret.len() == 40), "not secrets");
    let mut answers = Vec::new();
    for path in ["/settings", &path, "/settings?x=1"] {
        answers.push(server.page(path, &cookie).await.text().await.unwrap());
    }
    let page = server.form(&path, &cookie, &[("overlap", "3600"), ("form_id", "form-1")]).await;
    answers.push(page.text().await.unwrap());
    for (key, secret) in &secrets {
        answers.push(server.get_with_key("/api/rk/account", secret).await.text().await.unwrap());
        answers.push(server.get_with_key("/api/elsewhere", secret).await.text().await.unwrap());
        let (_, verified) = server.operator("POST", "/v1/keys/verify", json!({"secret": secret})).await;
        answers.push(verified.to_string());
        answers.push(server.operator("GET", &format!("/v1/keys/{key}"), json!(null)).await.1.to_string());
        // Mistakes that would tempt a server to repeat what it was sent.
        let doubled = format!("{secret}, {secret}");
        answers.push(server.get_with_key("/api/rk/account", &doubled).await.text().await.unwrap());
        answers
            .push(server.get_with_key("/api/rk/account", &format!("{secret}x")).await.text().await.unwrap());
        let (_, refused) = server.operator("POST", "/v1/keys/verify", json!({"secrets": secret})).await;
        answers.push(refused.to_string());
        let (_, refused) = server.operator("POST", &format!("/v1/keys/{secret}"), json!({})).await;
        answers.push(refused.to_string());
        answers.push(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.1.to_string());
    }
    for path in [format!("/v1/accounts/{account}/keys"), "/v1/audit-log".to_owned(), "/metrics".to_owned()] {
        let request = server.http.get(server.internal_url(&path)).bearer_auth(server.operator_token());
        answers.push(request.send().await.unwrap().text().await.unwrap());
    }
    server.terminate();
    let mut places: Vec<(String, Vec<u8>)> = files_below(folder.path());
    places
        .extend(answers.into_iter().enumerate().map(|(n, text)| (format!("answer {n}"), text.into_bytes())));
    assert!(places.iter().any(|(name, _)| name.ends_with("server.log")), "the log was not searched");
    assert!(places.iter().any(|(name, _)| name.ends_with("rndrkit.db")), "the database was not searched");
    for (_, secret) in &secrets {
        // The last 24 characters would be as bad as the whole.
        let tail = &secret[secret.len() - 24..];
        for (name, bytes) in &places {
            assert!(!contains(bytes, tail), "a secret stands in {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_no_request_sent_after_the_delete_answered_is_accepted() {
    let server = Arc::new(Server::start(&[]).await);
    revoked_means_refused(&server, 20).await;
}

pub async fn revoked_means_refused(server: &Arc<Server>, rounds: usize) {
    let account = server.account("ada@example.com", "agency_plus").await;
    for round in 0..rounds {
        let (key, secret) = server.key(&account, &format!("round {round}")).await;
        let deleted = Arc::new(AtomicBool::new(false));
        let accepted_late = Arc::new(AtomicU64::new(0));
        let mut askers = Vec::new();
        for _ in 0..4 {
            let (server, secret) = (server.clone(), secret.clone());
            let (deleted, accepted_late) = (deleted.clone(), accepted_late.clone());
            askers.push(tokio::spawn(async move {
                for _ in 0..40 {
                    let sent_late = deleted.load(Ordering::SeqCst);
                    let body = json!({"secret": secret, "cost": 0});
                    let (status, answer) = server.operator("POST", "/v1/keys/verify", body).await;
                    assert_eq!(status, 200, "{answer}");
                    if sent_late && answer["valid"] == json!(true) {
                        accepted_late.fetch_add(1, Ordering::SeqCst);
                    }
                    if sent_late {
                        break;
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (status, _) = server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await;
        deleted.store(true, Ordering::SeqCst);
        assert_eq!(status, 200);
        for asker in askers {
            asker.await.unwrap();
        }
        let (_, after) = server.operator("POST", "/v1/keys/verify", json!({"secret": secret})).await;
        assert_eq!(after["code"], "key_revoked");
        assert_eq!(accepted_late.load(Ordering::SeqCst), 0, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_no_request_sent_after_a_rotation_without_overlap_answered_passes_with_the_old_secret() {
    let server = Arc::new(Server::start(&[]).await);
    rotated_means_refused(&[server], 20).await;
}

/// Rotates on the first node while all are asked with the old secret: at once, or with an overlap that is then
/// ended.
pub async fn rotated_means_refused(nodes: &[Arc<Server>], rounds: usize) {
    let first = &nodes[0];
    let account = first.account("rotating@example.com", "agency_plus").await;
    let (key, mut old) = first.key(&account, "Rotating").await;
    let cookie = first.session(&account).await;
    for round in 0..rounds {
        let ended = Arc::new(AtomicBool::new(false));
        let mut askers = Vec::new();
        for node in nodes.iter().cycle().take(nodes.len().max(4)) {
            let (node, old, ended) = (node.clone(), old.clone(), ended.clone());
            askers.push(tokio::spawn(async move {
                loop {
                    let sent_late = ended.load(Ordering::SeqCst);
                    let (status, answer) = node.look(&old).await;
                    assert_eq!(status, 200, "{answer}");
                    if sent_late {
                        return answer;
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let overlap = if round % 2 == 0 { 0 } else { 3_600 };
        let body = json!({"overlap_seconds": overlap});
        let (status, rotated) = first.operator("POST", &format!("/v1/keys/{key}/rotate"), body).await;
        assert_eq!(status, 201, "{rotated}");
        if overlap > 0 {
            for node in nodes {
                assert_eq!(node.look(&old).await.1["valid"], json!(true), "both work in between");
            }
            let path = format!("/settings/api-keys/{key}/end-previous");
            assert_eq!(first.form(&path, &cookie, &[]).await.status(), 303);
        }
        ended.store(true, Ordering::SeqCst);
        for asker in askers {
            let answer = asker.await.unwrap();
            assert_eq!(answer["code"], "key_revoked", "round {round}: {answer}");
            let why = answer["problem"]["detail"].as_str().unwrap();
            assert!(why.contains("was rotated"), "{why}");
        }
        let fresh = rotated["secret"].as_str().unwrap().to_owned();
        for node in nodes {
            assert_eq!(node.look(&fresh).await.1["valid"], json!(true), "round {round}");
        }
        old = fresh;
    }
    // Deleting ends both halves.
    let (_, rotated) = first.operator("POST", &format!("/v1/keys/{key}/rotate"), json!({})).await;
    assert_eq!(first.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
    for node in nodes {
        for secret in [old.as_str(), rotated["secret"].as_str().unwrap()] {
            let answer = node.look(secret).await.1;
            assert_eq!(answer["code"], "key_revoked");
            assert!(answer["problem"]["detail"].as_str().unwrap().contains("was deleted"), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_3_of_a_hundred_simultaneous_creates_five_succeed() {
    let server = Arc::new(Server::start(&[]).await);
    five_of_a_hundred(&server).await;
}

pub async fn five_of_a_hundred(server: &Arc<Server>) {
    let account = server.account("racer@example.com", "agency").await;
    let mut creates = Vec::new();
    for n in 0..100 {
        let (server, path) = (server.clone(), format!("/v1/accounts/{account}/keys"));
        creates.push(tokio::spawn(async move {
            server.operator("POST", &path, json!({"name": format!("key {n}")})).await
        }));
    }
    let (mut made, mut refused) = (0, 0);
    for create in creates {
        match create.await.unwrap() {
            (201, _) => made += 1,
            (409, problem) => {
                assert_eq!((&problem["code"], &problem["limit"]), (&json!("key_limit_reached"), &json!(5)));
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((made, refused), (5, 95));
    let (_, view) = server.operator("GET", &format!("/v1/accounts/{account}"), json!(null)).await;
    assert_eq!(view["keys"], json!({"active": 5, "limit": 5}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_4_sixty_four_connections_on_five_keys_share_one_budget() {
    let server = Arc::new(Server::start(&[]).await);
    let account = server.account("ada@example.com", "agency").await;
    let mut secrets = Vec::new();
    for n in 0..5 {
        secrets.push(server.key(&account, &format!("key {n}")).await.1);
    }
    let begun = Instant::now();
    let mut connections = Vec::new();
    for n in 0..64 {
        let (server, secret) = (server.clone(), secrets[n % 5].clone());
        connections.push(tokio::spawn(async move {
            let mut admitted = 0_u64;
            while begun.elapsed() < Duration::from_secs(4) {
                match server.get_with_key("/api/rk/account", &secret).await.status().as_u16() {
                    200 => admitted += 1,
                    429 => {}
                    other => panic!("status {other}"),
                }
            }
            admitted
        }));
    }
    let mut admitted = 0;
    for connection in connections {
        admitted += connection.await.unwrap();
    }
    // Measured from before the first request to after the last answer: never shorter than what the server saw.
    let bound = 100.0 + 10.0 * begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let admitted = admitted as f64;
    assert!(admitted <= bound, "{admitted} admitted, at most {bound} allowed");
    assert!(admitted >= 100.0, "the burst itself was not admitted: {admitted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_7_what_was_acknowledged_survives_kill_9() {
    acknowledged_survives(&mut Server::start(&[]).await, 200, Duration::from_millis(20)).await;
}

/// Makes and deletes keys under kills, each a while after the start before, and `after` at least.
pub async fn acknowledged_survives(server: &mut Server, keys: usize, after: Duration) {
    let mut account = server.account("ada@example.com", "agency").await;
    // Per key: the last state that was acknowledged.
    let mut acknowledged: Vec<(String, String, bool)> = Vec::new();
    let mut made = 0;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    while made < keys {
        // Not random in the strict sense: different each time, and the same on every run.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let kill_after = after + Duration::from_millis((seed >> 33) % 180);
        let victim = server.pid();
        let killer = tokio::spawn(async move {
            tokio::time::sleep(kill_after).await;
            std::process::Command::new("kill").arg("-9").arg(victim.to_string()).status().unwrap();
        });
        while let Ok(()) = create_and_sometimes_delete(server, &account, &mut acknowledged, &mut made).await {
        }
        killer.await.unwrap();
        server.kill();
        server.spawn().await;
        for (key, secret, alive) in &acknowledged {
            let (status, answer) = server.operator("GET", &format!("/v1/keys/{key}"), json!(null)).await;
            let wanted = if *alive { "active" } else { "revoked" };
            assert_eq!((status, &answer["status"]), (200, &json!(wanted)), "{key}");
            let body = json!({"secret": secret, "cost": 0});
            let (_, verified) = server.operator("POST", "/v1/keys/verify", body).await;
            assert_eq!(verified["valid"], json!(*alive), "{key}");
        }
        // A create that was cut off may hold a slot that nobody knows of: go on with a fresh account.
        account = server.account(&format!("ada{made}-{}@example.com", seed >> 40), "agency").await;
    }
    assert!(
        acknowledged.iter().any(|(_, _, alive)| *alive) && acknowledged.iter().any(|(_, _, alive)| !*alive)
    );
}

/// One create and, two times out of three, its delete. `Err` when the server was gone in between.
async fn create_and_sometimes_delete(
    server: &Server,
    account: &str,
    acknowledged: &mut Vec<(String, String, bool)>,
    made: &mut usize,
) -> Result<(), reqwest::Error> {
    let token = server.operator_token();
    let path = format!("/v1/accounts/{account}/keys");
    let request = server.http.post(server.internal_url(&path)).bearer_auth(&token);
    let answer = request.json(&json!({"name": "x"})).send().await?;
    if answer.status() == 409 {
        // Five kept: end the first that is still alive.
        if let Some(entry) = acknowledged.iter_mut().rev().find(|(_, _, alive)| *alive) {
            let url = server.internal_url(&format!("/v1/keys/{}", entry.0));
            let deleted = server.http.delete(url).bearer_auth(&token).send().await;
            // Cut off in the middle: either outcome is right, so it is no longer judged.
            if deleted.as_ref().is_ok_and(|answer| answer.status() == 200) {
                entry.2 = false;
            } else {
                let lost = entry.0.clone();
                acknowledged.retain(|(key, _, _)| *key != lost);
            }
            deleted?;
        }
        return Ok(());
    }
    if answer.status() != 201 {
        return Ok(());
    }
    let key: Value = answer.json().await?;
    *made += 1;
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    acknowledged.push((text("id"), text("secret"), true));
    Ok(())
}

/// SQL statements that the server has sent, as its metrics say.
async fn statements(server: &Server) -> f64 {
    let text = server.http.get(server.internal_url("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with("rndrkit_store_statements ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_9_verifications_in_the_steady_state_send_no_sql_but_the_flushes() {
    let server = Arc::new(Server::start(&[]).await);
    let account = server.account("ada@example.com", "agency_plus").await;
    let (_, secret) = server.key(&account, "hot").await;
    server.operator("POST", "/v1/keys/verify", json!({"secret": secret, "cost": 0})).await;
    let before = statements(&server).await;
    let begun = Instant::now();
    let mut askers = Vec::new();
    for _ in 0..8 {
        let (server, secret) = (server.clone(), secret.clone());
        askers.push(tokio::spawn(async move {
            for _ in 0..500 {
                let body = json!({"secret": secret, "cost": 0});
                let (status, answer) = server.operator("POST", "/v1/keys/verify", body).await;
                assert_eq!((status, &answer["valid"]), (200, &json!(true)));
            }
        }));
    }
    for asker in askers {
        asker.await.unwrap();
    }
    let sent = statements(&server).await - before;
    // A flush each 10 s and the pruning round are the only statements there may be, a handful each.
    let flushes = (begun.elapsed().as_secs() / 10 + 2) * 30;
    #[allow(clippy::cast_precision_loss)]
    let allowed = flushes as f64;
    assert!(sent <= allowed, "{sent} statements for 4,000 verifications");
}
