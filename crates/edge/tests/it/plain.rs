//! Exchanges with an end of their own, whose key ends first: they may finish soon, and are cut after that.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_edge::{Limits, Route};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use crate::upstream::{Script, Upstream};
use crate::wire::{PATIENCE, Reader, connect, request};
use crate::world::{TestKey, World};

/// Far more than any test sends: these bodies are never complete unless a test says so.
const LARGE: &str = "Content-Length: 1000000000";

async fn world(upstream: &Upstream, plain_grace: Duration) -> World {
    let routes = vec![Route::new("/api/", upstream.uri())];
    World::with(|options| {
        options.routes = routes;
        options.limits = Limits { plain_grace, ..Limits::default() };
    })
    .await
}

/// A grace that a test waits for.
const SHORT: Duration = Duration::from_millis(300);
/// A grace that no test waits for.
const AMPLE: Duration = Duration::from_secs(600);
/// Longer than an exchange may wait unwatched.
const WATCHED_BY_THEN: Duration = Duration::from_millis(1_500);

/// An upstream that answers with four bytes, one per permit.
async fn dripping() -> (Upstream, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let for_upstream = permits.clone();
    let upstream = Upstream::scripted(move |_| {
        let permits = for_upstream.clone();
        Script::take(|mut reader| async move {
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
            for _ in 0..4 {
                permits.acquire().await.unwrap().forget();
                reader.send("x").await;
            }
        })
    })
    .await;
    (upstream, permits)
}

/// An upstream that writes `answer` at once, then reads and says when the gateway has let go.
async fn swallowing(answer: &'static str) -> (Upstream, mpsc::Receiver<()>, mpsc::Receiver<()>) {
    let (begun, has_begun) = mpsc::channel(1);
    let (gone, is_gone) = mpsc::channel(1);
    let upstream = Upstream::scripted(move |_| {
        let (begun, gone) = (begun.clone(), gone.clone());
        Script::take(move |mut reader| async move {
            reader.send(answer).await;
            begun.send(()).await.unwrap();
            reader.read_to_end().await;
            gone.send(()).await.unwrap();
        })
    })
    .await;
    (upstream, has_begun, is_gone)
}

async fn heard(word: &mut mpsc::Receiver<()>) {
    tokio::time::timeout(PATIENCE, word.recv()).await.expect("in time").unwrap();
}

async fn begin(world: &World, key: &TestKey) -> Reader<TcpStream> {
    let mut client = connect(world.public).await;
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    assert_eq!(client.head().await.status(), 200);
    client
}

#[tokio::test]
async fn an_answer_of_known_length_is_cut_after_the_grace_and_that_of_another_key_goes_on() {
    let (upstream, permits) = dripping().await;
    let world = world(&upstream, SHORT).await;
    let ended = world.key();
    let mut doomed = begin(&world, &ended).await;
    let mut other = begin(&world, &world.key_of(ended.account)).await;
    world.revoke(&ended);
    assert_eq!(doomed.read_to_end().await, b"", "closed before the body was complete");
    // The doomed one's upstream may take permits before it notices.
    permits.add_permits(8);
    assert_eq!(other.exactly(4).await, b"xxxx");
}

#[tokio::test]
async fn an_answer_that_is_complete_within_the_grace_arrives_whole() {
    let (upstream, permits) = dripping().await;
    let world = world(&upstream, AMPLE).await;
    let key = world.key();
    let mut client = begin(&world, &key).await;
    permits.add_permits(1);
    assert_eq!(client.exactly(1).await, b"x");
    world.revoke(&key);
    // Long enough that a cut at once would have happened.
    tokio::time::sleep(WATCHED_BY_THEN).await;
    permits.add_permits(3);
    assert_eq!(client.exactly(3).await, b"xxx");
}

#[tokio::test]
async fn a_refusal_that_is_taken_back_within_the_grace_costs_nothing() {
    let (upstream, permits) = dripping().await;
    let world = world(&upstream, Duration::from_secs(1)).await;
    let key = world.key();
    let mut client = begin(&world, &key).await;
    tokio::time::sleep(WATCHED_BY_THEN).await;
    world.suspend(&key);
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.change(&key, |facts| facts.account.status = AccountStatus::Active);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    permits.add_permits(1);
    assert_eq!(client.exactly(1).await, b"x");
    world.revoke(&key);
    assert!(client.is_closed().await, "it is still watched");
}

#[tokio::test]
async fn a_reader_that_has_stopped_reading_an_answer_of_known_length_is_cut_too() {
    let (gone, mut is_gone) = mpsc::channel(1);
    let upstream = Upstream::scripted(move |_| {
        let gone = gone.clone();
        Script::take(|mut reader| async move {
            reader.send(format!("HTTP/1.1 200 OK\r\n{LARGE}\r\n\r\n")).await;
            let piece = vec![b'x'; 0x10000];
            while reader.stream.write_all(&piece).await.is_ok() {}
            gone.send(()).await.unwrap();
        })
    })
    .await;
    let world = world(&upstream, SHORT).await;
    let key = world.key();
    let mut client = begin(&world, &key).await;
    client.exactly(1).await;
    world.revoke(&key);
    heard(&mut is_gone).await;
}

#[tokio::test]
async fn an_upload_of_known_length_is_cut_after_the_grace() {
    let (upstream, mut has_begun, mut is_gone) = swallowing("").await;
    let world = world(&upstream, SHORT).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&key.line(), LARGE], "")).await;
    client.send("first").await;
    heard(&mut has_begun).await;
    world.revoke(&key);
    // It never pauses for long, so only the key can end it.
    let (reading, mut writing) = client.stream.into_split();
    let feeding = tokio::spawn(async move {
        while writing.write_all(b"more").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    heard(&mut is_gone).await;
    tokio::time::timeout(PATIENCE, feeding).await.expect("the caller notices").unwrap();
    drop(reading);
}

#[tokio::test]
async fn an_upload_that_was_answered_early_is_cut_too() {
    let (upstream, _has_begun, mut is_gone) =
        swallowing("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let world = world(&upstream, SHORT).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&key.line(), LARGE], "")).await;
    client.send("first").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.exactly(2).await, b"ok");
    world.revoke(&key);
    heard(&mut is_gone).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_is_cut_after_the_grace() {
    let (upstream, mut has_begun, mut is_gone) = swallowing("").await;
    let world = world(&upstream, SHORT).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    heard(&mut has_begun).await;
    world.revoke(&key);
    assert!(client.is_closed().await, "nothing was answered");
    heard(&mut is_gone).await;
}

#[tokio::test]
async fn a_plain_wait_that_becomes_a_stream_has_no_grace_left() {
    let go = Arc::new(Semaphore::new(0));
    let for_upstream = go.clone();
    let upstream = Upstream::scripted(move |_| {
        let go = for_upstream.clone();
        Script::take(|mut reader| async move {
            go.acquire().await.unwrap().forget();
            reader.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            reader.read_to_end().await;
        })
    })
    .await;
    let world = world(&upstream, AMPLE).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    tokio::time::sleep(WATCHED_BY_THEN).await;
    world.revoke(&key);
    go.add_permits(1);
    let seen = String::from_utf8(client.read_to_end().await).unwrap();
    assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 200"), "{seen}");
}
