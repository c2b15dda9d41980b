//! nginx from Debian with `docs/integrations/nginx.conf`.

use std::net::SocketAddr;

use crate::proxy::{Proxy, document};
use crate::world::{self, World};

/// What stands around the file on a machine that runs nginx already.
const AROUND: &str = "daemon off; master_process off; pid nginx.pid; error_log stderr info;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include rndrkit.conf;
}
";

fn nginx(
    substitutions: &[(&str, &str)],
    front: SocketAddr,
    rndrkit: SocketAddr,
    api: SocketAddr,
) -> Option<Proxy> {
    let (listen, rndrkit, api) = (format!("listen {front};"), rndrkit.to_string(), api.to_string());
    let mut all =
        vec![("listen 80;", listen.as_str()), ("127.0.0.1:8081", &rndrkit), ("127.0.0.1:3000", &api)];
    all.extend(substitutions);
    let files = [("nginx.conf", AROUND.to_owned()), ("rndrkit.conf", document("nginx.conf", &all))];
    Proxy::start("nginx", &["-p", ".", "-c", "nginx.conf", "-e", "stderr"], &files, front)
}

async fn start() -> Option<World> {
    World::start(&[], |front, rndrkit, api| nginx(&[], front, rndrkit, api)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_passes_on_a_good_key_as_its_account_and_nothing_forged() {
    let Some(world) = start().await else { return };
    world::a_good_key_arrives_as_its_account(&world).await;
    world::only_the_key_is_taken_out(&world).await;
    world::identity_cannot_be_forged(&world).await;
    world::a_websocket_passes_with_a_key_and_not_without(&world).await;
    world::the_endpoint_is_not_reachable_through_the_proxy(&world, "/_rk/authz", 404).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_gives_every_refusal_its_own_status_and_words() {
    let Some(world) = start().await else { return };
    let many = vec!["X-Many: 1"; 97];
    let refused = world.get(&many).await;
    refused.assert_problem("too many headers", 431, "headers_too_large");
    assert!(refused.header("retry-after").is_none(), "{refused:?}");
    world::refusals_keep_their_status_and_words(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_answers_503_while_nobody_can_decide() {
    let Some(mut world) = start().await else { return };
    world::without_rndrkit_it_is_503(&mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_asks_about_a_large_upload_and_leaves_the_apis_own_refusals_alone() {
    let Some(world) = start().await else { return };
    let answer = world.ask("PUT /v1/file", &[&world.key_line()], &vec![b'x'; 3 << 20]).await;
    assert_eq!((answer.status, answer.json()["body_bytes"].as_u64()), (200, Some(3 << 20)));
    let answer = world.ask("GET /refuses", &[&world.key_line()], b"").await;
    assert_eq!(answer.status, 401);
    assert!(answer.json()["request"].is_string(), "the API's own 401 is passed on: {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_lets_a_preflight_through_as_nobody_where_that_is_switched_on() {
    let preflight = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    let Some(world) = start().await else { return };
    world.ask("OPTIONS /v1/things", &preflight, b"").await.assert_problem("a preflight", 401, "missing_key");
    drop(world);
    let on = ("#if ($rk_is_preflight)", "if ($rk_is_preflight)");
    let Some(world) = World::start(&[], |front, rndrkit, api| nginx(&[on], front, rndrkit, api)).await else {
        return;
    };
    let mut forged = preflight.to_vec();
    forged.push("X-Rk-Account-Id: forged");
    let answer = world.ask("OPTIONS /v1/things", &forged, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    assert!(world::reached(&answer, "x-rk-account-id").is_empty());
    world.ask("OPTIONS /v1/things", &preflight[..1], b"").await.assert_problem(
        "no preflight",
        401,
        "missing_key",
    );
    world.ask("POST /v1/things", &preflight, b"x").await.assert_problem("a request", 401, "missing_key");
    let nonsense = [preflight[0], preflight[1], "X-Api-Key: nonsense"];
    world.ask("OPTIONS /v1/things", &nonsense, b"").await.assert_problem("a bad key", 401, "invalid_key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_sends_the_shared_secret_and_answers_503_where_it_may_not_ask() {
    const SECRET: &str = "sixteen-or-more-characters";
    let settings = [("RNDRKIT_AUTHZ_SECRET", SECRET)];
    let Some(world) = World::start(&settings, |front, rndrkit, api| nginx(&[], front, rndrkit, api)).await
    else {
        return;
    };
    let claimed = format!("X-Rk-Authz-Secret: {SECRET}");
    let answer = world.get(&[&world.key_line(), &claimed]).await;
    answer.assert_problem("nginx has no secret, whatever its client says", 503, "unavailable");
    drop(world);
    let asks = |front, rndrkit, api| {
        let with =
            format!("proxy_set_header X-Rk-Authz-Secret \"{SECRET}\";\n        proxy_set_header Cookie");
        let without = "proxy_set_header X-Rk-Authz-Secret \"\";\n        proxy_set_header Cookie";
        nginx(&[(without, &with)], front, rndrkit, api)
    };
    let Some(world) = World::start(&settings, asks).await else { return };
    let answer = world.get(&[&world.key_line()]).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.log());
    assert!(world::reached(&answer, "x-rk-authz-secret").is_empty());
}
