//! Which upstream a path leads to, and which paths lead nowhere because they can be read in two ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rndrkit_edge::{KeyRule, PreflightRule, Route};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

use crate::upstream::{Script, Upstream};
use crate::wire::{ask, connect, request};
use crate::world::World;

async fn two_upstreams() -> (Upstream, Upstream, World) {
    let (api, hooks) =
        (Upstream::scripted(|_| Script::ok("api")).await, Upstream::scripted(|_| Script::ok("hooks")).await);
    let open = Route { key: KeyRule::None, ..Route::new("/api/webhooks/", hooks.uri()) };
    let routes = vec![Route::new("/api/", api.uri()), open];
    let world = World::with(|options| options.routes = routes).await;
    (api, hooks, world)
}

#[tokio::test]
async fn the_longest_matching_path_wins() {
    let (_api, _hooks, world) = two_upstreams().await;
    let key = world.key();
    assert_eq!(ask(world.public, "GET /api/x", &[&key.line()]).await.text(), "api");
    assert_eq!(ask(world.public, "GET /api/webhooks/x", &[]).await.text(), "hooks");
    assert_eq!(ask(world.public, "GET /api/webhooksx", &[&key.line()]).await.text(), "api");
    assert_eq!(ask(world.public, "GET /api/webhooksx", &[]).await.code(), "missing_key");
}

#[tokio::test]
async fn a_route_without_a_key_adds_no_identity_and_takes_no_header() {
    let (_api, hooks, world) = two_upstreams().await;
    let lines = ["X-Api-Key: of the sender", "X-Rk-Account-Id: acc_forged", "x_rk_plan: forged"];
    let answer = ask(world.public, "POST /api/webhooks/stripe", &lines).await;
    assert_eq!((answer.status(), answer.header("ratelimit")), (200, None));
    let seen = hooks.only();
    assert_eq!(seen.header("x-api-key"), Some("of the sender"));
    for gone in ["x-rk-account-id", "x-rk-key-id", "x-rk-plan", "x_rk_plan"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert_eq!(seen.header("x-rk-request-id"), answer.header("x-rk-request-id"));
}

#[tokio::test]
async fn a_route_without_a_key_hands_no_key_of_ours_to_its_upstream() {
    let (_api, hooks, world) = two_upstreams().await;
    let key = world.key();
    let bearer = key.line().replacen("X-Api-Key: ", "Authorization: Bearer ", 1);
    assert_eq!(ask(world.public, "POST /api/webhooks/x", &[&key.line(), &bearer]).await.status(), 200);
    let seen = hooks.only();
    assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (None, None));
}

#[tokio::test]
async fn a_good_key_where_no_route_leads_learns_that_routes_lack_one() {
    let upstream = Upstream::simple().await;
    let routes = vec![Route::new("/api/v1/", upstream.uri())];
    let world = World::with(|options| options.routes = routes).await;
    let key = world.key();
    let answer = ask(world.public, "GET /api/v2/x", &[&key.line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "no_upstream"));
    let detail = "The key is good. No route covers /api/v2/x; add one to routes.";
    assert_eq!(answer.json()["detail"], detail);
}

#[tokio::test]
async fn a_path_with_two_readings_is_refused_with_or_without_a_key() {
    let (api, hooks, world) = two_upstreams().await;
    let key = world.key();
    for path in [
        "/api/webhooks/../secret",
        "/api/webhooks/%2e%2e/secret",
        "/api/webhooks/..;/secret",
        "/api/webhooks/..%2fsecret",
        "/api/webhooks/..%5csecret",
        "/api/webhooks/..\\secret",
        "/api/webhooks%2fx",
        "/api//webhooks/x",
        "/api/%00",
        "/api/%zz",
        "/api/./x",
    ] {
        for line in [key.line(), "X-Nothing: here".to_owned()] {
            let answer = ask(world.public, &format!("GET {path}"), &[&line]).await;
            assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"), "{path}");
        }
    }
    assert!(api.seen().is_empty() && hooks.seen().is_empty());
}

#[tokio::test]
async fn what_has_one_reading_is_forwarded_byte_by_byte() {
    let (api, _hooks, world) = two_upstreams().await;
    let key = world.key();
    for path in ["/api/group%2Fproject", "/api/a//b", "/api/%7euser/%e2%82%ac?q=../..//%2e", "/api/x;v=1"] {
        assert_eq!(ask(world.public, &format!("GET {path}"), &[&key.line()]).await.status(), 200, "{path}");
        assert_eq!(api.seen().last().unwrap().target(), path);
    }
}

#[tokio::test]
async fn a_preflight_without_a_key_passes_only_where_the_route_says_so() {
    let upstream = Upstream::simple().await;
    let uri = upstream.uri();
    let routes = vec![
        Route::new("/api/", uri.clone()),
        Route { preflight: PreflightRule::Pass, ..Route::new("/api/open/", uri) },
    ];
    let world = World::with(|options| options.routes = routes).await;
    let preflight = ["Origin: https://shop.example", "Access-Control-Request-Method: GET"];
    assert_eq!(ask(world.public, "OPTIONS /api/x", &preflight).await.code(), "missing_key");
    assert_eq!(ask(world.public, "OPTIONS /api/open/x", &preflight).await.status(), 200);
    assert_eq!(ask(world.public, "OPTIONS /api/open/x", &preflight[..1]).await.code(), "missing_key");
    assert_eq!(ask(world.public, "GET /api/open/x", &preflight).await.code(), "missing_key");
    // What is more than a browser's question is judged like any request.
    for more in [
        &["Connection: upgrade", "Upgrade: websocket"][..],
        &["X-HTTP-Method-Override: DELETE"],
        &["X_Http_Method_Override: DELETE"],
        &["Content-Length: 3"],
    ] {
        let lines: Vec<&str> = preflight.iter().chain(more).copied().collect();
        assert_eq!(ask(world.public, "OPTIONS /api/open/x", &lines).await.code(), "missing_key", "{more:?}");
    }
    let with_bad_key = ["X-Api-Key: bad", preflight[0], preflight[1]];
    assert_eq!(ask(world.public, "OPTIONS /api/open/x", &with_bad_key).await.code(), "invalid_key");
    assert_eq!(upstream.only().header("x-rk-account-id"), None);
}

#[tokio::test]
async fn tunnels_and_traces_are_not_forwarded() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let answer = ask(world.public, "TRACE /api/x", &[&key.line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (405, "method_not_allowed"));
    assert!(answer.header("allow").is_some());
    let mut client = connect(world.gateway).await;
    client.send(request("CONNECT evil.example:443", &[&key.line()], "")).await;
    assert_eq!(client.answer().await.status(), 405);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn with_a_listener_of_its_own_the_gateway_has_every_path_and_the_public_one_only_the_reserved_tree() {
    let upstream = Upstream::simple().await;
    let routes = vec![Route::new("/", upstream.uri())];
    let world = World::with(|options| {
        options.routes = routes;
        options.separate_gateway = true;
    })
    .await;
    let key = world.key();
    assert_eq!(ask(world.gateway, "GET /v2/things", &[&key.line()]).await.text(), "from the upstream");
    assert_eq!(ask(world.gateway, "GET /v2/things", &[]).await.code(), "missing_key");
    assert_eq!(ask(world.gateway, "GET /api/rk/account", &[&key.line()]).await.text(), "from the upstream");
    assert_eq!(ask(world.public, "GET /api/rk/account", &[&key.line()]).await.text(), "passed on");
    assert_eq!(ask(world.public, "GET /api/other", &[&key.line()]).await.code(), "not_found");
    assert_eq!(ask(world.public, "GET /settings", &[]).await.text(), "passed on");
}

#[tokio::test]
async fn a_route_that_leads_back_to_the_gateway_ends_after_a_few_rounds() {
    let entrance = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", entrance.local_addr().unwrap()).parse().unwrap();
    let (gateway, rounds) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
    let (leads_to, counted) = (gateway.clone(), rounds.clone());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = entrance.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut to = TcpStream::connect(*leads_to.get().unwrap()).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let open = Route { key: KeyRule::None, ..Route::new("/api/", uri) };
    let world = World::with(|options| options.routes = vec![open]).await;
    gateway.set(world.public).unwrap();
    let answer = ask(world.public, "GET /api/x", &[]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_unreachable"));
    assert!(answer.text().contains("leads to this gateway"), "{}", answer.text());
    assert_eq!(rounds.load(Ordering::SeqCst), 8);
}
