//! Requests that two servers might cut apart at different places. Each is followed by a second request on the
//! same connection, which must be served as what it is or not at all.

use std::fmt::Write;

use super::trial::Trial;
use super::{Way, on_both_ways};

/// A POST with these header lines beside the usual ones, and a body in chunks.
pub(super) fn post(lines: &str) -> String {
    format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n")
}

/// A POST with these header lines beside the usual ones, and a body of five bytes.
pub(super) fn five(lines: &str) -> String {
    format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\n{lines}\r\nhello")
}

async fn two_framings_are_refused_in_both_orders_and_in_every_spelling(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "content-length: 15\r\ntransfer-encoding: CHUNKED\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 4\r\nX-Between: 1\r\nTransfer-Encoding:chunked\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: \r\n",
        "Content-Length: \r\nTransfer-Encoding: chunked\r\n",
    ] {
        trial.refused(&post(lines)).await;
    }
}

async fn a_length_is_one_number_in_digits(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5,5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: - 5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5 \t5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 5e0\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: \"5\"\r\n",
        "Content-Length: \r\n",
        "Content-Length: five\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Content-Length: 99999999999999999999999999999999\r\n",
        "Content-Length: \u{b}5\r\n",
        "Content-Length: \u{665}\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
    ] {
        trial.refused(&five(lines)).await;
    }
}

async fn a_length_with_white_space_around_it_is_that_length(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in ["Content-Length:5\r\n", "Content-Length: \t 5 \t\r\n", "Content-Length: 005\r\n"] {
        trial.passes(&five(lines), "hello").await;
    }
}

async fn the_only_coding_is_chunked_and_it_is_said_once(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in [
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: , chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: 'chunked'\r\n",
        "Transfer-Encoding: chun ked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: \u{c}chunked\r\n",
        "Transfer-Encoding: \u{a0}chunked\r\n",
        "Transfer-Encoding: \u{ff43}hunked\r\n",
        "Transfer-Encoding: chun\u{212a}ed\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
    ] {
        trial.refused(&post(lines)).await;
    }
}

async fn chunked_is_chunked_in_any_case_and_with_white_space_around_it(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in [
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding:chunked\r\n",
        "Transfer-Encoding: chunked \r\n",
        "tRANSFER-eNCODING:\tCHUNKED\t\r\n",
    ] {
        trial.passes(&post(lines), "hello").await;
    }
}

async fn a_head_holds_no_stray_control_character(way: Way) {
    let trial = Trial::begin(way).await;
    for bytes in [
        "GET /api/x HTTP/1.1\rHost: a\r\n{K}\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r{K}\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX: 1\r\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX: 1\r2\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX: 1\x002\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX\0: 1\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX: 1\u{1}2\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX: 1\u{7f}2\r\n\r\n",
        "GET /api/x\0 HTTP/1.1\r\nHost: a\r\n{K}\r\n\r\n",
        "GET /api/x\u{1} HTTP/1.1\r\nHost: a\r\n{K}\r\n\r\n",
    ] {
        trial.refused(bytes).await;
    }
}

async fn lines_end_in_cr_lf(way: Way) {
    let trial = Trial::begin(way).await;
    for bytes in [
        "GET /api/x HTTP/1.1\nHost: a\n{K}\n\n",
        "GET /api/x HTTP/1.1\r\nHost: a\n{K}\r\n\r\n",
        "GET /api/x HTTP/1.1\nHost: a\r\n{K}\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\n\n",
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n",
        "\nGET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\n\r\n",
    ] {
        trial.refused(bytes).await;
    }
}

async fn header_lines_are_a_name_a_colon_and_a_value(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in [
        " X: leading\r\n",
        "X: folded\r\n line\r\n",
        "X: folded\r\n\tline\r\n",
        "X: folded\r\n \r\n",
        "X : 1\r\n",
        "X\t: 1\r\n",
        "X\u{b}: 1\r\n",
        "Two Words: 1\r\n",
        ": no name\r\n",
        "no colon\r\n",
        "X(: 1\r\n",
        "X\u{e9}: 1\r\n",
        "GET /api/smuggled HTTP/1.1\r\n",
    ] {
        trial.refused(&format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\n{lines}\r\n")).await;
        trial.refused(&format!("GET /api/x HTTP/1.1\r\n{lines}Host: a\r\n{{K}}\r\n\r\n")).await;
    }
}

async fn a_request_names_one_host(way: Way) {
    let trial = Trial::begin(way).await;
    for lines in [
        "",
        "Host: \r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a#b\r\n",
        "Host: a?b\r\n",
        "Host: a:80:80\r\n",
        "Host: a:port\r\n",
        "Host: [::1\r\n",
        "Host: a%0d%0ab\r\n",
    ] {
        trial.refused(&format!("GET /api/x HTTP/1.1\r\n{lines}{{K}}\r\n\r\n")).await;
    }
    trial.refused("GET http://u:p@named.example/api/x HTTP/1.1\r\nHost: a\r\n{K}\r\n\r\n").await;
}

async fn an_absolute_target_names_the_host_whatever_the_header_says(way: Way) {
    let trial = Trial::begin(way).await;
    trial.passes("GET http://named.example/api/x HTTP/1.1\r\nHost: other\r\n{K}\r\n\r\n", "").await;
    let seen = trial.upstream.requests().remove(0);
    assert_eq!(seen.header("host"), Some("named.example"));
    assert_eq!(seen.header("x-forwarded-host"), Some("named.example"));
    let heard = trial.send("GET http://named.example/api/x HTTP/1.1\r\nHost: other\r\n\r\n").await;
    assert_eq!(heard.statuses()[0], 401, "an absolute target passes no judgement by");
}

async fn request_lines_that_are_not_quite_http_1_1_go_nowhere(way: Way) {
    let trial = Trial::begin(way).await;
    for line in [
        "GET  /api/x HTTP/1.1",
        "GET\t/api/x\tHTTP/1.1",
        "GET /api/x  HTTP/1.1",
        "GET /api/x HTTP/1.1 ",
        "GET /api/x /api/y HTTP/1.1",
        "GET /api/x http/1.1",
        "GET /api/x HTTP/1.2",
        "GET /api/x HTTP/11",
        "GET /api/x HTTP/1",
        "GET /api/x HTTP/2.0",
        "GET /api/x HTTP/3.0",
        "GET /api/x ICAP/1.0",
        "GET /api/x",
        "G(T /api/x HTTP/1.1",
        " GET /api/x HTTP/1.1",
        "/api/x HTTP/1.1",
    ] {
        let heard = trial.send(&format!("{line}\r\nHost: a\r\n{{K}}\r\n\r\n")).await;
        assert!(heard.answers.len() < 2, "{line:?}: {:?}", heard.statuses());
        assert!(heard.statuses().iter().all(|status| matches!(status, 400 | 505)), "{line:?}");
        assert_eq!(trial.upstream.bytes(), "", "{line:?}");
    }
}

async fn an_old_request_without_headers_is_no_request(way: Way) {
    let trial = Trial::begin(way).await;
    for bytes in ["GET /api/x\r\n", "GET /api/x\r\n\r\n", "GET /api/x\n"] {
        let heard = trial.send(bytes).await;
        assert!(heard.answers.iter().all(|answer| answer.status() == 400) && heard.answers.len() < 2);
        assert_eq!(trial.upstream.bytes(), "", "{bytes:?}");
    }
}

async fn http_1_0_has_no_chunks_and_ends_its_connection(way: Way) {
    let trial = Trial::begin(way).await;
    let old =
        "POST /api/x HTTP/1.0\r\nHost: a\r\n{K}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    trial.refused(old).await;
    let both = "POST /api/x HTTP/1.0\r\nHost: a\r\n{K}\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello";
    trial.refused(both).await;
    let heard = trial.send("GET /api/x HTTP/1.0\r\nHost: a\r\n{K}\r\n\r\n").await;
    assert_eq!((heard.statuses(), trial.upstream.targets()), (vec![200], vec!["/api/x".to_owned()]));
}

async fn a_request_hidden_in_a_body_is_body(way: Way) {
    let trial = Trial::begin(way).await;
    let hidden = "GET /api/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = hidden.len();
    for method in ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND"] {
        let bytes = format!(
            "{method} /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\nContent-Length: {length}\r\n\r\n{hidden}"
        );
        trial.passes(&bytes, hidden).await;
        let bytes = format!(
            "{method} /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
        );
        trial.passes(&bytes, hidden).await;
    }
}

async fn the_body_of_a_refused_request_is_not_read_as_the_next_request(way: Way) {
    let trial = Trial::begin(way).await;
    let key = trial.world.key().line();
    let hidden = format!("GET /api/hidden HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n");
    let length = hidden.len();
    for lines in [
        format!("Content-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"),
        format!("Content-Length: {length}\r\nExpect: 100-Continue\r\n"),
        format!("Content-Length: {length}\r\nExpect: x, 100-continue\r\n"),
        format!("Content-Length: {length}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"),
    ] {
        for first in ["POST /api/x", "GET /api/x", "TRACE /api/x", "POST /api/%2e%2e/x", "POST /api/rk/none"]
        {
            let bytes = format!("{first} HTTP/1.1\r\nHost: a\r\n{lines}\r\n{hidden}");
            let heard = trial.send(&bytes).await;
            assert!(heard.answers[0].status() >= 400, "{first} {lines}");
            assert!(!trial.upstream.bytes().contains("hidden"), "{first} {lines}");
            assert!(trial.upstream.targets().len() < 2);
        }
    }
}

async fn pipelined_requests_keep_their_order_and_are_each_judged(way: Way) {
    let trial = Trial::begin(way).await;
    let mut bytes = String::new();
    for number in 0..6 {
        let key = if number % 2 == 0 { "{K}\r\n" } else { "" };
        write!(bytes, "POST /api/{number} HTTP/1.1\r\nHost: a\r\n{key}Content-Length: 2\r\n\r\nhi").unwrap();
    }
    let heard = trial.send(&bytes).await;
    assert_eq!(heard.statuses(), [200, 401, 200, 401, 200, 401, 200]);
    let bodies: Vec<String> = heard.answers.iter().step_by(2).map(crate::wire::Message::text).collect();
    assert_eq!(bodies, ["/api/0", "/api/2", "/api/4", "/api/smuggled"], "each answer is its request's");
    assert_eq!(trial.upstream.targets(), bodies);
}

async fn what_follows_a_last_request_is_not_read(way: Way) {
    let trial = Trial::begin(way).await;
    let heard = trial.send("GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nConnection: close\r\n\r\n").await;
    assert_eq!((heard.statuses(), trial.upstream.targets().len()), (vec![200], 1));
    let heard = trial.send("GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nBad Name: x\r\n\r\n").await;
    assert_eq!((heard.statuses(), trial.upstream.bytes().as_str()), (vec![400], ""));
}

async fn tunnels_traces_and_targets_that_are_no_path_go_nowhere(way: Way) {
    let trial = Trial::begin(way).await;
    for line in [
        "CONNECT /api/x HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "TRACE /api/x HTTP/1.1",
        "TRACK /api/../x HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET api/x HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        trial.send(&format!("{line}\r\nHost: a\r\n{{K}}\r\n\r\n")).await;
        assert!(!trial.upstream.bytes().contains("/api/x"), "{line}: {}", trial.upstream.bytes());
        assert!(trial.upstream.targets().iter().all(|target| target == "/api/smuggled"), "{line}");
    }
}

async fn a_declined_upgrade_leaves_a_connection_on_which_each_request_is_judged(way: Way) {
    let trial = Trial::begin(way).await;
    let upgrade =
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{K}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let unjudged = "GET /api/unjudged HTTP/1.1\r\nHost: a\r\n\r\n";
    let heard = trial.send(&format!("{upgrade}{unjudged}")).await;
    assert_eq!(heard.statuses()[..2], [200, 401]);
    assert!(!trial.upstream.bytes().contains("unjudged"));
}

async fn a_length_or_coding_in_another_spelling_frames_nothing_and_travels_no_further(way: Way) {
    let trial = Trial::begin(way).await;
    for line in ["Content_Length: 50", "Content.Length: 50", "Transfer_Encoding: chunked", "X_Api_Key: 1"] {
        trial.passes(&format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\n{line}\r\n\r\n"), "").await;
        let seen = trial.upstream.requests().remove(0);
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        assert_eq!(seen.header(&name), None, "some servers read {name} as if it were spelled rightly");
    }
}

async fn an_expectation_ends_here(way: Way) {
    let trial = Trial::begin(way).await;
    for expect in ["100-continue", "100-Continue", "x, 100-continue", "y 100-continue", "nonsense", ""] {
        let heard = trial.send(&five(&format!("Content-Length: 5\r\nExpect: {expect}\r\n"))).await;
        let first = heard.answers[0].status();
        assert!(matches!(first, 200 | 400 | 417), "{expect}: {first}");
        for seen in trial.upstream.requests() {
            assert_eq!(seen.header("expect"), None, "{expect}");
        }
        assert!(heard.interim.len() < 2 && heard.interim.iter().all(|status| *status == 100), "{expect}");
    }
}

on_both_ways! {
    a_length_or_coding_in_another_spelling_frames_nothing_and_travels_no_further,
    an_expectation_ends_here,
    a_length_is_one_number_in_digits,
    a_length_with_white_space_around_it_is_that_length,
    the_only_coding_is_chunked_and_it_is_said_once,
    chunked_is_chunked_in_any_case_and_with_white_space_around_it,
    a_head_holds_no_stray_control_character,
    lines_end_in_cr_lf,
    two_framings_are_refused_in_both_orders_and_in_every_spelling,
    header_lines_are_a_name_a_colon_and_a_value,
    a_request_names_one_host,
    an_absolute_target_names_the_host_whatever_the_header_says,
    request_lines_that_are_not_quite_http_1_1_go_nowhere,
    an_old_request_without_headers_is_no_request,
    http_1_0_has_no_chunks_and_ends_its_connection,
    a_request_hidden_in_a_body_is_body,
    the_body_of_a_refused_request_is_not_read_as_the_next_request,
    pipelined_requests_keep_their_order_and_are_each_judged,
    what_follows_a_last_request_is_not_read,
    tunnels_traces_and_targets_that_are_no_path_go_nowhere,
    a_declined_upgrade_leaves_a_connection_on_which_each_request_is_judged,
}
