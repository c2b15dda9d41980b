//! `WebSocket`s and other upgraded connections, with the handshake written by hand.

use std::time::Duration;

use rndrkit_domain::time::{Clock, Timestamp};
use rndrkit_edge::{KeyRule, Limits, Route};
use tokio::net::TcpStream;

use crate::upstream::{Script, Upstream};
use crate::wire::{Message, Reader, ask, connect, request};
use crate::world::World;

const HANDSHAKE: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// Accepts upgrades, and sends every byte back.
async fn echo() -> Upstream {
    Upstream::scripted(|message| {
        if message.header("upgrade").is_none() {
            return Script::ok("no upgrade");
        }
        Script::take(|mut reader| async move {
            reader
                .send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Rk-Plan: forged\r\n\r\n",
                )
                .await;
            let (mut read, mut write) = reader.stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
    })
    .await
}

async fn open(world: &World, line: &str) -> (Reader<TcpStream>, Message) {
    let mut client = connect(world.public).await;
    let mut lines = vec![line];
    lines.extend(HANDSHAKE);
    client.send(request("GET /api/socket", &lines, "")).await;
    let head = client.head().await;
    (client, head)
}

#[tokio::test]
async fn a_websocket_is_judged_once_and_then_carries_bytes_both_ways() {
    let upstream = echo().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let (mut client, head) = open(&world, &key.line()).await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("connection"), Some("upgrade"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("x-rk-plan"), None);
    for text in ["one", "two, and \u{0} whatever"] {
        client.send(text).await;
        assert_eq!(client.exactly(text.len()).await, text.as_bytes());
    }
    let seen = upstream.only();
    assert_eq!(seen.header("x-rk-key-id"), Some(key.id.to_string().as_str()));
    assert_eq!(seen.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(seen.header("x-api-key"), None);
}

#[tokio::test]
async fn a_websocket_without_a_good_key_is_refused_in_plain_http() {
    let upstream = echo().await;
    let world = World::over(&upstream).await;
    let (_, head) = open(&world, "X-Api-Key: bad").await;
    assert_eq!(head.status(), 401);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_revoked_key_loses_its_websocket_and_another_keeps_its_own() {
    let upstream = echo().await;
    let world = World::over(&upstream).await;
    let (ended, kept) = (world.key(), world.key());
    let (mut doomed, _) = open(&world, &ended.line()).await;
    let (mut other, _) = open(&world, &kept.line()).await;
    doomed.send("before").await;
    assert_eq!(doomed.exactly(6).await, b"before");
    world.revoke(&ended);
    assert!(doomed.is_closed().await);
    other.send("after").await;
    assert_eq!(other.exactly(5).await, b"after");
}

#[tokio::test]
async fn an_old_secret_that_is_ended_loses_its_websocket_and_the_new_one_keeps_its_own() {
    let upstream = echo().await;
    let world = World::over(&upstream).await;
    let old = world.key();
    let new = world.other_secret_of(&old);
    let (mut doomed, _) = open(&world, &old.line()).await;
    let (mut other, _) = open(&world, &new.line()).await;
    // As a rotation writes it: the old one works a little longer. The change alone cuts nobody.
    let later = world.clock.now().plus(Duration::from_secs(3_600));
    world.change(&old, |facts| facts.ends_at = Some(later));
    doomed.send("before").await;
    assert_eq!(doomed.exactly(6).await, b"before");
    // And as *End now* writes it.
    world.change(&old, |facts| facts.ends_at = Some(Timestamp::from_unix_ms(0)));
    assert!(doomed.is_closed().await);
    other.send("after").await;
    assert_eq!(other.exactly(5).await, b"after");
}

#[tokio::test]
async fn both_ends_learn_when_the_other_hangs_up() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n")
                .await;
            assert_eq!(reader.until("\n").await, "quit\n");
            reader.send("bye\n").await;
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let (mut client, head) = open(&world, &world.key().line()).await;
    assert_eq!(head.header("upgrade"), Some("WebSocket"));
    client.send("quit\n").await;
    assert_eq!(client.until("\n").await, "bye\n");
    drop(client.stream.shutdown_write().await);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn no_upgrade_leads_to_a_protocol_whose_requests_would_pass_unjudged() {
    let upstream = echo().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.2"] {
        let lines = [
            &key.line(),
            "Connection: Upgrade, HTTP2-Settings",
            &format!("Upgrade: {protocol}"),
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        let answer = ask(world.public, "GET /api/x", &lines.map(|line: &str| line)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "no upgrade"), "{protocol}");
        assert_eq!(upstream.seen().last().unwrap().header("http2-settings"), None);
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_a_broken_upstream() {
    let upstream = Upstream::scripted(|_| {
        Script::Answer(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
        )
    })
    .await;
    let world = World::over(&upstream).await;
    let answer = ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_unreachable"));
}

#[tokio::test]
async fn an_upstream_may_decline_an_upgrade() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let (mut client, mut head) = open(&world, &key.line()).await;
    assert_eq!(head.status(), 200);
    client.body_of(&mut head, false).await;
    client.send(request("GET /api/next", &[&key.line()], "")).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_silent_websocket_is_ended_and_one_that_speaks_is_not() {
    let upstream = echo().await;
    let route = Route { key: KeyRule::None, ..Route::new("/api/", upstream.uri()) };
    let world = World::with(|options| {
        options.routes = vec![route];
        options.limits = Limits { stream_idle: Duration::from_millis(1_000), ..Limits::default() };
    })
    .await;
    let (mut client, head) = open(&world, "X-Nobody: asks").await;
    assert_eq!(head.status(), 101);
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send("x").await;
        client.exactly(1).await;
    }
    assert!(client.is_closed().await);
}

/// Closing one direction only.
trait ShutdownWrite {
    async fn shutdown_write(&mut self) -> std::io::Result<()>;
}

impl ShutdownWrite for TcpStream {
    async fn shutdown_write(&mut self) -> std::io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(self).await
    }
}
