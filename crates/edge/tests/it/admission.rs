//! Who is let through the gateway, who is not, and what both are told.

use std::sync::atomic::Ordering;

use rndrkit_edge::{PreflightRule, Route};
use rndrkit_verifier::VerifierOptions;

use crate::upstream::Upstream;
use crate::wire::{ask, connect, request};
use crate::world::{BURST, World};

#[tokio::test]
async fn an_admitted_request_arrives_unchanged_but_for_key_and_identity() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    world.name_externally(&key, "cus_42");

    let answer =
        ask(world.public, "GET /api/a%20b/?x=%2F&y=1;2", &[&key.line(), "X-Custom: kept", "TE: gzip"]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), "from the upstream");
    assert_eq!(answer.header("content-length"), Some("17"));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"account\";q=20;w=20"));
    assert_eq!(answer.header("ratelimit"), Some("\"account\";r=19;t=1"));

    let seen = upstream.only();
    assert_eq!(seen.first_line, "GET /api/a%20b/?x=%2F&y=1;2 HTTP/1.1");
    assert_eq!(seen.header("x-custom"), Some("kept"));
    assert_eq!(seen.header("host"), Some("api.example.com"));
    assert_eq!(seen.header("x-api-key"), None);
    assert_eq!(seen.header("te"), None);
    assert_eq!(seen.header("x-rk-account-id"), Some(key.account.to_string().as_str()));
    assert_eq!(seen.header("x-rk-key-id"), Some(key.id.to_string().as_str()));
    assert_eq!(seen.header("x-rk-plan"), Some("agency"));
    assert_eq!(seen.header("x-rk-external-id"), Some("cus_42"));
    let request_id = answer.header("x-rk-request-id").unwrap();
    assert!(request_id.starts_with("req_"));
    assert_eq!(seen.header("x-rk-request-id"), Some(request_id));
}

#[tokio::test]
async fn an_account_without_an_external_id_is_named_by_a_dash() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    assert_eq!(upstream.only().header("x-rk-external-id"), Some("-"));
}

#[tokio::test]
async fn every_refusal_has_its_code_and_none_reaches_the_upstream() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let (revoked, suspended, downgraded, expired) = (world.key(), world.key(), world.key(), world.key());
    world.revoke(&revoked);
    world.suspend(&suspended);
    world.downgrade(&downgraded);
    world.change(&expired, |facts| {
        facts.expires_at = Some(rndrkit_domain::time::Timestamp::from_unix_ms(1));
    });
    let stranger = World::over(&upstream).await.key();
    let broken = format!("X-Api-Key: {}x", &stranger.text[..stranger.text.len() - 1]);
    for (line, status, code) in [
        ("X-Nothing: here", 401, "missing_key"),
        ("X-Api-Key:", 401, "missing_key"),
        ("X-Api-Key: nonsense", 401, "invalid_key"),
        (broken.as_str(), 401, "invalid_key"),
        (&stranger.line(), 401, "invalid_key"),
        (&revoked.line(), 401, "key_revoked"),
        (&expired.line(), 401, "key_expired"),
        (&suspended.line(), 403, "account_suspended"),
        (&downgraded.line(), 403, "plan_required"),
    ] {
        let answer = ask(world.public, "GET /api/x", &[line]).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{code}");
        assert_eq!(answer.header("ratelimit"), None, "{code}");
        assert_eq!(answer.header("x-rk-request-id"), answer.json()["request_id"].as_str());
        if code == "missing_key" {
            assert_eq!(answer.json()["error"], "API key required");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"RndrKit\""));
        }
        if code == "plan_required" {
            assert_eq!(answer.json()["upgrade_url"], "https://rndrkit.example/billing");
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_spent_budget_is_429_with_the_time_to_come_back() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    for _ in 0..BURST {
        assert_eq!(ask(world.public, "GET /api/x", &[&key.line()]).await.status(), 200);
    }
    let answer = ask(world.public, "GET /api/x", &[&key.line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("ratelimit"), Some("\"account\";r=0;t=1"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(upstream.seen().len(), BURST as usize);
    world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(ask(world.public, "GET /api/x", &[&key.line()]).await.status(), 200);
}

#[tokio::test]
async fn not_knowing_is_503_and_says_nothing_about_the_key() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    world.source.failing.store(true, Ordering::SeqCst);
    let answer = ask(world.public, "GET /api/x", &[&key.line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("www-authenticate"), None);

    world.source.failing.store(false, Ordering::SeqCst);
    assert_eq!(ask(world.public, "GET /api/x", &[&key.line()]).await.status(), 200);
    world.verifier.untrust();
    assert_eq!(ask(world.public, "GET /api/x", &[&key.line()]).await.status(), 503);
}

#[tokio::test]
async fn before_the_prefixes_are_known_nobody_is_told_that_a_key_is_missing() {
    let upstream = Upstream::simple().await;
    let routes = vec![Route::new("/api/", upstream.uri())];
    let world = World::knowing(&[], VerifierOptions::default(), |options| options.routes = routes).await;
    let key = world.key();
    let answer = ask(world.public, "GET /api/x", &[&format!("Authorization: Bearer {}", key.text)]).await;
    assert_eq!(answer.status(), 503);
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_the_next_request_of_the_same_connection() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    assert_eq!(client.answer().await.status(), 200);
    world.revoke(&key);
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    assert_eq!(client.answer().await.code(), "key_revoked");
}

#[tokio::test]
async fn a_key_in_the_query_string_is_no_key() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let first_line = format!("GET /api/x?api_key={0}&X-Api-Key={0}", key.text);
    assert_eq!(ask(world.public, &first_line, &[]).await.code(), "missing_key");
}

#[tokio::test]
async fn a_bearer_token_with_our_prefix_is_the_key_and_does_not_travel_on() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let bearer = format!("authorization: bEARER {}", key.text);
    assert_eq!(ask(world.public, "GET /api/x", &[&bearer]).await.status(), 200);
    assert_eq!(ask(world.public, "GET /api/x", &[&key.line(), &bearer]).await.status(), 200);
    for seen in upstream.seen() {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-api-key"), None);
    }
}

#[tokio::test]
async fn any_other_authorization_belongs_to_the_upstream() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    ask(world.public, "GET /api/x", &[&key.line(), "Authorization: Bearer eyJ.of.theirs"]).await;
    assert_eq!(upstream.only().header("authorization"), Some("Bearer eyJ.of.theirs"));
    let alone = ask(world.public, "GET /api/x", &["Authorization: Bearer eyJ.of.theirs"]).await;
    assert_eq!(alone.code(), "missing_key");
}

#[tokio::test]
async fn two_keys_are_malformed_even_when_both_are_good() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let (one, two) = (world.key(), world.key());
    let other_bearer = format!("Authorization: Bearer {}", two.text);
    let both = format!("X-Api-Key: {}, {}", one.text, two.text);
    for lines in [
        vec![one.line(), two.line()],
        vec![one.line(), one.line()],
        vec![both],
        vec![one.line(), other_bearer],
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = ask(world.public, "GET /api/x", &lines).await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"));
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn without_an_upstream_a_good_key_learns_that_it_is_good_and_a_bad_one_that_it_is_not() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let answer = ask(world.public, "GET /api/your-endpoint", &[&key.line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "no_upstream"));
    assert_eq!(
        answer.json()["detail"],
        "The key is good. Nothing is configured behind /api/your-endpoint; set upstream_url."
    );
    assert_eq!(answer.header("ratelimit"), Some("\"account\";r=19;t=1"));
    assert_eq!(ask(world.public, "GET /api", &[&key.line()]).await.code(), "no_upstream");
    assert_eq!(ask(world.public, "GET /api/your-endpoint", &[]).await.code(), "missing_key");
}

#[tokio::test]
async fn a_refused_upload_is_refused_before_it_is_sent() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &["Expect: 100-continue", "Content-Length: 5"], "")).await;
    let first = client.until("\r\n").await;
    assert_eq!(first, "HTTP/1.1 401 Unauthorized\r\n");
}

#[tokio::test]
async fn an_admitted_upload_is_asked_for_and_arrives() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    let head = request("POST /api/x", &[&key.line(), "Expect: 100-continue", "Content-Length: 5"], "");
    client.send(head).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert_eq!(client.answer().await.status(), 200);
    let seen = upstream.only();
    assert_eq!((seen.text().as_str(), seen.header("content-length")), ("hello", Some("5")));
    assert_eq!(seen.header("expect"), None);
}

#[tokio::test]
async fn answers_to_head_have_headers_and_no_body() {
    let upstream = Upstream::scripted(|_| {
        crate::upstream::Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_owned())
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key();
    for (line, status, length) in [(key.line(), 200, "1234"), ("X-Api-Key: bad".to_owned(), 401, "")] {
        let mut client = connect(world.public).await;
        client.send(request("HEAD /api/x", &[&line, "Connection: close"], "")).await;
        let head = client.head().await;
        assert_eq!(head.status(), status);
        if !length.is_empty() {
            assert_eq!(head.header("content-length"), Some(length));
        }
        assert!(client.is_closed().await, "no body after {status}");
    }
}

#[tokio::test]
async fn without_trust_no_bearer_token_is_called_missing() {
    let upstream = Upstream::simple().await;
    let route = Route { preflight: PreflightRule::Pass, ..Route::new("/api/", upstream.uri()) };
    let world = World::with(|options| options.routes = vec![route]).await;
    // Under a prefix that another node may have brought meanwhile, or the upstream's: nobody can tell.
    let bearer = "Authorization: Bearer newer_abc";
    let preflight = [bearer, "Origin: https://shop.example", "Access-Control-Request-Method: GET"];
    assert_eq!(ask(world.public, "GET /api/x", &[bearer]).await.code(), "missing_key");
    world.verifier.untrust();
    for (line, headers) in [
        ("GET /api/x", &preflight[..1]),
        ("GET /api/rk/account", &preflight[..1]),
        ("OPTIONS /api/x", &preflight[..]),
    ] {
        let answer = ask(world.public, line, headers).await;
        assert_eq!((answer.status(), answer.code().as_str()), (503, "unavailable"), "{line}");
    }
    // No token at all is no key, whoever knows what.
    assert_eq!(ask(world.public, "GET /api/x", &[]).await.code(), "missing_key");
    assert!(upstream.seen().is_empty());
}
