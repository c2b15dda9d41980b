//! Upstreams that break the protocol: the caller gets one answer that is its own, or is told that there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::client::send;
use super::faulty::{After, Fault, Faulty};
use super::{Way, on_both_ways};
use crate::wire::{Message, ask, connect, request};
use crate::world::World;

/// One request to `/api/x`, answered like this; later ones are answered well.
async fn asked(way: Way, method: &str, bytes: impl AsRef<[u8]>, after: After) -> (Message, Faulty, World) {
    let bytes = bytes.as_ref().to_vec();
    let upstream = Faulty::start(move |request| match request.target() {
        "/api/x" => Fault::new(&bytes, after),
        _ => Fault::none(request),
    })
    .await;
    let world = super::impatient(way, upstream.uri()).await;
    let text =
        format!("{method} /api/x HTTP/1.1\r\nHost: a\r\n{}\r\nConnection: close\r\n\r\n", world.key().line());
    let mut heard = send(world.public, text).await;
    assert!(!heard.left_open && heard.answers.len() == 1, "{:?}", heard.answers);
    (heard.answers.remove(0), upstream, world)
}

/// The next requests get their own answers, whatever is left of the one before.
async fn goes_on(world: &World) {
    for number in 0..5 {
        let target = format!("/api/next/{number}");
        let answer = ask(world.public, &format!("GET {target}"), &[&world.key().line()]).await;
        assert_eq!((answer.status(), answer.text()), (200, target));
    }
}

async fn what_is_no_answer_is_502(way: Way) {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(1_000));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(2_000_000));
    let reason = format!("HTTP/1.1 200 {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(2_000_000));
    for bytes in [
        "",
        "just text, as before there were headers\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 600 Over\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 999 Far\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfour5",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nfour5",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        many.as_str(),
        large.as_str(),
        reason.as_str(),
    ] {
        for after in [After::Close, After::Keep] {
            // A silent upstream is another matter: it is waited for.
            let silent = bytes.is_empty() && matches!(after, After::Keep);
            let (answer, upstream, world) = asked(way, "GET", bytes, after).await;
            let shown = &bytes[..bytes.len().min(80)];
            let wanted = if silent { (504, "upstream_timeout") } else { (502, "upstream_unreachable") };
            assert_eq!((answer.status(), answer.code().as_str()), wanted, "{shown:?}");
            goes_on(&world).await;
            upstream.until_open(1).await;
        }
    }
}

async fn a_doubtful_framing_is_passed_on_in_one_reading_or_not_at_all_and_its_connection_is_not_used_again(
    way: Way,
) {
    for (head, body) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", "4\r\nfour\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", "4\r\nfour\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", "4\r\nfour\r\n0\r\n\r\n"),
        ("Transfer-Encoding: gzip, chunked", "4\r\nfour\r\n0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", "four"),
        ("Transfer-Encoding: chunked, identity", "four"),
        ("Transfer-Encoding: identity", "four"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "4\r\nfour\r\n0\r\n\r\n"),
    ] {
        let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}{poison}");
        let (answer, upstream, world) = asked(way, "GET", &bytes, After::Keep).await;
        assert!(matches!(answer.status(), 200 | 502 | 504), "{head}");
        let framings = answer.all("content-length").len() + answer.all("transfer-encoding").len();
        assert!(framings < 2, "{head}: {answer:?}");
        goes_on(&world).await;
        upstream.until_open(1).await;
    }
}

async fn what_follows_an_answer_is_never_the_answer_to_the_next_request(way: Way) {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 51\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 51\r\n\r\n",
    ] {
        for delay in [0, 30] {
            let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}", upstream.local_addr().unwrap()).parse().unwrap();
            tokio::spawn(async move {
                let mut first = true;
                while let Ok((stream, _)) = upstream.accept().await {
                    tokio::spawn(answering(stream, if first { answer } else { "" }, poison, delay));
                    first = false;
                }
            });
            let world = super::impatient(way, uri).await;
            let status = ask(world.public, "GET /api/x", &[&world.key().line()]).await.status();
            assert!(matches!(status, 200 | 204 | 304 | 502), "{answer:?}: {status}");
            // After it, and after what comes unasked.
            tokio::time::sleep(Duration::from_millis(3 * delay)).await;
            goes_on(&world).await;
        }
    }
}

/// Answers the first request with `first` and, after a while, with what nobody asked for; all others well.
async fn answering(stream: tokio::net::TcpStream, first: &str, unasked: &str, delay_ms: u64) {
    let mut reader = crate::wire::Reader::new(stream);
    let mut probe = [0_u8; 1];
    let mut first = Some(first).filter(|first| !first.is_empty());
    while matches!(reader.stream.peek(&mut probe).await, Ok(1)) {
        let message = reader.head().await;
        let target = message.target();
        let Some(first) = first.take() else {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            reader.send(text).await;
            continue;
        };
        if delay_ms == 0 {
            reader.send(format!("{first}{unasked}")).await;
        } else {
            reader.send(first).await;
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            reader.send(unasked).await;
        }
    }
}

async fn the_answer_to_a_head_has_a_length_and_no_body(way: Way) {
    for extra in ["", "body that must not be there"] {
        let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{extra}");
        let (answer, _upstream, world) = asked(way, "HEAD", bytes, After::Keep).await;
        assert_eq!((answer.status(), answer.header("content-length")), (200, Some("27")));
        assert!(answer.body.is_empty(), "{answer:?}");
        goes_on(&world).await;
    }
}

async fn interim_answers_are_passed_over_or_on_but_not_for_ever(way: Way) {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let bytes = format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter");
    let (answer, _upstream, world) = asked(way, "GET", bytes, After::Keep).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "after"));
    goes_on(&world).await;
    for flood in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"] {
        let (answer, upstream, world) = asked(way, "GET", "", After::Flood(flood)).await;
        assert!(matches!(answer.status(), 502 | 504), "{answer:?}");
        upstream.until_open(0).await;
        goes_on(&world).await;
    }
}

async fn an_answer_that_stops_anywhere_is_never_made_to_look_whole(way: Way) {
    for (bytes, chunked) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfo", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfourX", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nzz\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nfffffffffffffffff\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n", true),
    ] {
        for after in [After::Close, After::Reset, After::Hang] {
            let (answer, upstream, world) = asked(way, "GET", bytes, after).await;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let whole = if chunked { body.ends_with("0\r\n\r\n") } else { body.len() == 10 };
            assert!(answer.status() >= 500 || !whole, "{bytes:?}: {answer:?}");
            upstream.until_open(0).await;
            goes_on(&world).await;
        }
    }
}

async fn an_upstream_that_stops_before_the_end_of_its_head_is_502_or_504(way: Way) {
    for bytes in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        for (after, wanted) in [
            (After::Close, (502, "upstream_unreachable")),
            (After::Reset, (502, "upstream_unreachable")),
            (After::Hang, (504, "upstream_timeout")),
        ] {
            let (answer, upstream, world) = asked(way, "GET", bytes, after).await;
            assert_eq!((answer.status(), answer.code().as_str()), wanted, "{bytes:?}");
            upstream.until_open(0).await;
            goes_on(&world).await;
        }
    }
}

async fn an_answer_before_the_request_was_read_reaches_the_caller(way: Way) {
    for after in [After::Close, After::Hang] {
        let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";
        let upstream = Faulty::start(move |_| Fault { reads_body: false, ..Fault::new(early, after) }).await;
        let world = super::impatient(way, upstream.uri()).await;
        let mut client = connect(world.public).await;
        client.send(request("POST /api/x", &[&world.key().line(), "Content-Length: 1000000"], "")).await;
        client.send("first").await;
        let head = client.head().await;
        assert_eq!((head.status(), head.header("content-length")), (413, Some("3")));
        assert_eq!(client.exactly(3).await, b"big");
        assert!(client.is_closed().await, "the rest of the body is not read as requests");
        upstream.until_open(0).await;
    }
}

async fn a_connection_that_closes_at_the_moment_of_reuse_costs_no_safe_request_and_repeats_no_other(
    way: Way,
) {
    // Each connection answers one request and closes at once, so that the next may meet it closing.
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let upstream = Faulty::start(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        Fault { after: After::Close, ..Fault::none(request) }
    })
    .await;
    let world = super::impatient(way, upstream.uri()).await;
    for number in 0..100 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        let target = format!("/api/{number}");
        let answer = ask(world.public, &format!("{method} {target}"), &[&world.key().line()]).await;
        assert!(method == "POST" || answer.status() == 200, "{target}: {answer:?}");
        let times = upstream.targets().iter().filter(|seen| **seen == target).count();
        assert!(times == 1 || (times == 0 && method == "POST"), "{method} {target} arrived {times} times");
    }
    upstream.until_open(0).await;
}

async fn a_request_that_was_read_before_the_connection_broke_is_repeated_only_if_that_is_safe(way: Way) {
    for (method, most) in [("GET", 2), ("HEAD", 2), ("POST", 1), ("PUT", 2), ("DELETE", 2), ("PATCH", 1)] {
        let upstream = Faulty::start(|request| match request.target() {
            "/api/broken" => Fault::new("", After::Close),
            _ => Fault::none(request),
        })
        .await;
        let world = super::impatient(way, upstream.uri()).await;
        assert_eq!(ask(world.public, "GET /api/warm", &[&world.key().line()]).await.status(), 200);
        let key = world.key();
        let text = format!(
            "{method} /api/broken HTTP/1.1\r\nHost: a\r\n{}\r\nConnection: close\r\n\r\n",
            key.line()
        );
        let heard = send(world.public, text).await;
        assert_eq!(heard.statuses(), [502], "{method}");
        let left = heard.answers[0].header("ratelimit").unwrap();
        assert!(left.contains("r=19"), "sent twice or not, it is paid for once: {left}");
        let times = upstream.targets().iter().filter(|target| *target == "/api/broken").count();
        assert!(times >= 1 && times <= most, "{method}: {times}");
    }
}

async fn a_protocol_that_nobody_offered_is_a_broken_upstream(way: Way) {
    for (asked_for, given) in [(None, "websocket"), (Some("websocket"), "h2c"), (Some("websocket"), "other")]
    {
        let bytes =
            format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {given}\r\n\r\n");
        let upstream = Faulty::start(move |_| Fault::new(&bytes, After::Hang)).await;
        let world = super::impatient(way, upstream.uri()).await;
        let key = world.key().line();
        let upgrade = asked_for.map(|protocol| format!("Connection: Upgrade\r\nUpgrade: {protocol}"));
        let lines: Vec<&str> = std::iter::once(key.as_str()).chain(upgrade.as_deref()).collect();
        let mut client = connect(world.public).await;
        client.send(request("GET /api/x", &lines, "")).await;
        let status = client.head().await.status();
        assert_eq!(status, 502, "{asked_for:?} {given}");
        upstream.until_open(0).await;
    }
}

async fn an_answer_without_a_body_says_nothing_of_its_length(way: Way) {
    for lines in ["Content-Length: 51", "Transfer-Encoding: chunked"] {
        let bytes = format!("HTTP/1.1 204 No Content\r\n{lines}\r\n\r\n");
        let (answer, _upstream, world) = asked(way, "GET", bytes, After::Keep).await;
        assert_eq!((answer.status(), answer.header("transfer-encoding")), (204, None), "{lines}");
        assert!(matches!(answer.header("content-length"), None | Some("0")), "{lines}: {answer:?}");
        goes_on(&world).await;
    }
}

async fn trailers_carry_nothing_that_no_header_may(way: Way) {
    let trailers = "X-Sum: kept\r\nX-Rk-Plan: forged\r\nx_rk_plan: forged\r\nSet-Cookie: rk_session=forged\r\n\
                    Content-Length: 5\r\nTransfer-Encoding: forged\r\nConnection: forged\r\n";
    let names = "X-Sum, X-Rk-Plan, x_rk_plan, Set-Cookie, Content-Length, Transfer-Encoding, Connection";
    let bytes = format!(
        "HTTP/1.1 200 OK\r\nTrailer: {names}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n"
    );
    let upstream = Faulty::start(move |_| Fault::new(&bytes, After::Keep)).await;
    let world = super::impatient(way, upstream.uri()).await;
    let answer =
        ask(world.public, "GET /api/x", &[&world.key().line(), "Connection: te", "TE: trailers"]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "kept".to_owned())]);
}

on_both_ways! {
    an_answer_without_a_body_says_nothing_of_its_length,
    trailers_carry_nothing_that_no_header_may,
    a_protocol_that_nobody_offered_is_a_broken_upstream,
    what_is_no_answer_is_502,
    a_doubtful_framing_is_passed_on_in_one_reading_or_not_at_all_and_its_connection_is_not_used_again,
    what_follows_an_answer_is_never_the_answer_to_the_next_request,
    the_answer_to_a_head_has_a_length_and_no_body,
    interim_answers_are_passed_over_or_on_but_not_for_ever,
    an_answer_that_stops_anywhere_is_never_made_to_look_whole,
    an_upstream_that_stops_before_the_end_of_its_head_is_502_or_504,
    an_answer_before_the_request_was_read_reaches_the_caller,
    a_connection_that_closes_at_the_moment_of_reuse_costs_no_safe_request_and_repeats_no_other,
    a_request_that_was_read_before_the_connection_broke_is_repeated_only_if_that_is_safe,
}
