//! Headers on their way through: forged identity, cookies, forwarding, and what concerns one hop only.

use crate::upstream::{Script, Upstream};
use crate::wire::ask;
use crate::world::World;

use rndrkit_edge::{HostRule, Route};

#[tokio::test]
async fn identity_cannot_be_forged_in_any_spelling() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let forged = [
        "X-Rk-Account-Id: acc_forged",
        "x-rk-account-id: acc_forged",
        "X_Rk_Account_Id: acc_forged",
        "X.Rk.Account.Id: acc_forged",
        "X-Rk_Key.Id: key_forged",
        "X~Rk~Account~Id: acc_forged",
        "X!Rk|Plan: enterprise",
        "X-RK-PLAN: enterprise",
        "X-Rk-Anything: else",
        "X-Rk-Request-Id: req_forged",
    ];
    let line = key.line();
    let mut lines = vec![line.as_str()];
    lines.extend(forged);
    assert_eq!(ask(world.public, "GET /api/x", &lines).await.status(), 200);
    let seen = upstream.only();
    assert_eq!(seen.header("x-rk-account-id"), Some(key.account.to_string().as_str()));
    assert_eq!(seen.header("x-rk-plan"), Some("agency"));
    let ours = ["x-rk-account-id", "x-rk-external-id", "x-rk-key-id", "x-rk-plan", "x-rk-request-id"];
    for (name, value) in &seen.lines {
        let folded = name.replace(['_', '.'], "-");
        assert!(!folded.starts_with("x-rk-") || ours.contains(&name.as_str()), "{name}: {value}");
        assert!(!value.contains("forged"), "{name}: {value}");
    }
}

#[tokio::test]
async fn naming_an_identity_header_in_connection_does_not_drop_it() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let lines = [
        &key.line(),
        "Connection: X-Rk-Key-Id, x-rk-plan, X-Forwarded-For, Host, X-Hop",
        "X-Hop: dropped",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: Basic dTpw",
        "Proxy-Connection: keep-alive",
    ];
    assert_eq!(ask(world.public, "GET /api/x", &lines).await.status(), 200);
    let seen = upstream.only();
    assert_eq!(seen.header("x-rk-key-id"), Some(key.id.to_string().as_str()));
    assert_eq!(seen.header("x-rk-plan"), Some("agency"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("host"), Some("api.example.com"));
    for gone in ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "connection"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn naming_the_framing_in_connection_does_not_lose_the_body() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = crate::wire::connect(world.public).await;
    let lines = [&key.line(), "Connection: Content-Length"];
    client.send(crate::wire::request("POST /api/x", &lines, "hello")).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(upstream.only().text(), "hello");
}

#[tokio::test]
async fn our_cookies_stay_here_and_the_upstreams_pass() {
    let upstream = Upstream::scripted(|_| {
        Script::Answer(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: sid=1; Path=/\r\nSet-Cookie: rk_session_local=evil\r\n\
             Set-Cookie: __Host-rk_session=evil; Secure; Path=/\r\nSet-Cookie: =rk_session=evil\r\nSet-Cookie: b=2\r\n\r\n"
                .to_owned(),
        )
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let lines = [&key.line(), "Cookie: a=1; rk_session_local=s3cret; __Host-rk_session=s3cret; b=2"];
    let answer = ask(world.public, "GET /api/x", &lines).await;
    assert_eq!(upstream.only().header("cookie"), Some("a=1; b=2"));
    assert_eq!(answer.all("set-cookie"), ["sid=1; Path=/", "b=2"]);
}

#[tokio::test]
async fn an_answer_cannot_carry_reserved_or_one_hop_headers() {
    let upstream = Upstream::scripted(|_| {
        Script::Answer(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Rk-Account-Id: acc_forged\r\nx_rk_plan: forged\r\n\
             X-Rk-Request-Id: req_forged\r\nConnection: X-Internal\r\nX-Internal: secret\r\nKeep-Alive: timeout=9\r\n\
             RateLimit: \"theirs\";r=1;t=1\r\nX-Kept: yes\r\n\r\n"
                .to_owned(),
        )
    })
    .await;
    let world = World::over(&upstream).await;
    let answer = ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    for gone in ["x-rk-account-id", "x_rk_plan", "x-internal", "keep-alive"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("x-kept"), Some("yes"));
    assert_eq!(answer.header("ratelimit"), Some("\"account\";r=19;t=1"));
    assert_ne!(answer.header("x-rk-request-id"), Some("req_forged"));
}

#[tokio::test]
async fn a_stranger_cannot_say_where_it_comes_from() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let lines = [
        &world.key().line(),
        "X-Forwarded-For: 203.0.113.9",
        "X_Forwarded_For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
        "X-Real-Ip: 203.0.113.9",
        "Forwarded: for=203.0.113.9;proto=https",
    ];
    ask(world.public, "GET /api/x", &lines).await;
    let seen = upstream.only();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("api.example.com"));
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;proto=http;host=\"api.example.com\""));
    for gone in ["x_forwarded_for", "x-forwarded-prefix", "x-real-ip"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let upstream = Upstream::simple().await;
    let routes = vec![Route::new("/api/", upstream.uri())];
    let world = World::with(|options| {
        options.routes = routes;
        options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let lines = [
        &world.key().line(),
        "X-Forwarded-For: 6.6.6.6, 2001:db8::7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: rndrkit.example",
        "X-Forwarded-Prefix: /shop",
    ];
    ask(world.public, "GET /api/x", &lines).await;
    let seen = upstream.only();
    assert_eq!(seen.header("x-forwarded-for"), Some("2001:db8::7"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("rndrkit.example"));
    assert_eq!(seen.header("x-forwarded-prefix"), Some("/shop"));
    let forwarded = "for=\"[2001:db8::7]\";proto=https;host=\"rndrkit.example\"";
    assert_eq!(seen.header("forwarded"), Some(forwarded));
}

#[tokio::test]
async fn the_host_is_the_callers_or_the_upstreams_as_the_route_says() {
    let upstream = Upstream::simple().await;
    let mut route = Route::new("/api/", upstream.uri());
    route.host = HostRule::Upstream;
    let world = World::with(|options| options.routes = vec![route]).await;
    ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    let seen = upstream.only();
    assert_eq!(seen.header("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(seen.header("x-forwarded-host"), Some("api.example.com"));
}
