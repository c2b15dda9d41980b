//! Callers that go away, or are reset, at every point of an exchange: nothing of it stays.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::faulty::{After, Fault, Faulty};
use super::{Way, on_both_ways};
use crate::wire::{Reader, connect, request};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const UPGRADE: [&str; 2] = ["Connection: Upgrade", "Upgrade: websocket"];

/// An upstream for all of these.
pub(super) async fn upstream() -> Faulty {
    Faulty::start(|request| match request.target() {
        "/api/silent" => Fault::new("", After::Hang),
        "/api/events" => Fault::new(EVENTS, After::Hang),
        "/api/flood" => Fault::new(EVENTS, After::Flood("4\r\nmore\r\n")),
        "/api/half" => Fault::new("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", After::Hang),
        "/api/early" => {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            Fault { reads_body: false, ..Fault::new(answer, After::Hang) }
        }
        "/api/socket" => Fault::new(SWITCHED, After::Hang),
        "/api/reset" => Fault::new("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", After::Reset),
        "/api/garbage" => Fault::new("garbage\r\n\r\n", After::Close),
        "/api/closed" => Fault::new("", After::Close),
        _ => Fault::none(request),
    })
    .await
}

/// How far a caller goes before it vanishes.
pub(super) const SCENES: [&str; 17] = [
    "HTTP/2 silent",
    "HTTP/2 events",
    "HTTP/2 flood",
    "connected",
    "half a head",
    "half a body",
    "half a chunk",
    "silent",
    "events",
    "flood",
    "half",
    "early",
    "socket",
    "reset",
    "garbage",
    "closed",
    "answered",
];

/// Goes so far on a new connection, with this key, and returns it as it then is.
pub(super) async fn go(scene: &str, address: SocketAddr, key: &str) -> Reader<TcpStream> {
    let mut client = connect(address).await;
    match scene {
        "connected" => {}
        "half a head" => client.send(format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n")).await,
        "half a body" => {
            client.send(request("POST /api/x", &[key, "Content-Length: 10"], "") + "half").await;
        }
        "half a chunk" => {
            client.send(request("POST /api/x", &[key, "Transfer-Encoding: chunked"], "") + "5\r\nhe").await;
        }
        other if other.starts_with("HTTP/2 ") => {
            let path = other.replace("HTTP/2 ", "/api/");
            client.send(super::frames::opening(&path, key.trim_start_matches("X-Api-Key: "))).await;
            // Its settings, and whatever else it says first.
            client.exactly(9).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        "early" => {
            client.send(request("POST /api/early", &[key, "Content-Length: 100000"], "") + "half").await;
            assert_eq!(client.head().await.status(), 200);
        }
        "socket" => {
            client.send(request("GET /api/socket", &[key, UPGRADE[0], UPGRADE[1]], "")).await;
            assert_eq!(client.head().await.status(), 101);
            client.send("hello").await;
        }
        other => {
            client.send(request(&format!("GET /api/{other}"), &[key], "")).await;
            match other {
                "silent" => tokio::time::sleep(Duration::from_millis(10)).await,
                "garbage" | "closed" => assert_eq!(client.head().await.status(), 502),
                _ => assert_eq!(client.head().await.status(), 200),
            }
        }
    }
    client
}

async fn an_upstream_is_let_go_when_its_caller_vanishes(way: Way) {
    for scene in SCENES {
        for reset in [false, true] {
            let upstream = upstream().await;
            // The product's own patience: nothing here may wait for a timeout of ours.
            let world = super::world(way, upstream.uri()).await;
            let client = go(scene, world.public, &world.key().line()).await;
            if reset {
                client.stream.set_zero_linger().unwrap();
            }
            drop(client);
            // One that was answered in full may be kept for the next request.
            upstream.until_open(usize::from(scene == "answered")).await;
        }
    }
}

on_both_ways! {
    an_upstream_is_let_go_when_its_caller_vanishes,
}
