//! Who may ask forward auth, and what an asker says about the client behind it.
//!
//! An endpoint that tells good keys from bad ones must not be open to everybody. Deliberately absent: the key.

use std::net::{IpAddr, SocketAddr};

use http::Request;
use http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;
use rndrkit_domain::key_text::Digest;

use super::Dialect;
use crate::client_address;
use crate::observe::told;
use crate::options::EdgeOptions;

/// What callers share with us, if that is wanted. The one `X-Rk-*` header that is ever read.
const X_RK_AUTHZ_SECRET: HeaderName = HeaderName::from_static("x-rk-authz-secret");
/// The client's address, as our template for nginx sets it, and ingress-nginx by itself.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The client's address, which Envoy sets itself and takes from nobody outside.
const X_ENVOY_EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// What a proxy was asked for.
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Whether the peer of a connection may ask, and sent what it has to.
///
/// The peer is the other end of the socket: whoever is asked about must not be able to choose it.
pub(super) fn may_ask(options: &EdgeOptions, peer: SocketAddr, headers: &HeaderMap) -> bool {
    let peer = peer.ip().to_canonical();
    options.authz_callers.iter().any(|net| net.contains(&peer))
        && options.authz_secret.is_none_or(|wanted| sends(headers, wanted))
}

/// Whether exactly one secret is sent, and it is this one. Digests are compared, so how far the comparison runs
/// says nothing about the secret.
fn sends(headers: &HeaderMap, wanted: Digest) -> bool {
    let mut values = headers.get_all(X_RK_AUTHZ_SECRET).iter();
    let sent = values.next().and_then(|value| value.to_str().ok());
    values.next().is_none() && sent.is_some_and(|text| Digest::of(text) == wanted)
}

/// The client, as the asker says: whoever may ask is believed. None when it does not say, and then no address
/// is blamed for keys that do not exist; the proxy's own would be everybody's.
pub(super) fn client(dialect: Dialect, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    match dialect {
        Dialect::Nginx => only_address(headers, &X_REAL_IP),
        Dialect::Traefik | Dialect::Caddy => {
            // The asker has written the rightmost hop, and what is left of a trusted proxy that one wrote.
            let mut client = None;
            for hop in client_address::hops_from_the_right(headers) {
                let Some(hop) = hop else { break };
                client = Some(hop);
                if !trusted.iter().any(|net| net.contains(&hop)) {
                    break;
                }
            }
            client
        }
        // Its X-Forwarded-For ends with Envoy's own address, or not, as versions and settings have it.
        Dialect::Envoy => only_address(headers, &X_ENVOY_EXTERNAL_ADDRESS),
    }
}

/// Method and path of the request that is asked about, as far as the asker says them. They decide nothing.
pub(super) fn asked<B>(dialect: Dialect, request: &Request<B>) -> (Option<&str>, Option<&str>) {
    let headers = request.headers();
    match dialect {
        // What nginx asks is always a GET of ours; these two say more where its configuration sets them.
        Dialect::Nginx => (told(headers, &X_ORIGINAL_METHOD), told(headers, &X_ORIGINAL_URI)),
        Dialect::Traefik | Dialect::Caddy => {
            (told(headers, &X_FORWARDED_METHOD), told(headers, &X_FORWARDED_URI))
        }
        Dialect::Envoy => {
            let path = request.uri().path().strip_prefix("/authz/envoy").filter(|path| !path.is_empty());
            (Some(request.method().as_str()), path)
        }
    }
}

fn only_address(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    value.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
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

    fn seen(dialect: Dialect, lines: &[(&'static str, &'static str)]) -> Option<String> {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        client(dialect, &headers(lines), &trusted).map(|ip| ip.to_string())
    }

    #[test]
    fn each_dialect_names_the_client_in_its_own_header_and_no_other_is_read() {
        let all = [
            ("x-real-ip", "192.0.2.1"),
            ("x-forwarded-for", "203.0.113.1, 192.0.2.2, 10.0.0.9"),
            ("x-envoy-external-address", "192.0.2.3"),
        ];
        assert_eq!(seen(Dialect::Nginx, &all).unwrap(), "192.0.2.1");
        assert_eq!(seen(Dialect::Traefik, &all).unwrap(), "192.0.2.2");
        assert_eq!(seen(Dialect::Caddy, &all).unwrap(), "192.0.2.2");
        assert_eq!(seen(Dialect::Envoy, &all).unwrap(), "192.0.2.3");
        for dialect in [Dialect::Nginx, Dialect::Traefik, Dialect::Caddy, Dialect::Envoy] {
            assert_eq!(seen(dialect, &[("x_real_ip", "192.0.2.1"), ("x_forwarded_for", "192.0.2.1")]), None);
        }
    }

    #[test]
    fn an_address_that_stands_twice_or_is_none_is_not_believed() {
        assert_eq!(seen(Dialect::Nginx, &[("x-real-ip", "192.0.2.1"), ("x-real-ip", "192.0.2.2")]), None);
        assert_eq!(seen(Dialect::Envoy, &[("x-envoy-external-address", "unix")]), None);
        assert_eq!(seen(Dialect::Caddy, &[("x-forwarded-for", "192.0.2.1, unknown")]), None);
        assert_eq!(seen(Dialect::Caddy, &[("x-forwarded-for", "::ffff:192.0.2.1")]).unwrap(), "192.0.2.1");
    }

    #[test]
    fn a_caller_is_known_by_its_socket_and_by_the_whole_secret_sent_once() {
        let mut options = EdgeOptions::new("http://localhost", Digest::of("x"));
        let may = |options: &EdgeOptions, peer: &str, lines: &[(&'static str, &'static str)]| {
            may_ask(options, SocketAddr::new(peer.parse().unwrap(), 1), &headers(lines))
        };
        assert!(may(&options, "127.0.0.1", &[]) && may(&options, "::ffff:127.0.0.1", &[]));
        assert!(!may(&options, "192.0.2.1", &[("x-forwarded-for", "127.0.0.1")]));
        options.authz_secret = Some(Digest::of("sixteen characters"));
        let right = ("x-rk-authz-secret", "sixteen characters");
        assert!(may(&options, "127.0.0.1", &[right]));
        assert!(!may(&options, "192.0.2.1", &[right]));
        let wrong = ("x-rk-authz-secret", "sixteen character");
        for lines in [&[][..], &[wrong], &[right, right], &[right, wrong], &[wrong, right]] {
            assert!(!may(&options, "127.0.0.1", lines), "{lines:?}");
        }
    }
}
