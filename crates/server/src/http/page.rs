//! One page of a list, with the address of the next.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Uri, header};
use rndrkit_api::page::Page;
use serde::Serialize;

/// Answers with `found`, which was asked for at `uri`.
pub(crate) fn answer<T, U: Serialize>(
    uri: &Uri,
    found: rndrkit_control::Page<T>,
    convert: impl FnMut(T) -> U,
) -> Response {
    let next_cursor = found.next.map(|cursor| cursor.to_string());
    let link = next_cursor.as_deref().and_then(|cursor| next_link(uri, cursor));
    let data = found.items.into_iter().map(convert).collect();
    let page = Page { data, has_more: next_cursor.is_some(), next_cursor };
    let mut response = Json(page).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The same call, filters and all, from where this page ended (RFC 8288). Relative, because only the
/// caller knows by which name it reached us.
fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let kept = uri.query().unwrap_or_default().split('&');
    let kept = kept.filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("after"));
    let query: String = kept.flat_map(|pair| [pair, "&"]).collect();
    HeaderValue::from_str(&format!("<{}?{query}after={cursor}>; rel=\"next\"", uri.path())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_filters() {
        let link = |uri: &str| next_link(&uri.parse().unwrap(), "CUR").unwrap();
        assert_eq!(link("/v1/tokens"), "</v1/tokens?after=CUR>; rel=\"next\"");
        let filtered = link("/v1/accounts?email=a%40b.c&after=OLD&limit=2");
        assert_eq!(filtered, "</v1/accounts?email=a%40b.c&limit=2&after=CUR>; rel=\"next\"");
    }
}
