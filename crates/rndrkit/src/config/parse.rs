//! Readers of single values: addresses, networks, words, origins. Each knows no setting.

use std::net::SocketAddr;

use http::Uri;
use ipnet::IpNet;

pub(super) const ADDRESS: &str = "must be an address and port, such as 127.0.0.1:8080 or [::1]:8080";
pub(super) const NETWORKS: &str = "must be addresses or networks, such as 10.0.0.0/8 or ::1";
pub(super) const ORIGIN: &str =
    "must be http:// or https://, a host and perhaps a port, and nothing else, such as http://127.0.0.1:3000";

pub(super) fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// A network, or one address as the network that holds it alone.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address)))
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Option<T> {
    move |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

/// `must be open, invite or closed`.
pub(super) fn one_of<T>(words: &[(&str, T)]) -> String {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("must be {} or {last}", rest.join(", ")),
        _ => format!("must be {}", names.concat()),
    }
}

/// Scheme, host and perhaps a port: no user, path or query.
pub(super) fn origin(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme_ok = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority()?;
    let port_ok = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse::<u16>().is_ok_and(|port| port > 0),
        _ => true,
    };
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains(['@', '#']);
    (scheme_ok && bare && port_ok && !authority.host().is_empty()).then_some(uri)
}

/// A path that stands for everything below it: plain characters, `/` at both ends, no dot segments.
pub(super) fn folder_path(text: &str) -> Option<String> {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    let inner = text.strip_prefix('/')?;
    let shaped = inner.is_empty() || inner.strip_suffix('/')?.split('/').all(plain);
    shaped.then(|| text.to_owned())
}

/// A secret that travels in a header: visible ASCII within a length.
pub(super) fn header_secret(text: &str, at_least: usize) -> bool {
    (at_least..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Longer credentials are refused unread, so nobody may set one.
pub(super) const SECRET_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        for good in ["http://a", "https://a.example:8443", "http://[::1]:80", "http://127.0.0.1:3000/"] {
            assert!(origin(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:80",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://u@a",
            "http://u:p@a",
            "/a",
            "http://a:99999",
            "http://a:0",
            "http://a:b",
            "http://a b",
        ] {
            assert!(origin(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_folder_path_has_one_spelling() {
        for good in ["/", "/api/", "/api/v1.2/a_b-c~/"] {
            assert!(folder_path(good).is_some(), "{good}");
        }
        for bad in ["", "api/", "/api", "//", "/a//b/", "/a/../b/", "/./", "/a%2fb/", "/a b/", "/a?/", "/ä/"]
        {
            assert!(folder_path(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_address_stands_for_the_network_that_holds_it_alone() {
        assert_eq!(network("10.1.2.3"), "10.1.2.3/32".parse().ok());
        assert_eq!(network("::1"), "::1/128".parse().ok());
        assert_eq!(network("10.0.0.0/8"), "10.0.0.0/8".parse().ok());
        assert_eq!(network("10.0.0.0/40"), None);
        assert_eq!(network("localhost"), None);
    }
}
