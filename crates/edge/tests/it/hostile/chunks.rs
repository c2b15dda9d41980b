//! Bodies in chunks whose sizes, extensions, line ends or trailers can be read in two ways.

use super::trial::Trial;
use super::{Way, on_both_ways};

/// A POST whose body, in chunks, is given as it stands.
fn chunked(body: &str) -> String {
    format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{{K}}\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

/// Whatever was sent on of such a request never becomes a whole one, and nothing after it is served.
pub(super) async fn broken(trial: &Trial, body: &str) {
    let heard = trial.send(&chunked(body)).await;
    let statuses = heard.statuses();
    let whole = trial.upstream.targets();
    let as_wanted = matches!(statuses[..], [] | [400]) && whole.is_empty();
    trial.check(as_wanted, &format!("{statuses:?} {body:?} {:?}", trial.upstream.bytes()));
}

async fn a_chunk_size_is_a_hexadecimal_number_that_fits(way: Way) {
    let trial = Trial::begin(way).await;
    for size in [
        "",
        " 5",
        "+5",
        "-5",
        "0x5",
        "5h",
        "g",
        "5 5",
        "5.",
        "\u{b}5",
        "\x005",
        "5\0",
        "10000000000000005",
        "fffffffffffffffffb",
        "100000000000000000000000000000005",
        "five",
        ";5",
        "\"5\"",
        "5,5",
    ] {
        broken(&trial, &format!("{size}\r\nhello\r\n0\r\n\r\n")).await;
    }
}

async fn a_chunk_is_as_long_as_it_says_and_ends_in_cr_lf(way: Way) {
    let trial = Trial::begin(way).await;
    for body in [
        "5\r\nhelloX\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
    ] {
        broken(&trial, body).await;
    }
}

async fn line_ends_in_chunks_are_cr_lf(way: Way) {
    let trial = Trial::begin(way).await;
    for body in ["5\r\nhello\r\n0\r\n\n", "5\r\nhello\r\n0\r\nT: 1\n\r\n"] {
        broken(&trial, body).await;
    }
}

async fn short_extensions_are_read_over_and_do_not_travel(way: Way) {
    let trial = Trial::begin(way).await;
    for extension in [";", ";a", ";a=b", " ; a = \"b\"", ";a=\"0;1,2\"", ";a=b;c=d"] {
        let body = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        trial.passes(&chunked(&body), "hello").await;
        assert!(!trial.upstream.bytes().contains(extension) || extension == ";", "{extension}");
    }
    trial.passes(&chunked("00005\r\nhello\r\n000\r\n\r\n"), "hello").await;
    trial.passes(&chunked("A\r\nhellohello\r\na\r\nhellohello\r\n0\r\n\r\n"), "hellohellohellohello").await;
}

async fn an_extension_is_short_and_holds_no_line_end(way: Way) {
    let trial = Trial::begin(way).await;
    let long = format!(";{}", "x".repeat(40_000));
    for extension in [";a\n", ";\n", ";a\nb", ";a\r", ";a\rb", "\n", ";\0\n", long.as_str()] {
        broken(&trial, &format!("5{extension}\r\nhello\r\n0\r\n\r\n")).await;
        broken(&trial, &format!("5\r\nhello\r\n0{extension}\r\n\r\n")).await;
    }
}

async fn extensions_of_many_chunks_are_bounded_together(way: Way) {
    let trial = Trial::begin(way).await;
    let piece = format!("1;{}\r\nx\r\n", "e".repeat(1_000));
    broken(&trial, &(piece.repeat(200) + "0\r\n\r\n")).await;
}

async fn trailers_are_lines_like_headers_and_bounded_like_them(way: Way) {
    let trial = Trial::begin(way).await;
    let many = "T: 1\r\n".repeat(2_000);
    let large = format!("T: {}\r\n", "x".repeat(100_000));
    for trailers in [
        "T : 1\r\n",
        " T: 1\r\n",
        "T: 1\r\n folded\r\n",
        "no colon\r\n",
        ": 1\r\n",
        "T: a\rb\r\n",
        "T: \0\r\n",
        "Two Words: 1\r\n",
        "GET /api/smuggled HTTP/1.1\r\n",
        many.as_str(),
        large.as_str(),
    ] {
        broken(&trial, &format!("5\r\nhello\r\n0\r\n{trailers}\r\n")).await;
    }
}

async fn trailers_cannot_change_what_was_judged_or_framed(way: Way) {
    let trial = Trial::begin(way).await;
    let key = trial.world.key();
    let trailers = [
        "X-Kept: yes",
        "X-Rk-Plan: forged",
        "x_rk_account_id: forged",
        "X.Rk.Key-Id: forged",
        "Host: forged",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Connection: X-Rk-Plan",
        "Cookie: rk_session=forged",
        "X-Forwarded-For: 6.6.6.6",
        "Forwarded: for=forged",
        "Upgrade: forged",
        "Te: forged",
        "Authorization: forged",
    ];
    let lines = format!("{}\r\nX-Api-Key: {}\r\n", trailers.join("\r\n"), key.text);
    let bytes = chunked(&format!("5\r\nhello\r\n0\r\n{lines}\r\n"))
        .replace("Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nTrailer: x-kept\r\n");
    trial.passes(&bytes, "hello").await;
    let seen = trial.upstream.requests().remove(0);
    for (name, value) in &seen.trailers {
        assert_eq!((name.as_str(), value.as_str()), ("x-kept", "yes"));
    }
    let bytes = trial.upstream.bytes();
    assert!(!bytes.contains("forged") && !bytes.contains(&key.text) && !bytes.contains("6.6.6.6"), "{bytes}");
}

async fn what_follows_the_last_chunk_is_the_next_request(way: Way) {
    let trial = Trial::begin(way).await;
    let heard = trial.send(&chunked("5\r\nhello\r\n0\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
    assert_eq!((heard.statuses(), trial.upstream.targets().len()), (vec![200, 400], 1));
    let unjudged = "GET /api/unjudged HTTP/1.1\r\nHost: a\r\n\r\n";
    let heard = trial.send(&chunked(&format!("5\r\nhello\r\n0\r\n\r\n{unjudged}"))).await;
    assert_eq!(heard.statuses(), [200, 401, 200]);
    assert_eq!(trial.upstream.targets(), ["/api/x", "/api/smuggled"]);
}

on_both_ways! {
    line_ends_in_chunks_are_cr_lf,
    a_chunk_size_is_a_hexadecimal_number_that_fits,
    a_chunk_is_as_long_as_it_says_and_ends_in_cr_lf,
    short_extensions_are_read_over_and_do_not_travel,
    an_extension_is_short_and_holds_no_line_end,
    extensions_of_many_chunks_are_bounded_together,
    trailers_are_lines_like_headers_and_bounded_like_them,
    trailers_cannot_change_what_was_judged_or_framed,
    what_follows_the_last_chunk_is_the_next_request,
}
