//! Who a request is from, as the upstream hears it: nothing of that is the caller's to say.

use rndrkit_edge::{KeyRule, Route};

use super::client::send;
use super::recorder::Recorder;
use super::{Way, on_both_ways};
use crate::wire::{Message, ask};
use crate::world::World;

const OURS: [&str; 5] =
    ["x-rk-account-id", "x-rk-external-id", "x-rk-key-id", "x-rk-plan", "x-rk-request-id"];

async fn trial(way: Way) -> (Recorder, World) {
    let upstream = Recorder::start().await;
    let world = super::world(way, upstream.uri()).await;
    (upstream, world)
}

/// What a good request with these lines is to the upstream.
async fn seen_with(way: Way, lines: &[&str]) -> Message {
    let (upstream, world) = trial(way).await;
    let key = world.key().line();
    let mut all = vec![key.as_str()];
    all.extend(lines);
    assert_eq!(ask(world.public, "GET /api/x", &all).await.status(), 200, "{lines:?}");
    upstream.requests().remove(0)
}

async fn every_character_that_a_server_may_fold_is_seen_through_in_reserved_names(way: Way) {
    // All that a header name may hold and that is no letter or digit: CGI and its heirs make each of them `_`.
    for separator in "!#$%&'*+-.^_`|~".chars() {
        for name in [format!("X{separator}Rk{separator}Plan"), format!("x-rk{separator}plan")] {
            let seen = seen_with(way, &[&format!("{name}: forged"), &format!("{name}: forged again")]).await;
            assert_eq!(seen.header("x-rk-plan"), Some("agency"));
            for (name, value) in &seen.lines {
                let folded: String =
                    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                assert!(!folded.starts_with("x-rk-") || OURS.contains(&name.as_str()), "{name}: {value}");
                assert!(!value.contains("forged"), "{name}: {value}");
            }
        }
    }
}

async fn every_identity_header_is_there_once_and_never_empty(way: Way) {
    let seen = seen_with(way, &["X-Rk-Plan:", "X-Rk-Account-Id: a, b", "X-Rk-External-Id: x"]).await;
    for name in OURS {
        let value = seen.header(name).unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._ -".contains(c);
        assert!(!value.is_empty() && value.chars().all(plain), "{name}: {value}");
    }
    assert_eq!(seen.header("x-rk-external-id"), Some("-"));
}

async fn connection_can_name_nothing_that_is_added_or_judged(way: Way) {
    for named in [
        "X-Rk-Account-Id, X-Rk-External-Id, X-Rk-Key-Id, X-Rk-Plan, X-Rk-Request-Id",
        "x-rk-plan,,x-rk-plan",
        "close, X-Rk-Plan",
        "Host, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded",
        "X-Api-Key",
        "Authorization, Cookie",
        "\"x-rk-plan\", x-rk-plan;q=1, x-rk-plan=",
        "Content-Length, Transfer-Encoding, Connection, Te",
    ] {
        let seen =
            seen_with(way, &[&format!("Connection: {named}"), "Connection: X-Rk-Key-Id, X-Hop", "X-Hop: 1"])
                .await;
        for name in OURS.iter().chain(&["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]) {
            assert!(seen.header(name).is_some(), "{named}: {name}");
        }
        assert_eq!(seen.header("x-hop"), None, "{named}");
    }
}

async fn naming_the_key_in_connection_does_not_make_it_vanish_before_it_is_read(way: Way) {
    let (upstream, world) = trial(way).await;
    let lines = ["X-Api-Key: not a key", "Connection: X-Api-Key"];
    assert_eq!(ask(world.public, "GET /api/x", &lines).await.code(), "invalid_key");
    assert_eq!(ask(world.public, "GET /api/x", &lines[1..]).await.code(), "missing_key");
    assert_eq!(upstream.bytes(), "");
}

async fn no_header_takes_the_key_to_the_upstream(way: Way) {
    let (upstream, world) = trial(way).await;
    let key = world.key();
    let text = &key.text;
    let line = key.line();
    for lines in [
        vec![line.clone()],
        vec![format!("x-api-KEY:   {text}  ")],
        vec![format!("Authorization: Bearer {text}")],
        vec![format!("authorization: bearer    {text}")],
        vec![line.clone(), format!("Authorization: Bearer {text}")],
        vec![line.clone(), format!("Proxy-Authorization: Bearer {text}")],
        vec![line.clone(), "Authorization: Basic dTpw".to_owned()],
    ] {
        let all: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(ask(world.public, "GET /api/x", &all).await.status(), 200, "{lines:?}");
        assert!(!upstream.bytes().contains(text.as_str()), "{lines:?}: {}", upstream.bytes());
        let basic = lines.iter().any(|line| line.ends_with("Basic dTpw"));
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.header("authorization"), basic.then_some("Basic dTpw"), "another's stays theirs");
    }
}

async fn two_credentials_are_refused_and_none_of_them_is_told(way: Way) {
    let (upstream, world) = trial(way).await;
    let (one, other) = (world.key(), world.key());
    let (one, other) = (&one.text, &other.text);
    for lines in [
        vec![format!("X-Api-Key: {one}"), format!("X-Api-Key: {one}")],
        vec![format!("X-Api-Key: {one}"), format!("x-api-key: {other}")],
        vec![format!("X-Api-Key: {one},{other}")],
        vec![format!("X-Api-Key: {one}, {one}")],
        vec![format!("X-Api-Key: {one},")],
        vec![format!("X-Api-Key: {one}"), format!("Authorization: Bearer {other}")],
        vec![format!("X-Api-Key: {one}"), "X-Api-Key:".to_owned()],
        vec![format!("Authorization: Bearer {one}"), format!("Authorization: Bearer {one}")],
        vec![format!("Authorization: Bearer {one}"), "Authorization: Basic dTpw".to_owned()],
        vec!["Authorization: Basic dTpw".to_owned(), format!("Authorization: Bearer {one}")],
        vec![format!("Authorization: Bearer {one}, Bearer {other}")],
        vec![format!("Authorization: Bearer {one},{other}")],
    ] {
        let all: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = ask(world.public, "GET /api/x", &all).await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"), "{lines:?}");
        assert!(!answer.text().contains(one.as_str()) && !answer.text().contains(other.as_str()));
    }
    assert_eq!(upstream.bytes(), "");
}

async fn a_key_in_the_target_a_cookie_or_another_header_is_no_key(way: Way) {
    let (upstream, world) = trial(way).await;
    let text = world.key().text;
    for (first, line) in [
        (format!("GET /api/x?api_key={text}"), String::new()),
        (format!("GET /api/x?x-api-key={text}"), String::new()),
        ("GET /api/x".to_owned(), format!("Cookie: X-Api-Key={text}")),
        ("GET /api/x".to_owned(), format!("X_Api_Key: {text}")),
        ("GET /api/x".to_owned(), format!("X.Api.Key: {text}")),
        ("GET /api/x".to_owned(), format!("Proxy-Authorization: Bearer {text}")),
        ("GET /api/x".to_owned(), format!("Authorization: Basic {text}")),
        ("GET /api/x".to_owned(), format!("Authorization: {text}")),
        ("GET /api/x".to_owned(), format!("Authorization: Bearer\t{text}")),
    ] {
        let lines: Vec<&str> = [line.as_str()].into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(ask(world.public, &first, &lines).await.status(), 401, "{first} {line}");
    }
    assert_eq!(upstream.bytes(), "");
}

async fn cookies_of_ours_stay_here_however_they_are_written(way: Way) {
    for cookie in [
        "rk_session=s3cret",
        "__Host-rk_session=s3cret",
        "a=1; rk_session=s3cret",
        "a=1;rk_session=s3cret;b=2",
        "a=1;\trk_session=s3cret",
        "a=1; =rk_session=s3cret",
        "a=1;;; rk_session=s3cret ;",
        "rk_session_local=s3cret; rk_session=s3cret",
        "rk_session =s3cret",
    ] {
        let seen = seen_with(way, &[&format!("Cookie: {cookie}"), "Cookie: kept=2"]).await;
        let left = seen.all("cookie").join("; ");
        assert!(!left.contains("s3cret"), "{cookie} -> {left}");
        assert!(left.contains("kept=2"), "{cookie} -> {left}");
        assert!(!cookie.contains("a=1") || left.contains("a=1"), "{cookie} -> {left}");
    }
}

async fn a_stranger_says_nothing_about_the_way_it_came(way: Way) {
    let separators = ["-", "_", ".", "~"];
    let mut lines = vec!["Forwarded: for=6.6.6.6;host=evil".to_owned(), "X-Real-IP: 6.6.6.6".to_owned()];
    for separator in separators {
        for name in ["For", "Proto", "Host", "Port", "Prefix", "Uri", "Method", "Server", "Tls-Client-Cert"] {
            lines.push(format!("X{separator}Forwarded{separator}{name}: 6.6.6.6"));
        }
        lines.push(format!("X{separator}Real{separator}Ip: 6.6.6.6"));
    }
    let seen = seen_with(way, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    for (name, value) in &seen.lines {
        assert!(!value.contains("6.6.6.6") && !value.contains("evil"), "{name}: {value}");
    }
}

async fn a_trusted_proxy_is_believed_by_its_exact_names_and_only_to_the_first_hop_that_is_not_trusted(
    way: Way,
) {
    let upstream = Recorder::start().await;
    let uri = upstream.uri();
    let world = World::with(|options| {
        way.lead(options, uri);
        options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    for (lines, client) in [
        (vec!["X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (vec!["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        (vec!["X-Forwarded-For: 1.1.1.1, 203.0.113.9:4711"], "203.0.113.9"),
        (vec!["X-Forwarded-For: [2001:db8::9]:4711"], "2001:db8::9"),
        (vec!["X-Forwarded-For: ::ffff:203.0.113.9"], "203.0.113.9"),
        (vec!["X-Forwarded-For: 6.6.6.6, nonsense, 10.0.0.2"], "10.0.0.2"),
        (vec!["X-Forwarded-For: 6.6.6.6,"], "127.0.0.1"),
        (vec!["X-Forwarded-For: 6.6.6.6\u{e9}"], "127.0.0.1"),
        (vec!["X_Forwarded_For: 6.6.6.6"], "127.0.0.1"),
        (vec!["X.Forwarded.For: 6.6.6.6"], "127.0.0.1"),
        (vec!["Forwarded: for=6.6.6.6", "X-Real-Ip: 6.6.6.6"], "127.0.0.1"),
        (vec!["X-Forwarded-For: 1.1.1.1", "X_Forwarded_For: 6.6.6.6"], "1.1.1.1"),
    ] {
        let key = world.key().line();
        let mut all = vec![key.as_str()];
        all.extend(&lines);
        assert_eq!(ask(world.public, "GET /api/x", &all).await.status(), 200, "{lines:?}");
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some(client), "{lines:?}");
        for folded in ["x_forwarded_for", "x.forwarded.for"] {
            assert_eq!(seen.header(folded), None, "{lines:?}");
        }
    }
}

async fn where_no_key_is_wanted_nobody_is_named_and_no_key_of_ours_is_told(way: Way) {
    let upstream = Recorder::start().await;
    let open = Route { key: KeyRule::None, ..Route::new("/api/", upstream.uri()) };
    let world = World::with(|options| {
        way.lead(options, upstream.uri());
        options.routes = vec![open];
    })
    .await;
    let text = world.key().text;
    let lines = [
        format!("X-Api-Key: {text}"),
        format!("X-Api-Key: {text}"),
        format!("Authorization: Bearer {text}"),
        "X-Rk-Plan: forged".to_owned(),
        "X_Rk.Plan: forged".to_owned(),
        "Cookie: rk_session=s3cret".to_owned(),
    ];
    let bytes = format!(
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{}\r\nConnection: close, x-rk-request-id\r\n\r\n",
        lines.join("\r\n")
    );
    assert_eq!(send(world.public, bytes).await.statuses(), [200]);
    let seen = upstream.bytes();
    for gone in [text.as_str(), "forged", "s3cret", "x-rk-account-id", "x-rk-key-id", "x-rk-plan"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
    assert_eq!(upstream.requests()[0].all("x-rk-request-id").len(), 1);
}

on_both_ways! {
    every_character_that_a_server_may_fold_is_seen_through_in_reserved_names,
    every_identity_header_is_there_once_and_never_empty,
    connection_can_name_nothing_that_is_added_or_judged,
    naming_the_key_in_connection_does_not_make_it_vanish_before_it_is_read,
    no_header_takes_the_key_to_the_upstream,
    two_credentials_are_refused_and_none_of_them_is_told,
    a_key_in_the_target_a_cookie_or_another_header_is_no_key,
    cookies_of_ours_stay_here_however_they_are_written,
    a_stranger_says_nothing_about_the_way_it_came,
    a_trusted_proxy_is_believed_by_its_exact_names_and_only_to_the_first_hop_that_is_not_trusted,
    where_no_key_is_wanted_nobody_is_named_and_no_key_of_ours_is_told,
}
