//! HTTP/2 in frames that are put together by hand (RFC 9113): what no library would send.

use std::cell::RefCell;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::recorder::Recorder;
use super::{Way, on_both_ways};
use crate::wire::PATIENCE;
use crate::world::World;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was answered with 200.
    Good,
    /// It was answered otherwise.
    Refused,
    /// It was reset, or the connection was ended.
    Reset,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// One header as HPACK has it without its tables (RFC 7541, section 6.2.2), in exactly these bytes.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(length) if length < 127 => bytes.push(length),
            _ => {
                let mut rest = text.len() - 127;
                bytes.push(127);
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).unwrap());
            }
        }
        bytes.extend_from_slice(text);
    }
    bytes
}

fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    headers.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

/// A caller that has begun to speak HTTP/2.
struct Framed(TcpStream);

impl Framed {
    async fn begin(world: &World) -> Self {
        let mut stream = TcpStream::connect(world.public).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The other side may have ended the connection; what it said before that counts.
        let _ = self.0.write_all(bytes).await;
    }

    /// What becomes of a stream.
    async fn fate(&mut self, stream: u32) -> Fate {
        loop {
            let Some((kind, of, payload)) = self.next().await else { return Fate::Reset };
            match kind {
                GO_AWAY => return Fate::Reset,
                RESET if of == stream => return Fate::Reset,
                // An indexed `:status: 200`, maybe after changes of the table's size.
                HEADERS if of == stream => {
                    let first = payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                    return if first == Some(&0x88) { Fate::Good } else { Fate::Refused };
                }
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let reading = async {
            let mut head = [0_u8; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
        };
        timeout(PATIENCE, reading).await.expect("a frame or the end")
    }
}

/// A request without a body for this path, from the first byte of its connection.
pub(super) fn opening(path: &str, key: &str) -> Vec<u8> {
    let headers =
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path), ("x-api-key", key)];
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&headers)));
    bytes
}

struct Trial {
    upstream: Recorder,
    world: World,
    wrong: RefCell<Vec<String>>,
}

impl Drop for Trial {
    fn drop(&mut self) {
        let wrong = self.wrong.borrow();
        assert!(std::thread::panicking() || wrong.is_empty(), "\n{}", wrong.join("\n"));
    }
}

impl Trial {
    async fn begin(way: Way) -> Self {
        let upstream = Recorder::start().await;
        let world = super::world(way, upstream.uri()).await;
        Self { upstream, world, wrong: RefCell::default() }
    }

    /// A good request's headers, with a key of its own, then these.
    fn headers<'a>(key: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut all = vec![
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "a.example"),
            (":path", "/api/x"),
            ("x-api-key", key),
        ];
        all.extend(more);
        all
    }

    /// Sends one request with these headers and a body, and says what became of it.
    async fn send(&self, headers: &[(&str, &str)], body: &str) -> Fate {
        self.upstream.forget();
        let mut caller = Framed::begin(&self.world).await;
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(headers));
        bytes.extend(frame(DATA, END_STREAM, 1, body.as_bytes()));
        caller.send(&bytes).await;
        caller.fate(1).await
    }

    /// It is not passed on.
    async fn refused(&self, headers: &[(&str, &str)]) {
        let fate = self.send(headers, "hello").await;
        let seen = self.upstream.bytes();
        if fate == Fate::Good || !self.upstream.targets().is_empty() {
            self.wrong.borrow_mut().push(format!("{headers:?}: {fate:?} {seen:?}"));
        }
    }
}

async fn a_good_request_passes_as_one_of_http_1_1(way: Way) {
    let trial = Trial::begin(way).await;
    let key = trial.world.key().text;
    let more =
        [("te", "trailers"), ("cookie", "a=1"), ("cookie", "rk_session=s3cret"), ("x-rk-plan", "forged")];
    assert_eq!(trial.send(&Trial::headers(&key, &more), "hello").await, Fate::Good);
    let seen = trial.upstream.requests().remove(0);
    assert_eq!((seen.target(), seen.text().as_str()), ("/api/x", "hello"));
    assert_eq!((seen.header("host"), seen.header("cookie")), (Some("a.example"), Some("a=1")));
    assert_eq!((seen.header("x-rk-plan"), seen.header("x-api-key")), (Some("agency"), None));
}

async fn headers_of_one_connection_have_no_place_in_a_stream(way: Way) {
    let trial = Trial::begin(way).await;
    for more in [
        ("connection", "close"),
        ("connection", "x-rk-plan"),
        ("transfer-encoding", "chunked"),
        ("Transfer-Encoding", "chunked"),
        ("keep-alive", "1"),
        ("upgrade", "websocket"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        trial.refused(&Trial::headers(&trial.world.key().text, &[more])).await;
    }
}

async fn names_and_values_hold_nothing_that_means_something_in_http_1_1(way: Way) {
    let trial = Trial::begin(way).await;
    for more in [
        ("X-Upper", "1"),
        ("x upper", "1"),
        ("x:y", "1"),
        ("x\r\ny", "1"),
        ("x\0", "1"),
        ("", "1"),
        (":x", "1"),
        ("x", "1\r\nGET /api/smuggled HTTP/1.1"),
        ("x", "1\n2"),
        ("x", "1\r2"),
        ("x", "1\x002"),
        ("x: 1\r\nhost", "b"),
    ] {
        trial.refused(&Trial::headers(&trial.world.key().text, &[more])).await;
    }
}

async fn a_length_is_the_length_of_what_comes(way: Way) {
    let trial = Trial::begin(way).await;
    for length in ["4", "6", "0", "+5", "5, 5", "-1", "five", "", "99999999999999999999"] {
        trial.refused(&Trial::headers(&trial.world.key().text, &[("content-length", length)])).await;
    }
    let twice = [("content-length", "5"), ("content-length", "6")];
    trial.refused(&Trial::headers(&trial.world.key().text, &twice)).await;
}

async fn pseudo_headers_say_one_thing_once_and_first(way: Way) {
    let trial = Trial::begin(way).await;
    let key = trial.world.key().text;
    let changed = |name: &str, value: Option<&'static str>| -> Vec<(String, String)> {
        let all = Trial::headers(&key, &[]).into_iter();
        all.filter_map(|(header, old)| {
            let value = if header == name { value? } else { old };
            Some((header.to_owned(), value.to_owned()))
        })
        .collect()
    };
    for (name, value) in [
        (":method", None),
        (":path", None),
        (":scheme", None),
        (":method", Some("")),
        (":method", Some("GET /api/smuggled HTTP/1.1\r\nX:")),
        (":method", Some("CONNECT")),
        (":method", Some("TRACE")),
        (":path", Some("")),
        (":path", Some("api/x")),
        (":path", Some("/api/x HTTP/1.1\r\nX: 1")),
        (":path", Some("/api/x y")),
        (":path", Some("/api/../x")),
        (":path", Some("/api/%2e%2e/x")),
        (":authority", Some("")),
        (":authority", Some("a, b")),
        (":authority", Some("u@a")),
        (":authority", Some("a\r\nX: 1")),
        (":authority", Some("a/api/x?")),
    ] {
        let headers = changed(name, value);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        trial.refused(&headers).await;
    }
    for more in [
        (":path", "/api/other"),
        (":method", "GET"),
        (":authority", "b"),
        (":status", "200"),
        (":protocol", "websocket"),
        ("host", "b.example"),
    ] {
        trial.refused(&Trial::headers(&key, &[("x", "1"), more])).await;
    }
}

async fn refused_streams_leave_others_alone_and_nothing_behind(way: Way) {
    let trial = Trial::begin(way).await;
    let mut caller = Framed::begin(&trial.world).await;
    let mut bytes = Vec::new();
    for number in 0..20 {
        let key = trial.world.key().text;
        let path = format!("/api/{number}");
        let mut headers = Trial::headers(&key, &[]);
        headers[0].1 = "GET";
        headers[3].1 = &path;
        if number % 2 == 0 {
            headers.pop();
        }
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block(&headers)));
    }
    caller.send(&bytes).await;
    let mut good = 0;
    let mut answered = 0;
    while answered < 20 {
        let (kind, _, payload) = caller.next().await.expect("the connection goes on");
        assert!(kind != RESET && kind != GO_AWAY);
        if kind == HEADERS {
            answered += 1;
            good += usize::from(payload.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88));
        }
    }
    assert_eq!((good, trial.upstream.targets().len()), (10, 10));
}

async fn endless_headers_and_floods_of_resets_end_the_connection(way: Way) {
    let trial = Trial::begin(way).await;
    let key = trial.world.key().text;
    let headers = block(&Trial::headers(&key, &[]));
    // Headers that never end.
    let mut caller = Framed::begin(&trial.world).await;
    caller.send(&frame(HEADERS, END_STREAM, 1, &headers)).await;
    for _ in 0..2_000 {
        let more = block(&[("x-more", &"m".repeat(1_000))]);
        caller.send(&frame(CONTINUATION, 0, 1, &more)).await;
    }
    assert_ne!(caller.fate(1).await, Fate::Good);
    // Requests that are taken back as soon as they are made.
    let mut caller = Framed::begin(&trial.world).await;
    let mut ended = false;
    'flood: for round in 0..50 {
        for number in 0..100 {
            let stream = 2 * (100 * round + number) + 1;
            caller.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers)).await;
            caller.send(&frame(RESET, 0, stream, &[0, 0, 0, 8])).await;
        }
        while let Ok(frame) = timeout(std::time::Duration::from_millis(50), caller.next()).await {
            if frame.is_none_or(|(kind, ..)| kind == GO_AWAY) {
                ended = true;
                break 'flood;
            }
        }
    }
    assert!(ended, "a flood of resets goes on for ever");
    drop(caller);
    let waiting = async {
        while trial.upstream.open() > 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{} connections stay open", trial.upstream.open());
}

on_both_ways! {
    a_good_request_passes_as_one_of_http_1_1,
    headers_of_one_connection_have_no_place_in_a_stream,
    names_and_values_hold_nothing_that_means_something_in_http_1_1,
    a_length_is_the_length_of_what_comes,
    pseudo_headers_say_one_thing_once_and_first,
    refused_streams_leave_others_alone_and_nothing_behind,
    endless_headers_and_floods_of_resets_end_the_connection,
}
