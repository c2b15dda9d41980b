//! Forward auth: who may ask, what each proxy is answered, and what is read on the way.

use std::sync::atomic::Ordering;

use metrics_exporter_prometheus::PrometheusBuilder;
use rndrkit_domain::key_text::Digest;
use rndrkit_edge::{KeyRule, PreflightRule, Route};

use crate::wire::{Message, ask, connect, request};
use crate::world::{BURST, World};

const DIALECTS: [&str; 4] = ["nginx", "traefik", "caddy", "envoy/v1/things?q=1"];

async fn get(world: &World, dialect: &str, lines: &[&str]) -> Message {
    ask(world.internal, &format!("GET /authz/{dialect}"), lines).await
}

/// Bytes of the answer's head, about.
fn head_bytes(message: &Message) -> usize {
    message.lines.iter().map(|(name, value)| name.len() + value.len() + 4).sum()
}

#[tokio::test]
async fn a_good_key_is_200_with_every_identity_header_and_no_body() {
    let world = World::with(|_| {}).await;
    for (dialect, key_header) in [
        ("nginx", Some(("x-rk-key-header", "x-api-key"))),
        ("traefik", None),
        ("caddy", Some(("x-rk-key-header", "x-api-key"))),
        ("envoy/v1/things", Some(("x-envoy-auth-headers-to-remove", "x-api-key"))),
    ] {
        let key = world.key();
        let answer = get(&world, dialect, &[&key.line()]).await;
        assert_eq!((answer.status(), answer.body.len()), (200, 0), "{dialect}");
        let expected = [
            ("x-rk-account-id", key.account.to_string()),
            ("x-rk-external-id", "-".to_owned()),
            ("x-rk-key-id", key.id.to_string()),
            ("x-rk-plan", "agency".to_owned()),
            ("ratelimit-policy", format!("\"account\";q={BURST};w=20")),
            ("ratelimit", format!("\"account\";r={};t=1", BURST - 1)),
            ("cache-control", "no-store".to_owned()),
            ("content-length", "0".to_owned()),
        ];
        for (name, value) in expected {
            assert_eq!(answer.header(name), Some(value.as_str()), "{dialect}");
        }
        assert!(answer.header("x-rk-request-id").unwrap().starts_with("req_"), "{dialect}");
        for name in ["x-rk-key-header", "x-envoy-auth-headers-to-remove"] {
            let expected = key_header.filter(|(known, _)| *known == name).map(|(_, value)| value);
            assert_eq!(answer.header(name), expected, "{dialect}");
        }
    }
}

#[tokio::test]
async fn the_longest_identity_arrives_whole_and_fits_a_proxys_buffer() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let external = "~".repeat(128);
    world.name_externally(&key, &external);
    for dialect in DIALECTS {
        let answer = get(&world, dialect, &[&key.line()]).await;
        assert_eq!(answer.header("x-rk-external-id"), Some(external.as_str()), "{dialect}");
        assert!(head_bytes(&answer) < 4096, "{dialect}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_status_that_its_proxy_understands_and_the_same_words() {
    let world = World::with(|_| {}).await;
    let (revoked, downgraded, suspended, spent) = (world.key(), world.key(), world.key(), world.key());
    world.revoke(&revoked);
    world.downgrade(&downgraded);
    world.suspend(&suspended);
    for _ in 0..BURST {
        assert_eq!(get(&world, "caddy", &[&spent.line()]).await.status(), 200);
    }
    let twice = [spent.line(), spent.line()];
    let cases: [(&[&str], u16, &str); 7] = [
        (&[], 401, "missing_key"),
        (&["X-Api-Key: nonsense"], 401, "invalid_key"),
        (&[&revoked.line()], 401, "key_revoked"),
        (&[&twice[0], &twice[1]], 400, "invalid_request"),
        (&[&suspended.line()], 403, "account_suspended"),
        (&[&downgraded.line()], 403, "plan_required"),
        (&[&spent.line()], 429, "rate_limited"),
    ];
    for (lines, status, code) in cases {
        for dialect in DIALECTS {
            let answer = get(&world, dialect, lines).await;
            let challenge = answer.header("www-authenticate").is_some();
            assert_eq!(challenge, status == 401, "{dialect} {code}");
            assert_eq!(answer.header("retry-after"), (status == 429).then_some("1"), "{dialect} {code}");
            assert_eq!(answer.header("ratelimit").is_some(), status == 429, "{dialect} {code}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{dialect} {code}");
            assert!(head_bytes(&answer) + answer.body.len() < 4096, "{dialect} {code}");
            assert!(answer.header("x-rk-account-id").is_none(), "{dialect} {code}");
            if dialect == "nginx" {
                let understood = if status == 401 { 401 } else { 403 };
                assert_eq!((answer.status(), answer.body.len()), (understood, 0), "{code}");
                assert_eq!(answer.header("x-rk-decision"), Some(code));
                let problem = answer.header("x-rk-problem").unwrap();
                assert!(problem.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{problem}");
                let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
                assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
                assert_eq!(problem["request_id"].as_str(), answer.header("x-rk-request-id"));
            } else {
                assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{dialect}");
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                assert!(answer.header("x-rk-decision").is_none() && answer.header("x-rk-problem").is_none());
            }
        }
    }
}

#[tokio::test]
async fn not_knowing_is_503_to_every_proxy_and_says_nothing_about_the_key() {
    let world = World::with(|_| {}).await;
    world.source.failing.store(true, Ordering::SeqCst);
    for dialect in DIALECTS {
        let answer = get(&world, dialect, &[&world.key().line()]).await;
        assert_eq!(answer.status(), 503, "{dialect}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{dialect}");
        assert!(answer.header("www-authenticate").is_none(), "{dialect}");
    }
    let for_nginx = get(&world, "nginx", &[&world.key().line()]).await;
    assert_eq!(for_nginx.header("x-rk-decision"), Some("unavailable"));
}

#[tokio::test]
async fn whoever_may_not_ask_is_told_so_before_anything_else_and_spends_nothing() {
    let strangers =
        World::with(|options| options.authz_callers = vec!["192.0.2.0/24".parse().unwrap()]).await;
    let unshared = World::with(|options| options.authz_secret = Some(Digest::of("the shared secret"))).await;
    for world in [&strangers, &unshared] {
        let key = world.key();
        let claims = ["X-Forwarded-For: 192.0.2.1", "X-Real-Ip: 192.0.2.1", "X-Rk-Authz-Secret: a guess"];
        let good = [&*key.line(), claims[0], claims[1], claims[2]];
        for dialect in DIALECTS.into_iter().chain(["", "elsewhere"]) {
            for lines in [&good[..], &claims] {
                let answer = get(world, dialect, lines).await;
                assert_eq!(
                    (answer.status(), answer.code().as_str()),
                    (403, "caller_not_allowed"),
                    "{dialect}"
                );
            }
        }
    }
    let (key, secret) = (unshared.key(), "X-Rk-Authz-Secret: the shared secret");
    let first = get(&unshared, "envoy/", &[&key.line(), secret]).await;
    assert_eq!(first.header("ratelimit").unwrap(), format!("\"account\";r={};t=1", BURST - 1));
}

#[tokio::test]
async fn one_question_is_one_request_of_the_budget_whatever_ids_it_carries() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let mut allowed = 0;
    for _ in 0..2 * BURST {
        // A client can choose this: whoever repeats one must not get more for it.
        let answer = get(&world, "caddy", &[&key.line(), "X-Request-Id: same"]).await;
        allowed += u32::from(answer.status() == 200);
    }
    assert_eq!(allowed, BURST);
}

#[tokio::test]
async fn failed_look_ups_are_the_clients_that_the_proxy_names_and_nobody_elses() {
    let world = World::with(|_| {}).await;
    let guess = || {
        format!(
            "X-Api-Key: {}",
            rndrkit_domain::key_text::mint(
                &rndrkit_domain::key_text::KeyPrefix::parse("rk_live_").unwrap(),
                &rndrkit_domain::random::OsEntropy,
            )
            .secret
            .reveal()
        )
    };
    for (dialect, blamed, other) in [
        ("nginx", "X-Real-IP: 203.0.113.1", "X-Real-IP: 203.0.113.101"),
        ("caddy", "X-Forwarded-For: 198.51.100.7, 203.0.113.2", "X-Forwarded-For: 203.0.113.102"),
        ("envoy/", "X-Envoy-External-Address: 203.0.113.3", "X-Envoy-External-Address: 203.0.113.103"),
    ] {
        let mut codes = Vec::new();
        for _ in 0..=100 {
            codes.push(get(&world, dialect, &[&guess(), blamed]).await.status());
        }
        let last = if dialect == "nginx" { 403 } else { 429 };
        assert_eq!((codes[99], codes[100]), (401, last), "{dialect}");
        assert_eq!(get(&world, dialect, &[&guess(), other]).await.status(), 401, "{dialect}");
        assert_eq!(get(&world, dialect, &[&guess()]).await.status(), 401, "{dialect}: nobody is named");
        let good = world.key();
        assert_eq!(get(&world, dialect, &[&good.line(), other]).await.status(), 200, "{dialect}");
    }
}

#[tokio::test]
async fn envoy_may_ask_with_every_method_and_a_body_that_is_not_read() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let mut client = connect(world.internal).await;
        let body = if method == "HEAD" { "" } else { "{\"secret\":\"of the client\"}" };
        client.send(request(&format!("{method} /authz/envoy/v1/things"), &[&key.line()], body)).await;
        assert_eq!(client.head().await.status(), 200, "{method}");
    }
}

#[tokio::test]
async fn the_query_string_and_headers_of_ours_that_a_client_sends_are_not_read() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let query = format!("envoy/x?api_key={0}&X-Api-Key={0}", key.text);
    assert_eq!(get(&world, &query, &[]).await.code(), "missing_key");
    let claims = ["X-Rk-Account-Id: acc_1", "X-Rk-Decision: valid", "X-Rk-Key-Id: key_1"];
    assert_eq!(get(&world, "caddy", &claims).await.code(), "missing_key");
    let mut lines = vec![key.line()];
    lines.extend(claims.map(str::to_owned));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answer = get(&world, "nginx", &lines).await;
    assert_eq!(answer.header("x-rk-account-id"), Some(key.account.to_string().as_str()));
}

#[tokio::test]
async fn rules_of_routes_open_nothing_behind_forward_auth() {
    let world = World::with(|options| {
        let mut route = Route::new("/", "http://127.0.0.1:9".parse().unwrap());
        (route.key, route.preflight) = (KeyRule::None, PreflightRule::Pass);
        options.routes = vec![route];
    })
    .await;
    let preflight = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    for dialect in DIALECTS {
        assert_eq!(get(&world, dialect, &preflight).await.status(), 401, "{dialect}");
        let answer = ask(world.internal, &format!("OPTIONS /authz/{dialect}"), &preflight).await;
        assert_eq!(answer.status(), 401, "{dialect}");
    }
}

#[tokio::test]
async fn the_public_listeners_know_no_forward_auth() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    assert_eq!(ask(world.public, "GET /authz/nginx", &[&key.line()]).await.text(), "passed on");
    assert_eq!(ask(world.gateway, "GET /authz/nginx", &[&key.line()]).await.code(), "no_upstream");
    let apart = World::with(|options| options.separate_authz = true).await;
    assert_eq!(get(&apart, "nginx", &[&apart.key().line()]).await.text(), "passed on");
}

#[tokio::test]
async fn decisions_of_forward_auth_are_counted_at_their_own_door() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    let world = World::with(|_| {}).await;
    drop(guard);
    get(&world, "nginx", &[&world.key().line()]).await;
    get(&world, "envoy/", &[]).await;
    let report = handle.render();
    for line in [
        r#"rndrkit_decisions_total{door="authz",code="valid"} 1"#,
        r#"rndrkit_decisions_total{door="authz",code="missing_key"} 1"#,
        r#"rndrkit_decision_seconds_count{door="authz"} 2"#,
    ] {
        assert!(report.contains(line), "{line} is not in\n{report}");
    }
}
