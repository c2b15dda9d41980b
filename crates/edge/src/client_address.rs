//! Who the client is: the socket's peer, or what a trusted proxy says about it.
//!
//! Forwarded headers of anybody else are not read. Only the exact dashed names count.

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;
use rndrkit_domain::client::ClientInfo;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is known about the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// The client.
    pub(crate) info: ClientInfo,
    /// Whether the peer is a trusted proxy, whose other forwarded headers may be believed too.
    pub(crate) by_proxy: bool,
}

/// Finds the client behind a request that came from `peer`, over TLS or not.
pub(crate) fn find(peer: SocketAddr, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let peer = peer.ip().to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return Client { info: ClientInfo { ip: peer, https: tls }, by_proxy: false };
    }
    let mut client = peer;
    for hop in hops_from_the_right(headers) {
        // What stands left of a text that is no address was not written by a proxy that we know.
        let Some(hop) = hop else { break };
        client = hop;
        if !is_trusted(&hop) {
            break;
        }
    }
    let https = forwarded_proto(headers).unwrap_or(tls);
    Client { info: ClientInfo { ip: client, https }, by_proxy: true }
}

/// The hops of `X-Forwarded-For`, nearest first; none where a text is no address.
pub(crate) fn hops_from_the_right(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|line| {
        let line = line.to_str().unwrap_or("?");
        line.rsplit(',').map(|hop| parse_hop(hop.trim()))
    })
}

/// `192.0.2.1`, `192.0.2.1:5000`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5000`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    ip.ok().map(|ip| ip.to_canonical())
}

/// The scheme that the nearest proxy reports; none when it reports none or nonsense.
fn forwarded_proto(headers: &HeaderMap) -> Option<bool> {
    let line = headers.get_all(X_FORWARDED_PROTO).iter().next_back()?.to_str().ok()?;
    match line.rsplit(',').next()?.trim() {
        scheme if scheme.eq_ignore_ascii_case("https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn seen(peer: &str, lines: &[(&'static str, &'static str)]) -> (String, bool) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let client = find(peer.parse().unwrap(), false, &headers(lines), &trusted);
        (client.info.ip.to_string(), client.info.https)
    }

    #[test]
    fn a_stranger_cannot_choose_its_own_address_or_scheme() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")];
        assert_eq!(seen("198.51.100.1:1", &lines), ("198.51.100.1".to_owned(), false));
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_rightmost_untrusted_hop() {
        let lines = [("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.2"), ("x-forwarded-proto", "https")];
        assert_eq!(seen("10.0.0.1:1", &lines), ("203.0.113.9".to_owned(), true));
        let split = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9:443")];
        assert_eq!(seen("10.0.0.1:1", &split), ("203.0.113.9".to_owned(), false));
        assert_eq!(seen("[::ffff:10.0.0.1]:1", &split).0, "203.0.113.9");
        let six = [("x-forwarded-for", "[2001:db8:2::7]:9, 2001:db8:1::1")];
        assert_eq!(seen("[2001:db8:1::2]:1", &six).0, "2001:db8:2::7");
    }

    #[test]
    fn what_stands_left_of_nonsense_is_not_believed() {
        assert_eq!(seen("10.0.0.1:1", &[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")]).0, "10.0.0.2");
        assert_eq!(seen("10.0.0.1:1", &[("x-forwarded-for", "")]).0, "10.0.0.1");
        assert_eq!(seen("10.0.0.1:1", &[("x_forwarded_for", "1.1.1.1")]).0, "10.0.0.1");
    }
}
