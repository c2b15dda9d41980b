//! What a decision leaves behind for pages, through each door: who presented which secret, and refusals.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::observation::{BucketFacts, Door, Refusal, Sighting};
use rndrkit_edge::Route;
use rndrkit_verifier::{BoxFuture, ObservationFlusher, ObservationSink, SourceError};
use serde_json::json;

use crate::upstream::Upstream;
use crate::wire::{Message, ask, connect, request};
use crate::world::{BURST, LOOPBACK, OPERATOR_TOKEN, World};

/// Where a test reads what was noted.
#[derive(Default)]
struct Noted(Mutex<(Vec<Sighting>, Vec<Refusal>)>);

impl ObservationSink for Noted {
    fn record_observations<'a>(
        &'a self,
        sightings: &'a [Sighting],
        refusals: &'a [Refusal],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut noted = self.0.lock();
            noted.0.extend_from_slice(sightings);
            noted.1.extend_from_slice(refusals);
            Ok(())
        })
    }
}

/// What was noted since it was last asked for.
async fn noted(world: &World) -> (Vec<Sighting>, Vec<Refusal>) {
    let sink = Arc::new(Noted::default());
    let buffer = world.edge.observations().clone();
    ObservationFlusher::new(buffer, sink.clone(), Duration::from_secs(10)).flush().await.unwrap();
    std::mem::take(&mut *sink.0.lock())
}

async fn verify(world: &World, question: &serde_json::Value) -> Message {
    let token = format!("Authorization: Bearer {OPERATOR_TOKEN}");
    let mut client = connect(world.internal).await;
    let lines = [token.as_str(), "Content-Type: application/json"];
    client.send(request("POST /v1/keys/verify", &lines, &question.to_string())).await;
    client.answer().await
}

#[tokio::test]
async fn an_admitted_request_is_noted_once_with_who_sent_it() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    for _ in 0..5 {
        let lines = [&*key.line(), "User-Agent: curl/8.1"];
        assert_eq!(ask(world.public, "GET /api/things?token=secret", &lines).await.status(), 200);
    }
    let (sightings, refusals) = noted(&world).await;
    assert!(refusals.is_empty());
    let [sighting] = sightings.as_slice() else { panic!("{sightings:?}") };
    assert_eq!((sighting.digest, sighting.key_id, sighting.account_id), (key.digest, key.id, key.account));
    assert_eq!((sighting.ip, sighting.user_agent.as_deref()), (Some(LOOPBACK), Some("curl/8.1")));
    world.clock.advance(Duration::from_secs(31));
    ask(world.public, "GET /api/things", &[&key.line()]).await;
    let (sightings, _) = noted(&world).await;
    assert_eq!((sightings.len(), sightings[0].user_agent.as_deref()), (1, None), "again half a minute later");
}

#[tokio::test]
async fn a_spent_budget_is_noted_with_its_numbers() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    for _ in 0..BURST {
        ask(world.public, "GET /api/things", &[&key.line()]).await;
    }
    let lines = [&*key.line(), "User-Agent: a<script>"];
    let answer = ask(world.public, "DELETE /api/things/%3Cb%3E?api_key=hidden", &lines).await;
    assert_eq!(answer.code(), "rate_limited");
    let (_, refusals) = noted(&world).await;
    let [refusal] = refusals.as_slice() else { panic!("{refusals:?}") };
    assert_eq!(Some(refusal.request_id.to_string().as_str()), answer.header("x-rk-request-id"));
    assert_eq!(
        (refusal.account_id, refusal.key_id, refusal.code),
        (key.account, key.id, Denial::RateLimited)
    );
    let facts = &refusal.facts;
    assert_eq!((facts.door, facts.cost), (Door::Gateway, 1));
    assert_eq!(facts.method.as_deref(), Some("DELETE"));
    assert_eq!(facts.path.as_deref(), Some("/api/things/%3Cb%3E"), "without its query");
    assert_eq!((facts.api_access, facts.account_status), (Some(true), Some(AccountStatus::Active)));
    let BucketFacts { limit, before, after, retry_after_seconds, shared } = facts.bucket.unwrap();
    assert_eq!((limit.burst.get(), limit.per_minute.get()), (BURST, 60));
    assert_eq!((before, after, retry_after_seconds, shared), (0, 0, 1, false));
    assert_eq!((refusal.ip, refusal.user_agent.as_deref()), (Some(LOOPBACK), Some("a<script>")));
}

#[tokio::test]
async fn each_cause_that_a_known_key_can_have_is_noted_and_only_active_secrets_are_seen() {
    let world = World::with(|_| {}).await;
    let [revoked, replaced, expired, downgraded, suspended] = [(); 5].map(|()| world.key());
    let ended = Some(rndrkit_domain::time::Timestamp::from_unix_ms(1));
    world.revoke(&revoked);
    world.change(&replaced, |facts| facts.ends_at = ended);
    world.change(&expired, |facts| facts.expires_at = ended);
    world.downgrade(&downgraded);
    world.suspend(&suspended);
    for key in [&revoked, &replaced, &expired, &downgraded, &suspended] {
        ask(world.public, "GET /api/rk/account", &[&key.line()]).await;
    }
    for lines in [&[][..], &["X-Api-Key: nonsense"], &["X-Api-Key: a", "X-Api-Key: b"]] {
        ask(world.public, "GET /api/rk/account", lines).await;
    }
    let (sightings, refusals) = noted(&world).await;
    let of = |id| refusals.iter().find(|refusal| refusal.key_id == id).unwrap();
    let told = |id| (of(id).code, of(id).facts.api_access, of(id).facts.account_status, of(id).facts.bucket);
    assert_eq!(refusals.len(), 5);
    assert_eq!(told(revoked.id), (Denial::KeyRevoked, None, None, None));
    assert_eq!(told(replaced.id), (Denial::SecretReplaced, None, None, None));
    assert_eq!(told(expired.id), (Denial::KeyExpired, None, None, None));
    let active = Some(AccountStatus::Active);
    assert_eq!(told(downgraded.id), (Denial::PlanRequired, Some(false), active, None));
    assert_eq!(told(suspended.id), (Denial::AccountSuspended, None, Some(AccountStatus::Suspended), None));
    assert!(refusals.iter().all(|refusal| refusal.facts.door == Door::OwnCalls));
    let mut seen: Vec<_> = sightings.iter().map(|sighting| sighting.digest).collect();
    seen.sort_unstable();
    let mut expected = [downgraded.digest, suspended.digest];
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_key_that_ends_itself_while_it_is_refused_leaves_no_refusal() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    world.suspend(&key);
    assert_eq!(ask(world.public, "DELETE /api/rk/keys/self", &[&key.line()]).await.status(), 200);
    assert_eq!(noted(&world).await, (Vec::new(), Vec::new()));
}

/// A proxy, the headers that it adds, and the address, method and path that are to be noted.
type Case<'a> = (&'a str, &'a [&'a str], Option<&'a str>, Option<&'a str>, Option<&'a str>);

#[tokio::test]
async fn each_proxy_is_believed_about_client_and_call() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    world.downgrade(&key);
    let agent = "User-Agent: app/2";
    let traefik = ["X-Forwarded-For: 192.0.2.9", "X-Forwarded-Method: PUT", "X-Forwarded-Uri: /v1/a?q=1"];
    let nginx = ["X-Real-Ip: 192.0.2.8", "X-Original-Method: POST", "X-Original-Uri: /v1/b#c"];
    let bare: [&str; 0] = [];
    let cases: [Case<'_>; 5] = [
        ("traefik", &traefik, Some("192.0.2.9"), Some("PUT"), Some("/v1/a")),
        ("caddy", &traefik, Some("192.0.2.9"), Some("PUT"), Some("/v1/a")),
        ("nginx", &nginx, Some("192.0.2.8"), Some("POST"), Some("/v1/b")),
        ("nginx", &bare, None, None, None),
        (
            "envoy/v1/d?x=1",
            &["X-Envoy-External-Address: 2001:db8::7"],
            Some("2001:db8::7"),
            Some("GET"),
            Some("/v1/d"),
        ),
    ];
    for (dialect, lines, ip, method, path) in cases {
        let line = key.line();
        let lines: Vec<&str> = [line.as_str(), agent].into_iter().chain(lines.iter().copied()).collect();
        ask(world.internal, &format!("GET /authz/{dialect}"), &lines).await;
        let (_, refusals) = noted(&world).await;
        let [refusal] = refusals.as_slice() else { panic!("{dialect}: {refusals:?}") };
        let facts = &refusal.facts;
        assert_eq!(facts.door, Door::ForwardAuth);
        assert_eq!((facts.method.as_deref(), facts.path.as_deref()), (method, path), "{dialect}");
        assert_eq!(refusal.ip, ip.map(|ip| ip.parse().unwrap()), "{dialect}");
        assert_eq!(refusal.user_agent.as_deref(), Some("app/2"), "{dialect}");
    }
}

#[tokio::test]
async fn a_service_tells_of_its_caller_or_says_nothing() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    let context =
        json!({"ip": "192.0.2.5", "method": "GET", "path": "/x?y", "user_agent": "a\u{202e}\u{0}b"});
    assert_eq!(verify(&world, &json!({"secret": key.text, "context": context})).await.status(), 200);
    let dear = verify(&world, &json!({"secret": key.text, "cost": BURST})).await.json();
    assert_eq!(dear["code"], "rate_limited");
    let (mut sightings, refusals) = noted(&world).await;
    sightings.sort_by_key(|sighting| sighting.ip);
    let seen: Vec<_> =
        sightings.iter().map(|sighting| (sighting.ip, sighting.user_agent.as_deref())).collect();
    assert_eq!(seen, [(None, None), (Some("192.0.2.5".parse().unwrap()), Some("ab"))]);
    let facts = &refusals[0].facts;
    assert_eq!((facts.door, facts.cost, &facts.method, &facts.path), (Door::Verify, BURST, &None, &None));
    assert_eq!(facts.bucket.unwrap().before, BURST - 1);
    assert_eq!(refusals[0].request_id.to_string(), dear["request_id"].as_str().unwrap());
}

#[tokio::test]
async fn a_trusted_proxys_client_is_the_one_who_is_noted() {
    let upstream = Upstream::simple().await;
    let routes = vec![Route::new("/api/", upstream.uri())];
    let world = World::with(|options| {
        options.routes = routes;
        options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let key = world.key();
    ask(world.public, "GET /api/x", &[&key.line(), "X-Forwarded-For: 198.51.100.4"]).await;
    let (sightings, _) = noted(&world).await;
    assert_eq!(sightings[0].ip, Some("198.51.100.4".parse().unwrap()));
}
