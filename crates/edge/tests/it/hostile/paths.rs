//! Paths that two servers read differently, between routes of which one wants no key: no spelling leads from
//! there to what wants one.

use rndrkit_edge::{KeyRule, Route};
use tokio::net::TcpStream;

use super::recorder::Recorder;
use crate::wire::{Reader, connect};
use crate::world::World;

/// Below `/api/` a key is wanted, but not below `/api/hooks/`, but again below `/api/hooks/admin/`.
async fn trial() -> (Recorder, World) {
    let upstream = Recorder::start().await;
    let uri = upstream.uri();
    let world = World::with(|options| {
        options.routes = vec![
            Route::new("/api/", uri.clone()),
            Route { key: KeyRule::None, ..Route::new("/api/hooks/", uri.clone()) },
            Route::new("/api/hooks/admin/", uri),
        ];
    })
    .await;
    (upstream, world)
}

/// What a server may take a path for: each reader makes more of it than the one before, and they combine.
const READERS: [fn(&str) -> String; 9] = [
    |path| decoded(path),
    |path| decoded(&decoded(path)),
    |path| path.replace('\\', "/"),
    |path| path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/"),
    |path| path.split('/').map(|segment| segment.trim_end_matches(['.', ' '])).collect::<Vec<_>>().join("/"),
    |path| path.to_ascii_lowercase(),
    |path| path.split(['\0', '#', '?']).next().unwrap().to_owned(),
    |path| path.replace(['\t', '\r', '\n'], ""),
    |path| resolved(path),
];

/// Decoded once, overlong forms included, as careless servers do.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = path.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    let text: String = out.iter().map(|byte| char::from(*byte)).collect();
    text.replace("\u{c0}\u{ae}", ".").replace("\u{c0}\u{af}", "/").replace("\u{e0}\u{80}\u{ae}", ".")
}

/// Without empty and dot segments.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Whether some reader finds that a key should have been asked for. Every order of three readers is tried.
fn needs_a_key(path: &str) -> bool {
    let is_open = |path: &str| {
        let path = resolved(path);
        path.starts_with("/api/hooks") && path != "/api/hooks/admin" && !path.starts_with("/api/hooks/admin/")
    };
    READERS.iter().any(|first| {
        let once = first(path);
        !is_open(&once)
            || READERS.iter().any(|second| {
                let twice = second(&once);
                !is_open(&twice) || READERS.iter().any(|third| !is_open(&third(&twice)))
            })
    })
}

/// Asks without a key on a kept connection, and says the status.
async fn ask(client: &mut Option<Reader<TcpStream>>, world: &World, path: &str) -> u16 {
    let mut reader = match client.take() {
        Some(reader) => reader,
        None => connect(world.public).await,
    };
    reader.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let answer = reader.answer().await;
    // The parser's own refusals end the connection.
    if answer.header("x-rk-request-id").is_some() && answer.header("connection").is_none() {
        *client = Some(reader);
    }
    answer.status()
}

const SEPARATORS: [&str; 14] =
    ["/", "//", "%2f", "%2F", "\\", "%5c", "/./", "/%2e/", ";/", ";x=1/", "%252f", "%c0%af", "/;/", "%3b/"];
const UP: [&str; 14] = [
    "..",
    "%2e%2e",
    ".%2E",
    "%2e.",
    "..;",
    "..;x=1",
    "%252e%252e",
    "..%00",
    "..%20",
    "..%09",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%25%32%65%25%32%65",
    "..%23",
];
const ADMIN: [&str; 12] = [
    "admin",
    "%61dmin",
    "ADMIN",
    "admin;x",
    "admin%20",
    "admin.",
    "%2561dmin",
    "admin%00",
    "a%64min",
    "admin%3b",
    "%41dmin",
    "admin%23",
];

#[tokio::test]
async fn no_spelling_leads_from_the_route_without_a_key_to_what_wants_one() {
    let (upstream, world) = trial().await;
    let mut paths = Vec::new();
    for first in SEPARATORS {
        for second in SEPARATORS {
            paths.extend(UP.iter().map(|up| format!("/api/hooks{first}{up}{second}private")));
            paths.extend(ADMIN.iter().map(|admin| format!("/api/hooks{first}{admin}{second}x")));
        }
        paths.push(format!("/api{first}hooks/x"));
        paths.push(format!("{first}api/hooks/x"));
        paths.extend(UP.iter().map(|up| format!("/api/hooks{first}{up}")));
        paths.extend(ADMIN.iter().map(|admin| format!("/api/hooks{first}{admin}")));
    }
    let mut client = None;
    for path in &paths {
        let status = ask(&mut client, &world, path).await;
        assert!(matches!(status, 200 | 400 | 401 | 404), "{path}: {status}");
    }
    let through = upstream.targets();
    let wrong: Vec<&String> = through.iter().filter(|target| needs_a_key(target)).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), paths.len());
    assert!(through.iter().all(|target| paths.contains(target)), "they travel as they were sent");
}

#[tokio::test]
async fn ordinary_paths_pass_without_a_key_where_none_is_wanted() {
    let (upstream, world) = trial().await;
    let mut client = None;
    for path in [
        "/api/hooks/",
        "/api/hooks/stripe",
        "/api/hooks/administrator/x",
        "/api/hooks/x/admin/",
        "/api/hooks/Stripe/Events",
        "/api/hooks/a%20b/%e2%82%ac",
        "/api/hooks/100%25",
        "/api/hooks/v1.0/x.json",
        "/api/hooks/x?next=/../admin;a=%2e%2e%2f%00",
        "/api/hooks/\u{e9}",
        "/api/hooks/%E9t%E9",
        "/api/hooks/a:b@c,d+e=f~g!h$i&j'k(l)m*n",
    ] {
        assert_eq!(ask(&mut client, &world, path).await, 200, "{path}");
        assert_eq!(upstream.targets().last().unwrap(), path, "forwarded as it was judged");
    }
    assert_eq!(ask(&mut client, &world, "/api/hooks/stripe#/../admin").await, 200);
    assert_eq!(upstream.targets().last().unwrap(), "/api/hooks/stripe", "a fragment is no part of a target");
    for path in
        ["/api/hooks", "/api/hooksx/y", "/api/hook", "/api/hooks/admin", "/api/hooks/admin/", "/api/x"]
    {
        assert_eq!(ask(&mut client, &world, path).await, 401, "{path}");
    }
}

#[tokio::test]
async fn no_spelling_of_the_reserved_tree_reaches_an_upstream_or_another_tree() {
    let (upstream, world) = trial().await;
    let key = world.key();
    for path in [
        "/api//rk/account",
        "/api/rk//account/../../x",
        "/api/rk%2faccount",
        "/api/%72k%2Faccount",
        "/api/rk;x/account",
        "/api/x/../rk/account",
        "/api/./rk/account",
        "/api/%2e/rk/account",
    ] {
        let mut client = connect(world.public).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", key.line())).await;
        assert_eq!(client.answer().await.status(), 400, "{path}");
    }
    assert!(upstream.bytes().is_empty() && world.passed().is_empty());
}

#[tokio::test]
async fn a_target_holds_no_byte_that_no_target_may_hold() {
    let (upstream, world) = trial().await;
    for byte in (0_u8..=0x20).chain([0x7f, 0x80, 0xc0, 0xfe, 0xff]) {
        let mut bytes = b"GET /api/hooks/a".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let heard = super::client::send(world.public, bytes).await;
        assert!(heard.statuses().iter().all(|status| *status == 400), "{byte:#x}: {:?}", heard.statuses());
        assert_eq!(upstream.bytes(), "", "{byte:#x}");
    }
}
