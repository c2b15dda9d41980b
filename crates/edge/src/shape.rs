//! Whether a request is well-formed beyond what the HTTP parser already demands.
//!
//! What decides where an HTTP/1 request ends was looked at before the parser saw it (`intake`); the bounds are
//! for HTTP/2 too. What the parser lets pass and we do not is here.

use http::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Uri, Version};
use rndrkit_api::error::ErrorCode;

/// The most header lines.
pub(crate) const MAX_HEADERS: usize = 96;
/// The most bytes of header names and values: what common servers take, doubled twice for large cookies.
pub(crate) const MAX_HEADER_BYTES: usize = 32 * 1024;

/// What is wrong with a request's shape: the code, and the sentence for the caller.
pub(crate) type ShapeError = (ErrorCode, &'static str);

/// Checks a request, and returns the host that it is meant for, if it names one.
pub(crate) fn check(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, ShapeError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err((ErrorCode::HeadersTooLarge, "Send at most 96 headers, and 32 KiB of them."));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        // Another coding would be lost on the next hop, and the body with it.
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err((ErrorCode::InvalidRequest, "The only Transfer-Encoding that is read is: chunked."));
        }
    }
    host(version, uri, headers)
}

/// The host of a request: of its absolute target, if it has one, else of its one `Host` header.
fn host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Option<HeaderValue>, ShapeError> {
    let invalid = (ErrorCode::InvalidRequest, "Send one valid Host header.");
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && version == Version::HTTP_11) {
        return Err(invalid);
    }
    if let Some(authority) = uri.authority() {
        return if authority.as_str().contains('@') {
            Err(invalid)
        } else {
            HeaderValue::from_str(authority.as_str()).map(Some).map_err(|_| invalid)
        };
    }
    let Some(host) = host else { return Ok(None) };
    let is_valid = |text: &str| text.parse::<Authority>().is_ok() && !text.contains('@');
    if host.to_str().is_ok_and(is_valid) { Ok(Some(host.clone())) } else { Err(invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(lines: &[(&'static str, &str)]) -> Option<ErrorCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        check(Version::HTTP_11, &Uri::from_static("/"), &headers).err().map(|(code, _)| code)
    }

    #[test]
    fn a_request_names_exactly_one_valid_host() {
        assert_eq!(code(&[("host", "example.com:80")]), None);
        assert_eq!(code(&[("host", "[::1]:80")]), None);
        for lines in [
            vec![],
            vec![("host", "a"), ("host", "a")],
            vec![("host", "a, b")],
            vec![("host", "a/b")],
            vec![("host", "user@a")],
            vec![("host", "")],
        ] {
            assert_eq!(code(&lines), Some(ErrorCode::InvalidRequest), "{lines:?}");
        }
    }

    #[test]
    fn a_coding_that_would_be_lost_is_refused() {
        assert_eq!(code(&[("host", "a"), ("transfer-encoding", "Chunked")]), None);
        for coding in ["gzip, chunked", "identity", "chunked, chunked"] {
            let lines = [("host", "a"), ("transfer-encoding", coding)];
            assert_eq!(code(&lines), Some(ErrorCode::InvalidRequest), "{coding}");
        }
        let twice = [("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(code(&twice), Some(ErrorCode::InvalidRequest));
    }

    #[test]
    fn too_many_or_too_large_headers_are_named_as_such() {
        let large = "a".repeat(MAX_HEADER_BYTES);
        assert_eq!(code(&[("host", "a"), ("x-large", &large)]), Some(ErrorCode::HeadersTooLarge));
        let mut many = vec![("x-many", "1"); MAX_HEADERS];
        many.push(("host", "a"));
        assert_eq!(code(&many), Some(ErrorCode::HeadersTooLarge));
    }
}
