//! Answers made smaller with gzip, for browsers that take it: static files once, pages one by one.
//!
//! How long a compressed page is tells an onlooker on the wire how much of it repeats. That matters where a page holds
//! a secret, or something private, beside words that somebody else put into the request. So only a page asked for
//! by its bare address is compressed: the one answer that holds an API key answers a form, and whatever repeats words of
//! its address has a query.

use std::io::Write as _;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method};

use super::failure::Failure;

/// The largest page that is made here: 200 past keys with the longest names are a fifth of it.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Below this a page travels in one packet either way.
const MIN_PAGE_BYTES: usize = 1_024;

/// Whether the browser takes gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0))
        });
        named && !refused
    })
}

/// The bytes as a gzip file, or none when that is no smaller.
pub(super) fn gzip(bytes: &[u8], effort: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), effort);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|smaller| smaller.len() < bytes.len())
}

/// Marks an answer as one of several forms of the same thing.
pub(super) fn vary(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
}

/// Compresses a page that was asked for by its bare address.
pub(super) async fn pages(request: Request, next: Next) -> Response {
    let bare = request.method() == Method::GET && request.uri().query().is_none();
    let wanted = bare && is_accepted(request.headers());
    let response = next.run(request).await;
    if wanted && is_page(response.headers()) { smaller(response).await } else { response }
}

fn is_page(headers: &HeaderMap) -> bool {
    let is_html = |value: &HeaderValue| value.as_bytes().starts_with(b"text/html");
    headers.get(CONTENT_TYPE).is_some_and(is_html) && !headers.contains_key(CONTENT_ENCODING)
}

async fn smaller(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let bytes = match axum::body::to_bytes(body, MAX_PAGE_BYTES).await {
        Ok(bytes) => bytes,
        Err(cause) => return Failure::internal(&cause.to_string()).into_response(),
    };
    vary(&mut head.headers);
    // A page is compressed again for each visit: quick, and a few percent larger than it could be.
    let compressed = (bytes.len() >= MIN_PAGE_BYTES).then(|| gzip(&bytes, Compression::fast())).flatten();
    let Some(compressed) = compressed else { return Response::from_parts(head, Body::from(bytes)) };
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(list: &'static str) -> bool {
        is_accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(list))]))
    }

    #[test]
    fn gzip_is_used_only_where_the_browser_says_that_it_takes_it() {
        for list in ["gzip", "deflate, GZIP;q=0.5, br", "br,gzip", "gzip; q=1.0"] {
            assert!(accepted(list), "{list}");
        }
        for list in ["", "br", "gzip;q=0", "gzip; q=0.000", "gzipped", "*"] {
            assert!(!accepted(list), "{list}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn what_does_not_get_smaller_is_left_as_it_is() {
        assert!(gzip(b"short", Compression::best()).is_none());
        assert!(gzip(&[b'a'; 4_000], Compression::fast()).is_some_and(|smaller| smaller.len() < 100));
    }
}
