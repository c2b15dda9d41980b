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
async fn a_request_with_two_framings_is_one_request_and_the_last_of_its_connection() {
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
        let answers = raw(&world, &bytes).await;
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
        let seen = upstream.only();
        assert_eq!((seen.target(), seen.text().as_str()), ("/api/x", "hello"));
        assert_eq!(seen.header("content-length"), None);
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    }
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
async fn bare_line_feeds_do_not_travel_on() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key().line();
    let bytes = format!("GET /api/x HTTP/1.1\nHost: a\n{key}\nX-Next: one\nConnection: close\n\n");
    let answers = raw(&world, &bytes).await;
    // The upstream reads strictly by CR LF: it would not see these headers if they had travelled as they are.
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    assert_eq!(upstream.only().header("x-next"), Some("one"));
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
