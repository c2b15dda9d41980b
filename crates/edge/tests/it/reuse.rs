//! Kept connections that an upstream closes at the moment of their reuse: what may be asked again, and what
//! may not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::upstream::{Script, Upstream};
use crate::wire::{Message, connect, request};
use crate::world::World;

/// Answers the first request, and every one after the first `deaths` that follow; those get `last_words`, and
/// then the connection closes.
async fn dying(deaths: usize, last_words: &'static str) -> Upstream {
    let count = Arc::new(AtomicUsize::new(0));
    Upstream::scripted(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        if (1..=deaths).contains(&number) {
            Script::take(move |mut reader| async move { reader.send(last_words).await })
        } else {
            Script::ok("alive")
        }
    })
    .await
}

/// Makes a connection that is kept, then asks once more. The answer's status, and what the upstream saw of
/// the second request.
async fn second(upstream: &Upstream, first_line: &str, body: &str) -> (u16, Vec<Message>) {
    let world = World::over(upstream).await;
    let key = world.key().line();
    let mut client = connect(world.public).await;
    client.send(request("GET /api/first", &[&key], "")).await;
    assert_eq!(client.answer().await.status(), 200);
    client.send(request(first_line, &[&key], body)).await;
    let status = client.answer().await.status();
    let seen = upstream.seen().into_iter().filter(|seen| seen.target() == "/api/second").collect();
    (status, seen)
}

#[tokio::test]
async fn what_may_be_done_twice_is_asked_again_when_a_kept_connection_dies() {
    for method in ["GET", "DELETE", "OPTIONS"] {
        let upstream = dying(1, "").await;
        let (status, seen) = second(&upstream, &format!("{method} /api/second"), "").await;
        assert_eq!((status, seen.len()), (200, 2), "{method}");
        assert_eq!(seen[0].lines, seen[1].lines, "the same request");
    }
}

#[tokio::test]
async fn what_may_not_be_done_twice_is_sent_once() {
    for (first_line, body) in [
        ("POST /api/second", ""),
        ("POST /api/second", "body"),
        ("PATCH /api/second", ""),
        ("PUT /api/second", "body"),
    ] {
        let upstream = dying(1, "").await;
        let (status, seen) = second(&upstream, first_line, body).await;
        assert_eq!((status, seen.len()), (502, 1), "{first_line} {body}");
    }
}

#[tokio::test]
async fn nothing_is_asked_again_once_an_answer_has_begun() {
    for last_words in ["H", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let upstream = dying(1, last_words).await;
        let (status, seen) = second(&upstream, "GET /api/second", "").await;
        assert_eq!((status, seen.len()), (502, 1), "{last_words:?}");
    }
}

#[tokio::test]
async fn it_is_asked_again_once_and_not_more_often() {
    let upstream = dying(2, "").await;
    let (status, seen) = second(&upstream, "GET /api/second", "").await;
    assert_eq!((status, seen.len()), (502, 2));
}

#[tokio::test]
async fn a_new_connection_that_dies_is_not_replaced() {
    let upstream = Upstream::scripted(|_| Script::take(|_| async {})).await;
    let world = World::over(&upstream).await;
    let answer = crate::wire::ask(world.public, "GET /api/second", &[&world.key().line()]).await;
    assert_eq!((answer.status(), upstream.seen().len()), (502, 1));
}

#[tokio::test]
async fn a_connection_that_says_more_than_it_was_asked_is_not_used_again() {
    let upstream = Upstream::scripted(|_| {
        Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged".to_owned())
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let mut client = connect(world.public).await;
    for _ in 0..3 {
        client.send(request("GET /api/x", &[&key], "")).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}
