//! Whether a request is well-formed beyond what the HTTP parser already demands.
//!
//! What decides where an HTTP/1 request ends was looked at before the parser saw it (`intake`); the bounds are
//! for HTTP/2 too. What the parser lets pass and we do not is here.

use http::header::{HOST, HeaderMap, HeaderValue};
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
    // An HTTP/1 head was measured as it came in.
    if version == Version::HTTP_2 {
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            return Err((ErrorCode::HeadersTooLarge, "Send at most 96 headers, and 32 KiB of them."));
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
    let is_valid = |text: &str| {
        let is_whole = |host: &Authority| {
            !host.host().is_empty() && (host.host().len() == text.len() || host.port().is_some())
        };
        !text.contains('@') && text.parse::<Authority>().is_ok_and(|host| is_whole(&host))
    };
    let is_good = is_plain(host.as_bytes()) || host.to_str().is_ok_and(is_valid);
    if is_good { Ok(Some(host.clone())) } else { Err(invalid) }
}

/// Whether this is a name or an IPv4 address, with or without a port: nearly always so, and seen without parsing.
fn is_plain(host: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    let is_port = |port: &[u8]| (1..=4).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    match host.iter().rposition(|byte| *byte == b':').and_then(|at| host.split_at_checked(at)) {
        Some((name, [_, port @ ..])) => is_name(name) && is_port(port),
        _ => is_name(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(lines: &[(&'static str, &str)]) -> Option<ErrorCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let codes = [Version::HTTP_11, Version::HTTP_2]
            .map(|version| check(version, &Uri::from_static("/"), &headers).err().map(|(code, _)| code));
        codes.into_iter().flatten().next()
    }

    #[test]
    fn a_request_names_exactly_one_valid_host() {
        assert_eq!(code(&[("host", "example.com:80")]), None);
        assert_eq!(code(&[("host", "[::1]:80")]), None);
        assert_eq!(code(&[("host", "a_b:65535")]), None);
        for lines in [
            vec![],
            vec![("host", "a"), ("host", "a")],
            vec![("host", "a, b")],
            vec![("host", "a/b")],
            vec![("host", "user@a")],
            vec![("host", "")],
            vec![("host", "a:80:80")],
            vec![("host", "a:x")],
            vec![("host", ":80")],
        ] {
            assert_eq!(code(&lines), Some(ErrorCode::InvalidRequest), "{lines:?}");
        }
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
