//! Heads, targets and pauses beyond every bound: each ends in a refusal or a closed connection, and takes no
//! upstream with it.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::client::send;
use super::faulty::{After, Fault, Faulty};
use super::recorder::Recorder;
use super::{Way, on_both_ways};
use crate::wire::{PATIENCE, Reader, connect, request};
use crate::world::World;

async fn trial(way: Way) -> (Recorder, World) {
    let upstream = Recorder::start().await;
    let world = super::impatient(way, upstream.uri()).await;
    (upstream, world)
}

/// A good request with this many lines in all, `Host`, the key and `Connection` among them.
fn with_lines(world: &World, count: usize) -> String {
    let fill = "X-Many: 1\r\n".repeat(count - 3);
    format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{}\r\nConnection: close\r\n{fill}\r\n", world.key().line())
}

async fn ninety_six_header_lines_pass_and_one_more_does_not(way: Way) {
    let (upstream, world) = trial(way).await;
    assert_eq!(send(world.public, with_lines(&world, 96)).await.statuses(), [200]);
    upstream.forget();
    for count in [97, 100, 101, 1_000, 100_000] {
        let heard = send(world.public, with_lines(&world, count)).await;
        assert_eq!(heard.statuses(), [431], "{count}");
        assert_eq!(upstream.bytes(), "", "{count}");
    }
}

async fn a_head_of_a_megabyte_in_one_line_or_in_few_is_refused_before_it_is_read(way: Way) {
    let (upstream, world) = trial(way).await;
    let key = world.key().line();
    let megabyte = "x".repeat(1_000_000);
    for head in [
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\nX-Large: {megabyte}\r\n\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n{megabyte}: 1\r\n\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: {megabyte}\r\n{key}\r\n\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {megabyte}\r\n\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {megabyte}\r\n\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\nCookie: {}\r\n\r\n", "rk_a=1;".repeat(150_000)),
        format!("GET /api/{megabyte} HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n"),
        format!("GET /api/x?{megabyte} HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n"),
        format!("GET http://{megabyte}/api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n"),
        format!("{megabyte} /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n"),
        format!("GET /api/x HTTP/1.1{megabyte}\r\nHost: a\r\n{key}\r\n\r\n"),
        megabyte.clone(),
        "\r\n".repeat(500_000),
    ] {
        let heard = send(world.public, &head).await;
        let shown = &head[..60];
        assert!(!heard.left_open && heard.answers.len() < 2, "{shown:?}");
        assert!(heard.statuses().iter().all(|status| matches!(status, 400 | 408 | 414 | 431)), "{shown:?}");
        assert_eq!(upstream.bytes(), "", "{shown:?}");
    }
    let heard = send(world.public, with_lines(&world, 3)).await;
    assert_eq!(heard.statuses(), [200], "others are served");
}

async fn long_paths_and_keys_are_judged_like_short_ones(way: Way) {
    let (upstream, world) = trial(way).await;
    let key = world.key().line();
    let path = format!("/api/{}", "a%2Fb/".repeat(1_000));
    let heard =
        send(world.public, format!("GET {path} HTTP/1.1\r\nHost: a\r\n{key}\r\nConnection: close\r\n\r\n"))
            .await;
    assert_eq!((heard.statuses(), upstream.targets()), (vec![200], vec![path]));
    for text in ["x".repeat(20_000), format!("rk_live_{}", "x".repeat(20_000)), "\u{e9}".repeat(100)] {
        let bytes =
            format!("GET /api/x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {text}\r\nConnection: close\r\n\r\n");
        let heard = send(world.public, bytes).await;
        assert_eq!(heard.statuses(), [401]);
        assert!(!heard.answers[0].text().contains(&text[..20]), "it is not repeated");
    }
}

/// Sends these bytes one at a time with a pause between, until the other side has had enough.
async fn trickled(world: &World, first: &str, then: &'static str) -> Vec<u8> {
    let mut client = connect(world.public).await;
    client.send(first).await;
    let (read, mut write) = client.stream.into_split();
    let feeding = tokio::spawn(async move {
        for byte in then.bytes().cycle() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let mut received = Vec::new();
    let mut read = read;
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut received);
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "still open: {received:?}");
    feeding.abort();
    received
}

async fn a_head_that_comes_a_byte_at_a_time_is_not_waited_for(way: Way) {
    let (upstream, world) = trial(way).await;
    let key = world.key().line();
    for first in [
        String::new(),
        "GET /api/".to_owned(),
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\nGET /api/"),
    ] {
        let received = String::from_utf8(trickled(&world, &first, "X-Slow: 1\r\n").await).unwrap();
        assert_eq!(
            received.matches("HTTP/1.1 200").count(),
            usize::from(first.contains("\r\n\r\n")),
            "{received}"
        );
    }
    assert!(upstream.targets().len() == 1, "only what was whole");
}

async fn a_body_that_stops_is_not_waited_for_and_neither_is_the_upstream_kept_waiting(way: Way) {
    for lines in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        for body in ["", "5\r\nhello\r\n", "5\r\nhe"] {
            let upstream = Faulty::start(Fault::none).await;
            let world = super::impatient(way, upstream.uri()).await;
            let text =
                format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{}\r\n{lines}\r\n\r\n{body}", world.key().line());
            let heard = send(world.public, text).await;
            assert!(!heard.left_open, "{lines} {body:?}");
            assert_eq!(heard.statuses(), [400], "{lines} {body:?}");
            assert_eq!(heard.answers[0].code(), "invalid_request");
            upstream.until_open(0).await;
        }
    }
}

async fn a_client_that_stops_reading_is_let_go_and_its_upstream_too(way: Way) {
    let body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    // Not of the smallest chunks: the sockets on the way hold megabytes before anybody stalls.
    let flood = After::Flood("40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n");
    let upstream = Faulty::start(move |_| Fault::new(body, flood)).await;
    let world = super::impatient(way, upstream.uri()).await;
    let mut client: Reader<_> = connect(world.public).await;
    client.send(request("GET /api/x", &[&world.key().line()], "")).await;
    assert_eq!(client.head().await.status(), 200);
    // It reads nothing more, and stays.
    upstream.until_open(0).await;
    drop(client);
}

/// Far more than the sockets of two hops hold, and far less than a flood sends in the time.
const HELD_ON_THE_WAY: usize = 64 * 1024 * 1024;

/// Waits until a count stands still, and returns it.
async fn standing(count: impl Fn() -> usize) -> usize {
    let mut before = usize::MAX;
    while before != count() {
        before = count();
        assert!(before < HELD_ON_THE_WAY, "{before} bytes went in, and none came out");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    before
}

async fn an_answer_waits_at_the_upstream_while_nobody_reads_it(way: Way) {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let flood = After::Flood("10\r\n0123456789abcdef\r\n");
    let upstream = Faulty::start(move |_| Fault::new(head, flood)).await;
    let world = super::world(way, upstream.uri()).await;
    let mut client = connect(world.public).await;
    client.send(request("GET /api/x", &[&world.key().line()], "")).await;
    assert_eq!(client.head().await.status(), 200);
    let waiting = standing(|| upstream.flooded()).await;
    client.exactly(waiting).await;
    assert!(standing(|| upstream.flooded()).await > waiting, "it goes on when it is read");
}

async fn a_body_waits_at_the_caller_while_the_upstream_does_not_read_it(way: Way) {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", upstream.local_addr().unwrap()).parse().unwrap();
    let world = super::world(way, uri).await;
    let mut client = connect(world.public).await;
    let head = ["Transfer-Encoding: chunked", "X-Large: yes"];
    client.send(request("POST /api/x", &[&world.key().line(), head[0], head[1]], "")).await;
    let (_accepted, _) = upstream.accept().await.unwrap();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let (_read, mut write) = client.stream.into_split();
    let feeding = tokio::spawn(async move {
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while write.write_all(chunk.as_bytes()).await.is_ok() {
            count.fetch_add(chunk.len(), std::sync::atomic::Ordering::SeqCst);
        }
    });
    standing(|| sent.load(std::sync::atomic::Ordering::SeqCst)).await;
    feeding.abort();
}

on_both_ways! {
    an_answer_waits_at_the_upstream_while_nobody_reads_it,
    a_body_waits_at_the_caller_while_the_upstream_does_not_read_it,
    ninety_six_header_lines_pass_and_one_more_does_not,
    a_head_of_a_megabyte_in_one_line_or_in_few_is_refused_before_it_is_read,
    long_paths_and_keys_are_judged_like_short_ones,
    a_head_that_comes_a_byte_at_a_time_is_not_waited_for,
    a_body_that_stops_is_not_waited_for_and_neither_is_the_upstream_kept_waiting,
    a_client_that_stops_reading_is_let_go_and_its_upstream_too,
}
