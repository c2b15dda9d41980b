//! What two processes on one database owe to each other beside the promises on keys: what is written through one
//! is read through the other, new prefixes, words on pages, and metrics that show it all.

use std::sync::Arc;

use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::proxy::{Proxy, Traffic};
use serde_json::{Value, json};

use crate::harness::Server;
use crate::people::{PASSWORD, cookie_of};
use crate::promises::rotated_means_refused;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Two nodes on a database of their own; none after one visible line when there is no PostgreSQL.
async fn pair_or_notice(second: &[(&str, &str)]) -> Option<([Server; 2], TestDatabase)> {
    let database = TestDatabase::postgres_or_notice().await?;
    let shared = [
        ("RNDRKIT_DATABASE_URL", database.url()),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_TRUST_SECONDS", "4"),
    ];
    let one = Server::start(&shared).await;
    let mut settings = shared.to_vec();
    settings.extend_from_slice(second);
    let other = Server::start(&settings).await;
    Some(([one, other], database))
}

#[tokio::test]
async fn promise_8_what_was_written_through_one_node_is_read_through_another() {
    let Some(([one, other], _database)) = pair_or_notice(&[]).await else { return };
    let account = one.account("ada@example.com", "agency").await;
    let cookie = one.session(&account).await;
    let (key, _) = one.key(&account, "Made on one").await;
    let page = other.page("/settings", &cookie).await;
    assert_eq!(page.status(), 200, "the session itself was opened on the other node");
    let html = page.text().await.unwrap();
    assert!(html.contains("Made on one"), "{html}");
    let (_, read) = other.operator("GET", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!(read["name"], "Made on one");
    // A token made on one is good on the other from the moment its create answered, and not after its delete did.
    let (status, token) = one.operator("POST", "/v1/tokens", json!({"name": "CI", "scope": "read"})).await;
    assert_eq!(status, 201, "{token}");
    let asked = async || {
        let request = other.http.get(other.internal_url("/v1/accounts"));
        request.bearer_auth(token["secret"].as_str().unwrap()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(asked().await, 200);
    let path = format!("/v1/tokens/{}", token["id"].as_str().unwrap());
    assert_eq!(one.operator("DELETE", &path, Value::Null).await.0, 200);
    assert_eq!(asked().await, 401);
}

#[tokio::test]
async fn signing_out_everywhere_on_one_node_holds_on_the_other_when_it_answers() {
    let Some(([one, other], _database)) = pair_or_notice(&[]).await else { return };
    let account = one.account("ada@example.com", "agency").await;
    let here = one.join(&account, "ada@example.com").await;
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    let signed_in = other.form("/sign-in", "", &fields).await;
    assert_eq!(signed_in.status(), 303);
    let (elsewhere, by_link) = (cookie_of(&signed_in), other.session(&account).await);
    let judge = async |cookie: &str, expected: u16| {
        for node in [&one, &other] {
            assert_eq!(node.page("/settings", cookie).await.status().as_u16(), expected);
        }
    };
    for cookie in [&here, &elsewhere, &by_link] {
        judge(cookie, 200).await;
    }
    let end = "/settings/sessions/end-others";
    assert_eq!(one.form(end, &here, &[]).await.headers()["location"], "/settings?changed=sessions#account");
    judge(&elsewhere, 303).await;
    judge(&by_link, 303).await;
    judge(&here, 200).await;
    assert_eq!(other.form(end, &here, &[("this_too", "yes")]).await.headers()["location"], "/sign-in");
    judge(&here, 303).await;
}

#[tokio::test]
async fn promise_8_a_key_with_a_prefix_that_is_new_works_on_nodes_that_began_before_it() {
    let Some(([one, other], _database)) = pair_or_notice(&[("RNDRKIT_KEY_PREFIX", "acme_")]).await else {
        return;
    };
    let account = other.account("ada@example.com", "agency").await;
    let (_, secret) = other.key(&account, "New prefix").await;
    assert!(secret.starts_with("acme_"), "the settings of the node that makes it");
    assert_eq!(one.look(&secret).await.1["valid"], json!(true));
    let (_, secret) = one.key(&account, "Old prefix").await;
    assert!(secret.starts_with("rk_live_"));
    assert_eq!(other.look(&secret).await.1["valid"], json!(true));
}

#[tokio::test]
async fn a_cost_above_what_nodes_share_is_a_mistake_and_not_a_wait_that_never_ends() {
    let Some(([one, _other], _database)) = pair_or_notice(&[]).await else { return };
    let account = one.account("ada@example.com", "agency").await;
    let (_, secret) = one.key(&account, "Costly").await;
    let costing = async |cost: u32| {
        one.operator("POST", "/v1/keys/verify", json!({"secret": secret, "cost": cost})).await
    };
    for cost in [95, 100, 101, u32::MAX] {
        let (status, problem) = costing(cost).await;
        assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (422, Some("/cost")), "{problem}");
        assert_eq!(
            problem["detail"],
            "Send a cost of 0 to 94, the most that the account's budget ever holds."
        );
    }
    let (status, answer) = costing(94).await;
    assert_eq!((status, answer["code"].as_str()), (200, Some("valid")), "{answer}");
}

#[tokio::test]
async fn the_page_after_a_deletion_says_on_how_many_servers_the_key_is_refused() {
    let Some(([one, other], _database)) = pair_or_notice(&[]).await else { return };
    let account = one.account("ada@example.com", "agency").await;
    let (key, secret) = one.key(&account, "Production").await;
    assert_eq!(other.look(&secret).await.1["valid"], json!(true));
    let cookie = other.session(&account).await;
    let answer = other.form(&format!("/settings/api-keys/{key}/delete"), &cookie, &[]).await;
    assert_eq!(answer.status(), 303);
    let told = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = other.page(&format!("/settings?deleted={key}"), &format!("{cookie}; {told}")).await;
    let html = page.text().await.unwrap();
    assert!(html.contains("Production was deleted.") && html.contains("Refused on both servers, "), "{html}");
    assert_eq!(one.look(&secret).await.1["code"], json!("key_revoked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_a_rotation_on_one_of_three_nodes_ends_the_old_secret_on_all() {
    let Some((pair, database)) = pair_or_notice(&[]).await else { return };
    let third = Server::start(&[
        ("RNDRKIT_DATABASE_URL", database.url()),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_TRUST_SECONDS", "4"),
    ])
    .await;
    let nodes: Vec<_> = pair.into_iter().chain([third]).map(Arc::new).collect();
    rotated_means_refused(&nodes, 10).await;
}

#[tokio::test]
async fn a_node_lives_by_the_address_past_the_pooler_and_looks_keys_up_by_the_other() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let (direct, control_url) = proxied(&database).await;
    let server = Server::start(&[
        ("RNDRKIT_DATABASE_URL", database.url()),
        ("RNDRKIT_DATABASE_CONTROL_URL", &control_url),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_TRUST_SECONDS", "4"),
    ])
    .await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));

    direct.set(Traffic::Cut);
    assert!(server.eventually(async |server: &Server| !server.is_ready().await).await);
    assert_eq!(server.look(&secret).await.0, 503);
    let (status, _) = server.operator("GET", &format!("/v1/accounts/{account}"), Value::Null).await;
    assert_eq!(status, 200, "the database itself is there");
    direct.set(Traffic::Flows);
    assert!(server.eventually(async |server: &Server| server.is_ready().await).await);
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));
    assert!(!server.log().contains(&control_url), "{}", server.log());
}

#[tokio::test]
async fn the_metrics_of_several_nodes_move() {
    let Some(([mut one, other], _database)) = pair_or_notice(&[]).await else { return };
    let account = one.account("ada@example.com", "agency").await;
    let (key, secret) = one.key(&account, "Production").await;
    let both_are_seen = async |server: &Server| server.metric("rndrkit_nodes").await == 2.0;
    assert!(one.eventually(both_are_seen).await && other.eventually(both_are_seen).await);

    let spend = json!({"secret": secret});
    assert_eq!(other.operator("POST", "/v1/keys/verify", spend).await.1["valid"], json!(true));
    for name in ["draws_total{outcome=\"drawn\"}", "requests_drawn_total", "waits_total", "statements_total"]
    {
        let name = format!("rndrkit_slice_{name}");
        assert!(other.metric(&name).await >= 1.0, "{name}");
        assert_eq!(one.metric(&name).await, 0.0, "{name}");
    }

    assert_eq!(one.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await.0, 200);
    // The first start on an empty database writes the plans, which is a change too; nobody waits for its end.
    let both_confirmed = async |server: &Server| server.metric("rndrkit_confirm_seconds_count").await == 2.0;
    assert!(one.eventually(both_confirmed).await);
    assert_eq!(other.metric("rndrkit_confirm_seconds_count").await, 0.0);
    let age = other.metric("rndrkit_trust_age_seconds").await;
    assert!((0.0..4.0).contains(&age), "{age}");
    assert_eq!(other.metric("rndrkit_feed_lag").await, 0.0, "what was confirmed is applied");

    one.kill();
    let reaped = async |server: &Server| server.metric("rndrkit_nodes_reaped_total").await == 1.0;
    assert!(other.eventually(reaped).await);
    assert!(other.eventually(async |server: &Server| server.metric("rndrkit_nodes").await == 1.0).await);
}

/// A proxy in front of the database, and the address by which it is reached.
async fn proxied(database: &TestDatabase) -> (Proxy, String) {
    let (before, rest) = database.url().split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let address = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
    let proxy = Proxy::to(address).await;
    let url = format!("{before}@{}/{name}", proxy.address());
    (proxy, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_ends_although_its_database_says_nothing_any_more() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let (line, url) = proxied(&database).await;
    let mut server = Server::start(&[
        ("RNDRKIT_DATABASE_URL", url.as_str()),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_TRUST_SECONDS", "4"),
        ("RNDRKIT_SHUTDOWN_SECONDS", "1"),
    ])
    .await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    // Counted use is to be written at the end.
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));
    line.set(Traffic::Swallowed);
    let begun = std::time::Instant::now();
    let ended = tokio::task::spawn_blocking(move || (server.terminate(), server.log())).await.unwrap();
    assert_eq!(ended.0, Some(0), "{}", ended.1);
    assert!(begun.elapsed() < std::time::Duration::from_secs(25), "took {:?}:\n{}", begun.elapsed(), ended.1);
}
