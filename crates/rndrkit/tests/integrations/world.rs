//! A client, a proxy, `rndrkit` and an API, and what a client may expect through whichever proxy it is.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::Api;
use crate::harness::{Server, free_address};
use crate::proxy::Proxy;
use crate::raw::{self, Answer};

/// How long a WebSocket may be silent on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that takes part.
pub struct World {
    pub server: Server,
    pub api: Api,
    /// Where clients go.
    pub front: SocketAddr,
    pub account: String,
    pub key: String,
    pub secret: String,
    pub proxy: Proxy,
}

impl World {
    /// Starts all of it; none when the proxy is not installed. `proxy` is told where it listens, where
    /// `rndrkit` is and where the API is.
    pub async fn start(
        settings: &[(&str, &str)],
        proxy: impl FnOnce(SocketAddr, SocketAddr, SocketAddr) -> Option<Proxy>,
    ) -> Option<Self> {
        let server = Server::start(settings).await;
        let api = Api::start().await;
        let front = free_address();
        let proxy = proxy(front, server.internal, api.address)?;
        let body = json!({"email": "ada@example.com", "plan": "agency", "external_id": "cus_42"});
        let (status, account) = server.operator("POST", "/v1/accounts", body).await;
        assert_eq!(status, 201, "{account}");
        let account = account["id"].as_str().unwrap().to_owned();
        let (key, secret) = server.key(&account, "CI").await;
        Some(Self { server, api, front, account, key, secret, proxy })
    }

    /// One request through the proxy; a `Host` is added.
    pub async fn ask(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {}", self.front);
        for header in headers {
            head.push_str("\r\n");
            head.push_str(header);
        }
        if !body.is_empty() {
            write!(head, "\r\nContent-Length: {}", body.len()).unwrap();
        }
        raw::send(self.front, head.as_bytes(), body).await
    }

    pub async fn get(&self, headers: &[&str]) -> Answer {
        self.ask("GET /v1/things?q=1", headers, b"").await
    }

    /// The header line with the key.
    pub fn key_line(&self) -> String {
        format!("X-Api-Key: {}", self.secret)
    }

    /// What the proxy has said, for messages of failed tests.
    pub fn log(&self) -> String {
        format!("--- proxy\n{}\n--- rndrkit\n{}", self.proxy.log(), self.server.log())
    }

    pub async fn plan(&self, plan: &str) {
        let path = format!("/v1/accounts/{}", self.account);
        let (status, answer) = self.server.operator("PATCH", &path, json!({"plan": plan})).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub async fn revoke(&self) {
        let path = format!("/v1/keys/{}", self.key);
        let (status, answer) = self.server.operator("DELETE", &path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// All values of a header that reached the API.
pub fn reached(answer: &Answer, name: &str) -> Vec<String> {
    let json = answer.json();
    let headers = json["headers"].as_array().unwrap_or_else(|| panic!("the API did not answer: {answer:?}"));
    let of_name = headers.iter().filter(|header| header[0] == name);
    of_name.map(|header| header[1].as_str().unwrap().to_owned()).collect()
}

/// A good request arrives with whose it is, without its key, and its answer says what is left.
pub async fn a_good_key_arrives_as_its_account(world: &World) {
    let answer = world.ask("POST /v1/things?q=1", &[&world.key_line()], b"four").await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    let json = answer.json();
    assert_eq!((&json["request"], &json["body_bytes"]), (&"POST /v1/things?q=1 HTTP/1.1".into(), &4.into()));
    assert_eq!(reached(&answer, "x-rk-account-id"), [world.account.as_str()]);
    assert_eq!(reached(&answer, "x-rk-key-id"), [world.key.as_str()]);
    assert_eq!(reached(&answer, "x-rk-external-id"), ["cus_42"]);
    assert_eq!(reached(&answer, "x-rk-plan"), ["agency"]);
    let request_id = reached(&answer, "x-rk-request-id");
    assert_eq!((request_id.len(), request_id[0].starts_with("req_")), (1, true));
    assert!(reached(&answer, "x-api-key").is_empty());
    assert_eq!(answer.header("ratelimit-policy"), Some("\"account\";q=100;w=10"));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"account\";r=99;t="), "{answer:?}");
    assert_eq!(answer.header("x-rk-request-id"), Some(request_id[0].as_str()));
}

/// The key is taken out wherever it was, and what is the API's own stays.
pub async fn only_the_key_is_taken_out(world: &World) {
    let bearer = format!("Authorization: Bearer {}", world.secret);
    let answer = world.get(&[&bearer]).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    assert!(reached(&answer, "authorization").is_empty());
    let answer = world.get(&[&world.key_line(), "Authorization: Basic dTpw"]).await;
    assert_eq!(reached(&answer, "authorization"), ["Basic dTpw"]);
    let answer = world.get(&[&world.key_line(), &bearer]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(reached(&answer, "authorization").is_empty() && reached(&answer, "x-api-key").is_empty());
}

/// Nobody becomes somebody by saying so, in whatever spelling.
pub async fn identity_cannot_be_forged(world: &World) {
    let forged = ["X-Rk-Plan: f", "x_rk_plan: f", "X.Rk.Plan: f", "X-Rk_Plan: f", "X_Rk-Account-Id: f"];
    let key = world.key_line();
    let mut lines =
        vec![key.as_str(), "X-Rk-Account-Id: f", "X-Rk-Key-Header: x-api-key", "X-Rk-Decision: f"];
    lines.extend(forged);
    let answer = world.get(&lines).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    for header in answer.json()["headers"].as_array().unwrap() {
        let name = header[0].as_str().unwrap();
        let is_identity = name.replace(['_', '.'], "-").starts_with("x-rk-")
            && !["x-rk-key-header", "x-rk-decision"].contains(&name);
        assert!(!is_identity || header[1] != "f", "{header} reached the API");
    }
    assert_eq!(reached(&answer, "x-rk-account-id"), [world.account.as_str()]);
    let nobody = world.get(&["X-Rk-Account-Id: acc_1", "X-Rk-Key-Id: key_1"]).await;
    nobody.assert_problem("without a key", 401, "missing_key");
}

/// Every definite no has its status, its code and its words, and nothing reaches the API.
pub async fn refusals_keep_their_status_and_words(world: &World) {
    let before = world.api.requests();
    let key = world.key_line();
    world.get(&[]).await.assert_problem("no key", 401, "missing_key");
    world.get(&["X-Api-Key: nonsense"]).await.assert_problem("nonsense", 401, "invalid_key");
    world.get(&[&key, &key]).await.assert_problem("two keys", 400, "invalid_request");
    world.plan("starter").await;
    let answer = world.get(&[&key]).await;
    answer.assert_problem("the plan", 403, "plan_required");
    assert!(answer.json()["upgrade_url"].as_str().unwrap().ends_with("/billing"));
    world.plan("agency").await;
    let answer = throttled(world).await;
    answer.assert_problem("the budget", 429, "rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{answer:?}");
    assert!(answer.header("ratelimit").unwrap().starts_with("\"account\";r=0;t="), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    world.revoke().await;
    let reached_before = world.api.requests();
    world.get(&[&key]).await.assert_problem("a revoked key", 401, "key_revoked");
    assert_eq!(world.api.requests(), reached_before);
    assert!(reached_before > before, "the budget was spent by requests that arrived");
}

/// Spends the account's budget.
async fn throttled(world: &World) -> Answer {
    // The burst is 100, and 10 a second flow back.
    for _ in 0..2_000 {
        let answer = world.get(&[&world.key_line()]).await;
        if answer.status != 200 {
            return answer;
        }
    }
    panic!("the budget has no end");
}

/// 503 with the time to wait, never 401 and never a pass, whether `rndrkit` is silent or gone.
pub async fn without_rndrkit_it_is_503(world: &mut World) {
    assert_eq!(world.get(&[&world.key_line()]).await.status, 200);
    let before = world.api.requests();
    world.server.signal("STOP");
    let answer = world.get(&[&world.key_line()]).await;
    world.server.signal("CONT");
    answer.assert_problem("a silent rndrkit", 503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(world.get(&[&world.key_line()]).await.status, 200, "{}", world.log());
    world.server.kill();
    let answer = world.get(&[&world.key_line()]).await;
    answer.assert_problem("no rndrkit", 503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    world.get(&[]).await.assert_problem("no rndrkit and no key", 503, "unavailable");
    assert_eq!(world.api.requests(), before + 1);
    world.server.spawn().await;
    assert_eq!(world.get(&[&world.key_line()]).await.status, 200, "{}", world.log());
}

/// A WebSocket is asked about once and then belongs to client and API.
pub async fn a_websocket_passes_with_a_key_and_not_without(world: &World) {
    let hello = |key: &str| {
        format!(
            "GET /socket HTTP/1.1\r\nHost: {}\r\n{key}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            world.front
        )
    };
    let mut stream = TcpStream::connect(world.front).await.unwrap();
    stream.write_all(hello(&format!("{}\r\n", world.key_line())).as_bytes()).await.unwrap();
    let mut received = read_until(&mut stream, b"\r\n\r\n", world).await;
    assert!(received.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&received));
    stream.write_all(b"ping\n").await.unwrap();
    received.extend(read_until(&mut stream, b"ping\n", world).await);
    let said = String::from_utf8_lossy(&received);
    assert!(said.ends_with(&format!("{}\nping\n", world.account)), "{said}");
    let refused = raw::send(world.front, hello("").trim_end().as_bytes(), b"").await;
    refused.assert_problem("a WebSocket without a key", 401, "missing_key");
}

/// Everything up to `mark`, and what came with it.
async fn read_until(stream: &mut TcpStream, mark: &[u8], world: &World) -> Vec<u8> {
    let mut received = Vec::new();
    while !received.windows(mark.len()).any(|window| window == mark) {
        let reading = tokio::time::timeout(PATIENCE, stream.read_buf(&mut received)).await;
        let count = reading.unwrap_or_else(|_| panic!("nothing came\n{}", world.log())).unwrap();
        assert!(count > 0, "{}\n{}", String::from_utf8_lossy(&received), world.log());
    }
    received
}

/// The endpoint that tells good keys from bad ones is the proxy's alone.
pub async fn the_endpoint_is_not_reachable_through_the_proxy(world: &World, path: &str, status: u16) {
    for line in [format!("GET {path}"), format!("POST {path}")] {
        let answer = world.ask(&line, &[&world.key_line()], b"").await;
        assert!(answer.status == status && answer.header("x-rk-account-id").is_none(), "{answer:?}");
    }
}
