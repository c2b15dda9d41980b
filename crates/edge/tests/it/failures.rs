//! Upstreams that are not there, too slow, or do not speak HTTP; and callers that stop in mid-request.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_edge::{Limits, Route};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::upstream::{Script, Upstream};
use crate::wire::{Message, Reader, ask, connect, request};
use crate::world::World;

async fn impatient(upstream: http::Uri) -> World {
    waiting(upstream, Duration::from_millis(300)).await
}

async fn waiting(upstream: http::Uri, longest: Duration) -> World {
    World::with(|options| {
        options.routes = vec![Route::new("/api/", upstream)];
        options.limits = Limits {
            response_timeout: longest,
            body_stall: longest,
            connect_timeout: longest,
            ..Limits::default()
        };
    })
    .await
}

async fn outcome(script: impl Fn(&Message) -> Script + Send + Sync + 'static) -> (u16, String) {
    let upstream = Upstream::scripted(script).await;
    let world = impatient(upstream.uri()).await;
    let answer = ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    assert_eq!(answer.header("ratelimit"), Some("\"account\";r=19;t=1"), "it was admitted");
    (answer.status(), answer.code())
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let world = impatient(uri).await;
    let answer = ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_unreachable"));
    assert!(!answer.text().contains("127.0.0.1"), "callers do not learn where the upstream is");
}

#[tokio::test]
async fn an_upstream_that_hangs_up_or_speaks_something_else_is_502() {
    let unreachable = (502, "upstream_unreachable".to_owned());
    assert_eq!(outcome(|_| Script::take(|_| async {})).await, unreachable);
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 999999 Odd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfour5",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    ] {
        assert_eq!(outcome(|_| Script::Answer(garbage.to_owned())).await, unreachable, "{garbage:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    let silent = |_: &Message| Script::take(|mut reader| async move { drop(reader.read_to_end().await) });
    assert_eq!(outcome(silent).await, (504, "upstream_timeout".to_owned()));
}

#[tokio::test]
async fn an_upstream_whose_handshake_never_ends_is_504() {
    // It accepts the connection, and never answers the TLS greeting.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let held = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    });
    let tls = crate::listeners::trusting(&crate::listeners::certificate());
    let world = World::with(|options| {
        options.routes = vec![Route::new("/api/", uri)];
        options.upstream_tls = Some(Arc::new(tls));
        options.limits = Limits { connect_timeout: Duration::from_millis(300), ..Limits::default() };
    })
    .await;
    let answer = ask(world.public, "GET /api/x", &[&world.key().line()]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (504, "upstream_timeout"));
    held.abort();
}

#[tokio::test]
async fn a_slow_upload_that_moves_is_waited_for_longer_than_a_silent_upstream() {
    let upstream = Upstream::simple().await;
    let world = waiting(upstream.uri(), Duration::from_secs(1)).await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&world.key().line(), "Content-Length: 10"], "")).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_caller_that_stops_in_mid_body_is_told_and_let_go() {
    let upstream = Upstream::simple().await;
    let world = impatient(upstream.uri()).await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&world.key().line(), "Content-Length: 10"], "")).await;
    client.send("half").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_caller_that_is_waited_for_is_never_taken_for_a_slow_upstream() {
    let upstream = Upstream::simple().await;
    let world = World::with(|options| {
        options.routes = vec![Route::new("/api/", upstream.uri())];
        let (response_timeout, body_stall) = (Duration::from_millis(50), Duration::from_secs(1));
        options.limits = Limits { response_timeout, body_stall, ..Limits::default() };
    })
    .await;
    let key = world.key();
    for status in [200, 400] {
        let mut client = connect(world.public).await;
        client.send(request("POST /api/x", &[&key.line(), "Content-Length: 8"], "")).await;
        client.send("half").await;
        if status == 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.send("half").await;
        }
        assert_eq!(client.answer().await.status(), status, "{status}");
    }
}

#[tokio::test]
async fn a_caller_that_sends_its_body_a_byte_now_and_then_is_let_go() {
    let upstream = Upstream::simple().await;
    let world = World::with(|options| {
        options.routes = vec![Route::new("/api/", upstream.uri())];
        options.limits = Limits { body_wait: Duration::from_millis(300), ..Limits::default() };
    })
    .await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&world.key().line(), "Content-Length: 100000"], "")).await;
    let (read, mut write) = client.stream.into_split();
    let trickle = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let answer = Reader::new(tokio::io::join(read, tokio::io::sink())).answer().await;
    assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"));
    trickle.abort();
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_to_look_whole() {
    for (head, piece) in [("Content-Length: 10", "four"), ("Transfer-Encoding: chunked", "4\r\nfour\r\n")] {
        let upstream = Upstream::scripted(move |_| {
            Script::take(move |mut reader| async move {
                reader.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{piece}")).await;
            })
        })
        .await;
        let world = impatient(upstream.uri()).await;
        let mut client = connect(world.public).await;
        client.send(request("GET /api/x", &[&world.key().line()], "")).await;
        assert_eq!(client.head().await.status(), 200);
        let rest = String::from_utf8(client.read_to_end().await).unwrap();
        assert!(rest.len() < 10 + piece.len() && !rest.ends_with("0\r\n\r\n"), "{rest:?}");
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_idle_is_not_used_again() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        })
    })
    .await;
    let world = impatient(upstream.uri()).await;
    let key = world.key();
    for _ in 0..5 {
        assert_eq!(ask(world.public, "GET /api/x", &[&key.line()]).await.status(), 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_twice() {
    let upstream = Upstream::scripted(|message| {
        if message.target() == "/api/first" { Script::ok("ok") } else { Script::take(|_| async {}) }
    })
    .await;
    let world = impatient(upstream.uri()).await;
    let key = world.key();
    assert_eq!(ask(world.public, "GET /api/first", &[&key.line()]).await.status(), 200);
    // On the same kept connection: the upstream reads the request and hangs up.
    assert_eq!(ask(world.public, "POST /api/second", &[&key.line()]).await.status(), 502);
    let second = upstream.seen().iter().filter(|seen| seen.target() == "/api/second").count();
    assert_eq!(second, 1);
}
