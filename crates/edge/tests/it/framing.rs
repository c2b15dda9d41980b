//! Requests that two servers might cut apart at different places: refused, or written anew in one reading.

use crate::upstream::Upstream;
use crate::wire::connect;
use crate::world::World;

/// Sends bytes as they are. What comes back, until the connection closes.
async fn raw(world: &World, bytes: &str) -> String {
    let mut client = connect(world.public).await;
    client.send(bytes).await;
    String::from_utf8(client.read_to_end().await).unwrap()
}

#[tokio::test]
async fn a_request_with_two_framings_is_refused_with_words_and_the_last_of_its_connection() {
    for (first, second) in [
        ("Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"),
        ("Transfer-Encoding: chunked\r\n", "Content-Length: 4\r\n"),
    ] {
        let upstream = Upstream::simple().await;
        let world = World::over(&upstream).await;
        let key = world.key().line();
        let smuggled = format!("GET /api/smuggled HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n");
        let bytes = format!(
            "POST /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n{first}{second}\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}"
        );
        let mut client = connect(world.public).await;
        client.send(bytes).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("x-rk-request-id").is_some());
        assert!(client.is_closed().await && upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn requests_before_a_bad_one_are_answered_first() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let good = format!("GET /api/good HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n");
    let bad = format!("GET /api/bad HTTP/1.1\nHost: a\n{key}\n\n");
    let mut client = connect(world.public).await;
    client.send(format!("{good}{good}{bad}{good}")).await;
    for status in [200, 200, 400] {
        assert_eq!(client.answer().await.status(), status);
    }
    assert!(client.is_closed().await);
    assert_eq!(upstream.seen().iter().filter(|seen| seen.target() == "/api/good").count(), 2);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_read_like_any_other() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let mut client = connect(world.public).await;
    for byte in format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\nContent-Length: 5\r\n\r\nhello").bytes()
    {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(upstream.only().text(), "hello");
}

#[tokio::test]
async fn nothing_that_a_caller_sends_is_taken_for_what_stands_in_for_a_refused_request() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let answer = raw(&world, "GET / HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_request_that_cannot_be_read_in_one_way_is_refused() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    for lines in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4, 5\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: -1\r\n",
        "X-Bare: one\nX-Next: two\r\n",
        "Content-Length : 4\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X-Folded: one\r\n two\r\n",
        "X-Bare: one\rtwo\r\n",
        "X-Nul: one\0two\r\n",
        ": no name\r\n",
        "Bad Name: x\r\n",
        "Host: b\r\n",
    ] {
        let bytes = format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n");
        let answers = raw(&world, &bytes).await;
        assert!(answers.starts_with("HTTP/1.1 400 "), "{lines:?}: {answers}");
    }
    let old =
        format!("POST /api/x HTTP/1.0\r\nHost: a\r\n{key}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(raw(&world, &old).await.contains(" 400 "));
    let hostless = format!("GET /api/x HTTP/1.1\r\n{key}\r\n\r\n");
    assert!(raw(&world, &hostless).await.starts_with("HTTP/1.1 400 "));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_repeated_equal_length_is_one_length() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let bytes = format!(
        "POST /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\nContent-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    );
    assert!(raw(&world, &bytes).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(upstream.only().all("content-length"), ["5"]);
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_request_and_is_not_forwarded_as_whole() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    for chunks in
        ["zz\r\nhello\r\n0\r\n\r\n", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n"]
    {
        let bytes =
            format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{key}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let answers = raw(&world, &bytes).await;
        assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 400 "), "{answers}");
    }
    assert!(upstream.seen().is_empty(), "an upstream never has a whole request of these");
}

#[tokio::test]
async fn an_absolute_target_is_judged_by_its_path_and_names_the_host() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let bytes = format!(
        "GET http://named.example/api/x?q=1 HTTP/1.1\r\nHost: other\r\n{key}\r\nConnection: close\r\n\r\n"
    );
    assert!(raw(&world, &bytes).await.starts_with("HTTP/1.1 200 "));
    let seen = upstream.only();
    assert_eq!((seen.target(), seen.header("host")), ("/api/x?q=1", Some("named.example")));
}

#[tokio::test]
async fn pipelined_requests_are_each_judged() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let bytes = format!(
        "GET /api/a HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\nGET /api/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    let answers = raw(&world, &bytes).await;
    assert_eq!((answers.matches("HTTP/1.1 200").count(), answers.matches("HTTP/1.1 401").count()), (1, 1));
    assert_eq!(upstream.only().target(), "/api/a");
}
