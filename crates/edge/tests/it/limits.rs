//! What one caller may take: connections of an address, and bytes of a body.

use http::{Method, Request};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rndrkit_edge::{EdgeOptions, Limits, Route};
use tokio::net::TcpStream;

use crate::upstream::{Script, Upstream};
use crate::wire::{PATIENCE, connect, request};
use crate::world::World;

async fn world(upstream: &Upstream, limits: Limits, change: impl FnOnce(&mut EdgeOptions)) -> World {
    let routes = vec![Route::new("/api/", upstream.uri())];
    World::with(|options| {
        options.routes = routes;
        options.limits = limits;
        change(options);
    })
    .await
}

#[tokio::test]
async fn an_address_that_has_its_share_of_connections_is_turned_away_until_one_ends() {
    let upstream = Upstream::simple().await;
    let limits = Limits { max_connections_per_address: 2, ..Limits::default() };
    let world = world(&upstream, limits, |_| {}).await;
    let key = world.key();
    let mut held = [connect(world.public).await, connect(world.public).await];
    for client in &mut held {
        client.send(request("GET /api/x", &[&key.line()], "")).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    assert!(connect(world.public).await.is_closed().await);
    assert!(!connect(world.gateway).await.is_closed_already().await, "each listener counts for itself");
    drop(held);
    let again = async {
        loop {
            let mut client = connect(world.public).await;
            if !client.is_closed_already().await {
                return client;
            }
        }
    };
    let mut client = tokio::time::timeout(PATIENCE, again).await.expect("there is room again");
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_trusted_proxy_may_have_any_number_of_connections() {
    let upstream = Upstream::simple().await;
    let limits = Limits { max_connections_per_address: 1, ..Limits::default() };
    let world = world(&upstream, limits, |options| {
        options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let key = world.key();
    let mut held = [connect(world.public).await, connect(world.public).await, connect(world.public).await];
    for client in &mut held {
        client.send(request("GET /api/x", &[&key.line()], "")).await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

fn small() -> Limits {
    Limits { max_body_bytes: 10, ..Limits::default() }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_read() {
    let upstream = Upstream::simple().await;
    let world = world(&upstream, small(), |_| {}).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&key.line()], "0123456789")).await;
    assert_eq!(client.answer().await.status(), 200);
    client
        .send(request("POST /api/x", &[&key.line(), "Content-Length: 11", "Expect: 100-continue"], ""))
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "payload_too_large"));
    assert!(client.is_closed().await);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_when_it_is_too_large() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader.read_to_end().await;
        })
    })
    .await;
    let world = world(&upstream, small(), |_| {}).await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&world.key().line(), "Transfer-Encoding: chunked"], "")).await;
    client.send("6\r\nsix...\r\n6\r\nsix...\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "payload_too_large"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn bodies_over_http_2_have_the_same_bound() {
    let upstream = Upstream::simple().await;
    let world = world(&upstream, small(), |_| {}).await;
    let key = world.key();
    let stream = TokioIo::new(TcpStream::connect(world.public).await.unwrap());
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for (body, status) in [("0123456789", 200), ("0123456789a", 413)] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("http://api.example.com/api/x")
            .header("x-api-key", &key.text)
            .body(Full::<bytes::Bytes>::from(body))
            .unwrap();
        assert_eq!(requests.send_request(request).await.unwrap().status(), status);
    }
}
