//! The rules that every sample service keeps, whatever it is written in.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::services::{Framework, Service, Told};

/// Longer than the services wait for an answer, by what a busy machine may add; far less than their clients wait.
const SOON: Duration = Duration::from_secs(20);

/// A server with a small budget, and a token that may verify and nothing else.
struct World {
    server: Server,
    token: String,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("rndrkit.toml");
        std::fs::write(&config, PLANS).unwrap();
        let path = folder.path().to_owned();
        let settings = [("RNDRKIT_CONFIG", config.to_str().unwrap())];
        let server = Server::start_in(&path, &settings, Some(folder)).await;
        let (status, token) =
            server.operator("POST", "/v1/tokens", json!({"name": "service", "scope": "verify"})).await;
        assert_eq!(status, 201, "{token}");
        Self { server, token: token["secret"].as_str().unwrap().to_owned() }
    }

    async fn service(&self, framework: Framework) -> Option<Service> {
        Service::start(framework, &self.server.internal_url(""), &self.token).await
    }

    /// A new account with a key: the account's id, the key's id, the secret.
    async fn key(&self, name: &str) -> (String, String, String) {
        let account = self.server.account(&format!("{name}@example.com"), "agency").await;
        let (key, secret) = self.server.key(&account, name).await;
        (account, key, secret)
    }
}

const PLANS: &str = r#"
default_plan = "starter"
[[plans]]
id = "starter"
name = "Starter"
api_access = false
active_keys = 5
requests_per_minute = 1
burst = 3
[[plans]]
id = "agency"
name = "Agency"
api_access = true
active_keys = 5
requests_per_minute = 1
burst = 3
"#;

fn assert_refused(told: &Told, status: u16, code: &str) {
    assert_eq!((told.status, told.code()), (status, code), "{told:?}");
    assert!(told.header("content-type").unwrap().starts_with("application/problem+json"), "{told:?}");
    assert_eq!(told.header("cache-control"), Some("no-store"), "{told:?}");
    assert_eq!(told.header("www-authenticate").is_some(), status == 401, "{told:?}");
    assert_eq!(told.body["status"], status);
    for member in ["type", "title", "detail", "error"] {
        assert!(told.body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {told:?}");
    }
}

/// Whole requests left, and the seconds until one more, at most a minute.
fn left(told: &Told) -> (u32, u32) {
    let text = told.header("ratelimit").unwrap_or_else(|| panic!("{told:?}"));
    let text = text.strip_prefix("\"account\";r=").unwrap();
    let (remaining, reset_seconds) = text.split_once(";t=").unwrap();
    let left = (remaining.parse().unwrap(), reset_seconds.parse().unwrap());
    assert!((1..=60).contains(&left.1), "{told:?}");
    left
}

async fn callers_are_told_what_the_server_decided(framework: Framework) {
    let world = World::start().await;
    let Some(service) = world.service(framework).await else { return };
    let (account, key, secret) = world.key("good").await;

    let told = service.with_key(&secret).await;
    assert_eq!((told.status, told.body["account_id"].as_str()), (200, Some(account.as_str())), "{told:?}");
    assert_eq!(told.header("ratelimit-policy"), Some("\"account\";q=3;w=180"));
    assert_eq!(told.header("ratelimit"), Some("\"account\";r=2;t=60"));
    assert_eq!(told.header("content-type").unwrap().split(';').next(), Some("application/json"));

    let told = service.ask(&[]).await;
    assert_refused(&told, 401, "missing_key");
    assert_eq!(told.body["error"], "API key required");
    assert_eq!(told.header("www-authenticate"), Some("Bearer realm=\"RndrKit\""));
    assert_refused(&service.with_key("").await, 401, "missing_key");

    let bytes = secret.as_bytes();
    assert_refused(&service.ask(&[bytes, bytes]).await, 400, "invalid_request");
    assert_refused(&service.with_key(&format!("{secret}, {secret}")).await, 400, "invalid_request");
    for impossible in [&b"nonsense"[..], &[b'k'; 7_000], b"cl\xc3\xa9", b"\xff\xfe\x80", b"a\tb", br#"a","b"#]
    {
        let told = service.ask(&[impossible]).await;
        let comma = impossible.contains(&b',');
        let (status, code) = if comma { (400, "invalid_request") } else { (401, "invalid_key") };
        assert_refused(&told, status, code);
    }

    // None of those has spent anything: two are left of three.
    assert_eq!(service.with_key(&secret).await.status, 200);
    assert_eq!(left(&service.with_key(&secret).await).0, 0);
    let told = service.with_key(&secret).await;
    assert_refused(&told, 429, "rate_limited");
    let (remaining, reset_seconds) = left(&told);
    assert_eq!(remaining, 0);
    assert_eq!(told.header("retry-after"), Some(reset_seconds.to_string().as_str()));

    let (status, _) = world.server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_eq!(status, 200);
    assert_refused(&service.with_key(&secret).await, 401, "key_revoked");

    let (account, _, secret) = world.key("smaller").await;
    let path = format!("/v1/accounts/{account}");
    let (status, _) = world.server.operator("PATCH", &path, json!({"plan": "starter"})).await;
    assert_eq!(status, 200);
    let told = service.with_key(&secret).await;
    assert_refused(&told, 403, "plan_required");
    assert_eq!(told.body["upgrade_url"], world.server.public_url("/billing"));
    assert!(!service.log().contains(&secret), "a secret in the log of the service");
}

async fn callers_are_told_503_while_the_server_gives_no_answer(framework: Framework) {
    let mut world = World::start().await;
    let Some(service) = world.service(framework).await else { return };
    let (_, _, secret) = world.key("good").await;
    assert_eq!(service.with_key(&secret).await.status, 200);

    world.server.signal("STOP");
    for keys in [&[secret.as_bytes()][..], &[]] {
        let told = service.ask(keys).await;
        assert_refused(&told, 503, "unavailable");
        assert_eq!(told.header("retry-after"), Some("1"));
        assert!(told.took < SOON, "{told:?}");
    }
    world.server.signal("CONT");
    assert!(world.server.eventually(async |_| service.ask(&[]).await.status == 401).await);
    assert_eq!(service.with_key(&secret).await.status, 200);

    world.server.kill();
    for _ in 0..3 {
        assert_refused(&service.with_key(&secret).await, 503, "unavailable");
        assert_refused(&service.ask(&[]).await, 503, "unavailable");
    }
    assert!(!service.log().contains(&secret), "a secret in the log of the service");
    world.server.spawn().await;
    assert_eq!(service.with_key(&secret).await.status, 200);
}

async fn a_service_with_a_wrong_token_or_address_has_a_trouble_of_its_own(framework: Framework) {
    let world = World::start().await;
    let (_, _, secret) = world.key("good").await;
    let url = world.server.internal_url("");
    // The public listener knows no verify call; the internal one knows no such token.
    let elsewhere = format!("http://{}", world.server.public);
    for (url, token) in [(&url, "rkop_that_nobody_made"), (&elsewhere, world.token.as_str())] {
        let Some(service) = Service::start(framework, url, token).await else { return };
        for keys in [&[secret.as_bytes()][..], &[]] {
            assert_refused(&service.ask(keys).await, 503, "unavailable");
        }
        assert!(!service.log().contains(&secret), "a secret in the log of the service");
        assert!(!service.log().contains(token), "the token in the log of the service");
    }
}

macro_rules! each_framework {
    ($($module:ident = $framework:expr;)+) => {$(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn callers_are_told_what_the_server_decided() {
                super::callers_are_told_what_the_server_decided($framework).await;
            }

            #[tokio::test]
            async fn callers_are_told_503_while_the_server_gives_no_answer() {
                super::callers_are_told_503_while_the_server_gives_no_answer($framework).await;
            }

            #[tokio::test]
            async fn a_service_with_a_wrong_token_or_address_has_a_trouble_of_its_own() {
                super::a_service_with_a_wrong_token_or_address_has_a_trouble_of_its_own($framework).await;
            }
        }
    )+};
}

each_framework! {
    axum = Framework::Axum;
    express = Framework::Express;
    fastapi = Framework::FastApi;
    net_http = Framework::NetHttp;
}
