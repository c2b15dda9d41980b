//! Where HTTP/2 says things in another way than everything behind it does, which speaks HTTP/1.1.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue};
use http::{Response, Uri};
use http_body::Body;
use rndrkit_api::error::ErrorCode;

use crate::body::EdgeBody;
use crate::shape::ShapeError;

/// Makes a request's headers what HTTP/1.1 has.
pub(crate) fn adapt_request(uri: &Uri, headers: &mut HeaderMap) -> Result<(), ShapeError> {
    // A header may repeat what the target says, and nothing else (RFC 9113 §8.3.1).
    let is_other =
        |authority: &str| headers.get(HOST).is_some_and(|host| host.as_bytes() != authority.as_bytes());
    if uri.authority().is_none() && !headers.contains_key(HOST) {
        return Err((ErrorCode::InvalidRequest, "Send one host, in :authority."));
    }
    if uri.authority().is_some_and(|authority| is_other(authority.as_str())) {
        return Err((ErrorCode::InvalidRequest, "Send one host: :authority and Host differ."));
    }
    // Cookies may come one by one, so that they compress better, and belong into one line (§8.2.3).
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let mut joined = first.as_bytes().to_vec();
        for crumb in std::iter::once(second).chain(crumbs) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb.as_bytes());
        }
        let joined = HeaderValue::from_bytes(&joined);
        let joined = joined.map_err(|_| (ErrorCode::InvalidRequest, "Send valid cookies."))?;
        headers.insert(COOKIE, joined);
    }
    Ok(())
}

/// Makes a response what HTTP/2 has: streams end one by one, and nothing cuts off a body that may not be there.
pub(crate) fn adapt_response(response: &mut Response<EdgeBody>, is_to_head: bool) {
    response.headers_mut().remove(CONNECTION);
    if !is_to_head || response.body().is_end_stream() {
        return;
    }
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    *response.body_mut() = EdgeBody::empty();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_that_came_apart_are_one_line() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=b", "c=d; e=f", "g=h"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        adapt_request(&Uri::from_static("https://a/"), &mut headers).unwrap();
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=b; c=d; e=f; g=h"]);
    }

    #[test]
    fn two_different_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a"));
        assert!(adapt_request(&Uri::from_static("https://a/"), &mut headers).is_ok());
        assert!(adapt_request(&Uri::from_static("https://b/"), &mut headers).is_err());
    }

    #[test]
    fn a_request_for_no_host_is_refused_as_in_http_1_1() {
        assert!(adapt_request(&Uri::from_static("/"), &mut HeaderMap::new()).is_err());
    }

    #[test]
    fn an_answer_to_head_keeps_its_length_and_has_no_body() {
        let mut response = Response::new(EdgeBody::full("four"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        adapt_response(&mut response, true);
        assert!(response.body().is_end_stream() && !response.headers().contains_key(CONNECTION));
        assert_eq!(response.headers().get(CONTENT_LENGTH).unwrap(), "4");
    }
}
