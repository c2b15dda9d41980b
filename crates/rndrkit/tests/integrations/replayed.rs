//! Traefik and Envoy, which Debian does not have: their requests byte for byte as their sources write them,
//! sent to a real `rndrkit`, and the answers held against what their files here make of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::proxy::document;
use crate::raw::{self, Answer};

/// Headers that say who somebody is.
const IDENTITY: [&str; 5] =
    ["x-rk-account-id", "x-rk-external-id", "x-rk-key-id", "x-rk-plan", "x-rk-request-id"];

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&document(name, &[])).unwrap()
}

fn words(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_lowercase()).collect()
}

struct World {
    server: Server,
    account: String,
    key: String,
    secret: String,
}

impl World {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let server = Server::start(settings).await;
        let account = server.account("ada@example.com", "agency").await;
        let (key, secret) = server.key(&account, "CI").await;
        Self { server, account, key, secret }
    }

    async fn set_plan(&self, plan: &str) {
        let path = format!("/v1/accounts/{}", self.account);
        assert_eq!(self.server.operator("PATCH", &path, json!({"plan": plan})).await.0, 200);
    }

    async fn revoke(&self) {
        let path = format!("/v1/keys/{}", self.key);
        assert_eq!(self.server.operator("DELETE", &path, Value::Null).await.0, 200);
    }

    /// What Traefik 3 sends: Go's client, which writes `Host` and `User-Agent` first and the rest by name, of the
    /// client's headers those of `authRequestHeaders`, then its own.
    async fn traefik(&self, lines: &[&str]) -> Answer {
        let file = yaml("traefik-rndrkit.yml");
        let address =
            file["http"]["middlewares"]["rndrkit-authz"]["forwardAuth"]["address"].as_str().unwrap();
        let path = address.strip_prefix("http://127.0.0.1:8081").unwrap();
        let mut head =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nUser-Agent: Go-http-client/1.1");
        for line in lines {
            head.push_str("\r\n");
            head.push_str(line);
        }
        head.push_str(
            "\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: api.example.com\r\n\
             X-Forwarded-Method: POST\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Server: traefik-1\r\nX-Forwarded-Uri: /v1/things?q=1\r\nAccept-Encoding: gzip",
        );
        raw::send(self.server.internal, head.as_bytes(), b"").await
    }

    /// What Envoy sends: the method and, behind the prefix, the path of the client, no body, `allowed_headers`, and
    /// what its own HTTP client adds. Names are in lower case.
    async fn envoy(&self, method: &str, lines: &[&str]) -> Answer {
        let file = yaml("envoy.yaml");
        let prefix = ext_authz(&file)["http_service"]["path_prefix"].as_str().unwrap();
        let mut head =
            format!("{method} {prefix}/v1/things?q=1 HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 0");
        for line in lines {
            head.push_str("\r\n");
            head.push_str(line);
        }
        head.push_str(
            "\r\nx-envoy-external-address: 203.0.113.9\r\nx-rk-authz-secret: -\r\nx-envoy-internal: true\r\n\
             x-forwarded-for: 172.17.0.2\r\nx-envoy-expected-rq-timeout-ms: 3000",
        );
        raw::send(self.server.internal, head.as_bytes(), b"").await
    }

    fn assert_says_who(&self, answer: &Answer) {
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{answer:?}");
        assert_eq!(answer.header("x-rk-account-id"), Some(self.account.as_str()));
        assert_eq!(answer.header("x-rk-key-id"), Some(self.key.as_str()));
        assert_eq!(answer.header("x-rk-external-id"), Some("-"));
        assert_eq!(answer.header("x-rk-plan"), Some("agency"));
        assert!(answer.header("x-rk-request-id").unwrap().starts_with("req_"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("ratelimit-policy"), Some("\"account\";q=100;w=10"));
    }
}

fn ext_authz(file: &Value) -> &Value {
    let manager = &file["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    &manager["http_filters"][0]["typed_config"]
}

fn key_line(world: &World) -> String {
    format!("X-Api-Key: {}", world.secret)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_traefik_learns_whose_key_it_is_and_its_client_why_not() {
    let world = World::start(&[]).await;
    let key = key_line(&world);
    world.assert_says_who(&world.traefik(&[&key]).await);
    world.traefik(&[]).await.assert_problem("no key", 401, "missing_key");
    world.traefik(&["X-Api-Key: nonsense"]).await.assert_problem("nonsense", 401, "invalid_key");
    world.traefik(&[&key, &key]).await.assert_problem("two keys", 400, "invalid_request");
    world.set_plan("pro").await;
    world.traefik(&[&key]).await.assert_problem("the plan", 403, "plan_required");
    world.set_plan("agency").await;
    let mut answer = world.traefik(&[&key]).await;
    while answer.status == 200 {
        answer = world.traefik(&[&key]).await;
    }
    answer.assert_problem("the budget", 429, "rate_limited");
    assert!(answer.header("retry-after").is_some());
    assert!(answer.body.len() < 4096, "Traefik passes on no more than maxResponseBodySize");
    world.revoke().await;
    world.traefik(&[&key]).await.assert_problem("a revoked key", 401, "key_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_envoy_goes_on_at_200_alone_and_learns_which_header_to_remove() {
    let world = World::start(&[]).await;
    let (key, bearer) =
        (format!("x-api-key: {}", world.secret), format!("authorization: Bearer {}", world.secret));
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        world.assert_says_who(&world.envoy(method, &[&key]).await);
    }
    for (lines, removed) in [
        (vec![&*key], "x-api-key"),
        (vec![&*key, "authorization: Basic dTpw"], "x-api-key"),
        (vec![&*bearer], "authorization"),
        (vec![&*bearer, &*key], "authorization, x-api-key"),
    ] {
        let answer = world.envoy("POST", &lines).await;
        world.assert_says_who(&answer);
        assert_eq!(answer.header("x-envoy-auth-headers-to-remove"), Some(removed));
    }
    world.envoy("POST", &[]).await.assert_problem("no key", 401, "missing_key");
    world.set_plan("starter").await;
    let refused = world.envoy("GET", &[&key]).await;
    refused.assert_problem("the plan", 403, "plan_required");
    assert!(refused.header("x-envoy-auth-headers-to-remove").is_none());
    world.set_plan("agency").await;
    let mut answer = world.envoy("GET", &[&key]).await;
    while answer.status == 200 {
        answer = world.envoy("GET", &[&key]).await;
    }
    answer.assert_problem("a limit is no outage", 429, "rate_limited");
    world.revoke().await;
    world.envoy("GET", &[&key]).await.assert_problem("a revoked key", 401, "key_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_proxies_that_may_not_ask_learn_nothing_about_the_key() {
    let settings = [("RNDRKIT_AUTHZ_CALLERS", "192.0.2.0/24")];
    let world = World::start(&settings).await;
    for key in [&*key_line(&world), "X-Api-Key: nonsense"] {
        for answer in [world.traefik(&[key]).await, world.envoy("GET", &[key]).await] {
            answer.assert_problem("a stranger", 403, "caller_not_allowed");
        }
    }
    let look = world.server.look(&world.secret).await.1;
    assert_eq!(look["rate_limit"]["remaining"], 100, "and spends nothing: {look}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forward_auth_on_a_listener_of_its_own_is_nowhere_else_and_alone_there() {
    let authz = crate::harness::free_address();
    let world = World::start(&[("RNDRKIT_AUTHZ_LISTEN", &authz.to_string())]).await;
    let head = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}", key_line(&world));
    let asked = raw::send(authz, head("/authz/caddy").as_bytes(), b"").await;
    world.assert_says_who(&asked);
    for path in ["/livez", "/metrics", "/v1/accounts", "/", "/authz", "/authz/other", "/api/rk/account"] {
        raw::send(authz, head(path).as_bytes(), b"").await.assert_problem(path, 404, "not_found");
    }
    for listener in [world.server.internal, world.server.public] {
        let answer = raw::send(listener, head("/authz/caddy").as_bytes(), b"").await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}

#[test]
fn the_files_for_traefik_leave_no_identity_of_a_client_and_no_key_to_the_api() {
    let file = yaml("traefik-rndrkit.yml");
    let middlewares = &file["http"]["middlewares"];
    let authz = &middlewares["rndrkit-authz"]["forwardAuth"];
    assert_eq!(words(&authz["authResponseHeaders"]), words(&json!(["X-Api-Key", "Authorization"])));
    // In Go's words: any of our names, whatever stands between its parts.
    assert_eq!(authz["authResponseHeadersRegex"], "(?i)^X[^A-Za-z0-9]Rk[^A-Za-z0-9]");
    let asked = words(&authz["authRequestHeaders"]);
    assert!(asked.contains("x-api-key") && asked.contains("authorization"), "{asked:?}");
    assert_eq!((&authz["maxResponseBodySize"], &authz["forwardBody"]), (&json!(4096), &json!(false)));
    let cleared = middlewares["rndrkit-nobody"]["headers"]["customRequestHeaders"].as_object().unwrap();
    for name in IDENTITY {
        assert!(cleared.iter().any(|(known, value)| known.to_lowercase() == name && value == ""), "{name}");
    }
    assert_eq!(middlewares["rndrkit"]["chain"]["middlewares"], json!(["rndrkit-nobody", "rndrkit-authz"]));
    assert_eq!(file["http"]["routers"]["api"]["middlewares"], json!(["rndrkit"]));
    let entry = &yaml("traefik.yml")["entryPoints"]["web"]["forwardedHeaders"];
    assert!(entry.get("insecure").is_none() && entry["trustedIPs"] == json!([]));
}

#[test]
fn the_file_for_envoy_is_closed_when_nobody_knows_and_hands_over_what_is_answered() {
    let file = yaml("envoy.yaml");
    let authz = ext_authz(&file);
    assert_eq!(authz["failure_mode_allow"], false);
    assert_eq!(authz["status_on_error"]["code"], "ServiceUnavailable");
    let patterns = |list: &Value| -> BTreeSet<String> {
        let patterns = list["patterns"].as_array().unwrap();
        patterns.iter().map(|pattern| pattern["exact"].as_str().unwrap().to_owned()).collect()
    };
    let names =
        |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(
        patterns(&authz["allowed_headers"]),
        names(&["authorization", "x-api-key", "x-envoy-external-address"])
    );
    let response = &authz["http_service"]["authorization_response"];
    assert_eq!(patterns(&response["allowed_upstream_headers"]), names(&IDENTITY));
    assert_eq!(
        patterns(&response["allowed_client_headers_on_success"]),
        names(&["ratelimit", "ratelimit-policy", "x-rk-request-id"])
    );
    assert!(response.get("allowed_client_headers").is_none(), "a list would hide WWW-Authenticate and more");
}
