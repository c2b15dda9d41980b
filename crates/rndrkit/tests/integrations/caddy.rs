//! Caddy from Debian with `docs/integrations/Caddyfile`.

use std::net::SocketAddr;

use crate::proxy::{Proxy, document};
use crate::world::{self, World};

/// Nothing but the site itself: no port for administration, no certificates.
const AROUND: &str = "{\n\tadmin off\n\tauto_https off\n}\n";

fn caddy(
    substitutions: &[(&str, &str)],
    front: SocketAddr,
    rndrkit: SocketAddr,
    api: SocketAddr,
) -> Option<Proxy> {
    let (site, rndrkit, api) = (format!("http://{front} {{"), rndrkit.to_string(), api.to_string());
    let mut all =
        vec![("api.example.com {", site.as_str()), ("127.0.0.1:8081", &rndrkit), ("127.0.0.1:3000", &api)];
    all.extend(substitutions);
    let files = [("Caddyfile", format!("{AROUND}{}", document("Caddyfile", &all)))];
    Proxy::start("caddy", &["run", "--config", "Caddyfile", "--adapter", "caddyfile"], &files, front)
}

async fn start() -> Option<World> {
    World::start(&[], |front, rndrkit, api| caddy(&[], front, rndrkit, api)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_passes_on_a_good_key_as_its_account_and_nothing_forged() {
    let Some(world) = start().await else { return };
    world::a_good_key_arrives_as_its_account(&world).await;
    world::only_the_key_is_taken_out(&world).await;
    world::identity_cannot_be_forged(&world).await;
    world::a_websocket_passes_with_a_key_and_not_without(&world).await;
    let forged = [&*world.key_line(), "X-Forwarded-Uri: /forged", "X-Forwarded-Method: FORGED"];
    let answer = world.get(&forged).await;
    assert!(world::reached(&answer, "x-forwarded-uri").is_empty(), "{answer:?}");
    assert!(world::reached(&answer, "x-forwarded-method").is_empty(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_gives_every_refusal_its_own_status_and_words() {
    let Some(world) = start().await else { return };
    world::refusals_keep_their_status_and_words(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_answers_503_while_nobody_can_decide_and_leaves_the_apis_own_failures_alone() {
    let Some(mut world) = start().await else { return };
    world::without_rndrkit_it_is_503(&mut world).await;
    drop(world);
    // An API that is not there is another matter.
    let nobody = crate::harness::free_address();
    let Some(world) = World::start(&[], |front, rndrkit, _| caddy(&[], front, rndrkit, nobody)).await else {
        return;
    };
    assert_eq!(world.get(&[&world.key_line()]).await.status, 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_lets_a_preflight_through_as_nobody_where_that_is_switched_on() {
    let preflight = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    let Some(world) = start().await else { return };
    world.ask("OPTIONS /v1/things", &preflight, b"").await.assert_problem("a preflight", 401, "missing_key");
    drop(world);
    let on = [
        ("#@preflight", "@preflight"),
        ("\t\t#\t", "\t\t\t"),
        ("#}", "}"),
        ("#reverse_proxy", "reverse_proxy"),
    ];
    let Some(world) = World::start(&[], |front, rndrkit, api| caddy(&on, front, rndrkit, api)).await else {
        return;
    };
    let forged = [preflight[0], preflight[1], "X-Rk-Account-Id: forged"];
    let answer = world.ask("OPTIONS /v1/things", &forged, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    assert!(world::reached(&answer, "x-rk-account-id").is_empty());
    world.ask("OPTIONS /v1/things", &preflight[..1], b"").await.assert_problem(
        "no preflight",
        401,
        "missing_key",
    );
    world.ask("POST /v1/things", &preflight, b"x").await.assert_problem("a request", 401, "missing_key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_sends_the_shared_secret_and_nobody_passes_without_it() {
    const SECRET: &str = "sixteen-or-more-characters";
    let settings = [("RNDRKIT_AUTHZ_SECRET", SECRET)];
    let Some(world) = World::start(&settings, |front, rndrkit, api| caddy(&[], front, rndrkit, api)).await
    else {
        return;
    };
    let claimed = format!("X-Rk-Authz-Secret: {SECRET}");
    let answer = world.get(&[&world.key_line(), &claimed]).await;
    answer.assert_problem("Caddy has no secret, whatever its client says", 403, "caller_not_allowed");
    drop(world);
    let on = [(
        "#header_up X-Rk-Authz-Secret {$RNDRKIT_AUTHZ_SECRET}",
        "header_up X-Rk-Authz-Secret sixteen-or-more-characters",
    )];
    let Some(world) = World::start(&settings, |front, rndrkit, api| caddy(&on, front, rndrkit, api)).await
    else {
        return;
    };
    let answer = world.get(&[&world.key_line()]).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    assert!(world::reached(&answer, "x-rk-authz-secret").is_empty());
}
