//! What headers cross the gateway: hop-by-hop ones do not, reserved ones are ours alone, identity is added.
//!
//! Deliberately absent: reading the credential (`credential`) and choosing the upstream (`path`).

use std::net::IpAddr;

use http::header::{CONNECTION, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE};
use rndrkit_domain::client::ClientInfo;
use rndrkit_domain::decision::Caller;
use rndrkit_domain::id::RequestId;

use super::cookies;
use crate::credential::X_API_KEY;
use crate::problem::X_RK_REQUEST_ID;

const X_RK_ACCOUNT_ID: HeaderName = HeaderName::from_static("x-rk-account-id");
const X_RK_EXTERNAL_ID: HeaderName = HeaderName::from_static("x-rk-external-id");
const X_RK_KEY_ID: HeaderName = HeaderName::from_static("x-rk-key-id");
const X_RK_PLAN: HeaderName = HeaderName::from_static("x-rk-plan");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that concern one connection only (RFC 9110, section 7.6.1, and what browsers and proxies add).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Protocols that carry requests of their own: behind them no request would be judged.
const REQUEST_PROTOCOLS: [&str; 5] = ["h2", "h2c", "h3", "http", "tls"];

/// How `name` reads to a server that folds headers into variables: there every character that is no letter
/// or digit becomes `_`, so that `X_Rk.Plan` and `X~Rk~Plan` are `X-Rk-Plan`.
fn folded_starts_with(name: &HeaderName, prefix: &str) -> bool {
    let name = name.as_str().as_bytes();
    name.get(..prefix.len()).is_some_and(|start| {
        start.iter().zip(prefix.bytes()).all(|(byte, wanted)| match byte {
            letter_or_digit if letter_or_digit.is_ascii_alphanumeric() => *letter_or_digit == wanted,
            _ => wanted == b'-',
        })
    })
}

/// Whether a header is ours to set, in whatever spelling.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    folded_starts_with(name, "x-rk-")
}

fn is_forwarding(name: &HeaderName) -> bool {
    folded_starts_with(name, "x-forwarded-")
        || name == FORWARDED
        || (name.as_str().len() == "x-real-ip".len() && folded_starts_with(name, "x-real-ip"))
}

fn is_rebuilt(name: &HeaderName) -> bool {
    name == FORWARDED
        || [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST].iter().any(|rebuilt| {
            name.as_str().len() == rebuilt.as_str().len() && folded_starts_with(name, rebuilt.as_str())
        })
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The names that `Connection` lists, read before anything of ours is added: a caller must not be able to
/// have an identity header dropped by naming it.
fn named_in_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_in_connection(headers) {
        headers.remove(name);
    }
    remove_where(headers, is_hop_by_hop);
}

/// The protocol that the caller asks to change to, if it is one that we pass on.
pub(crate) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = named_in_connection(headers).contains(&UPGRADE);
    let protocol = headers.get(UPGRADE).filter(|_| asked)?;
    let text = protocol.to_str().ok()?;
    let refused = text.split(',').any(|offer| {
        let name = offer.split('/').next().unwrap_or_default().trim();
        REQUEST_PROTOCOLS.iter().any(|refused| name.eq_ignore_ascii_case(refused))
    });
    if refused { None } else { Some(protocol.clone()) }
}

/// Whom a forwarded request is about.
pub(crate) struct Outgoing<'a> {
    /// Whose key; none where no key was wanted.
    pub(crate) caller: Option<&'a Caller>,
    /// The client.
    pub(crate) client: ClientInfo,
    /// Whether the peer's own forwarded headers may be believed.
    pub(crate) by_proxy: bool,
    /// The request.
    pub(crate) request_id: RequestId,
    /// The `Host` that the caller sent.
    pub(crate) client_host: Option<&'a HeaderValue>,
    /// The `Host` that the upstream gets.
    pub(crate) upstream_host: &'a HeaderValue,
    /// The protocol to change to.
    pub(crate) upgrade: Option<HeaderValue>,
}

/// Turns a caller's headers into those for the upstream. The credential is already gone.
pub(crate) fn prepare_request(headers: &mut HeaderMap, outgoing: &Outgoing<'_>) {
    let wants_trailers = headers.get(TE).is_some_and(|te| lists(te, b"trailers"));
    let forwarded_host = headers.get(X_FORWARDED_HOST).filter(|_| outgoing.by_proxy).cloned();
    remove_hop_by_hop(headers);
    // A trusted proxy's other statements, such as its prefix, stay; a stranger's do not.
    let by_proxy = outgoing.by_proxy;
    remove_where(headers, |name| {
        is_reserved(name) || if by_proxy { is_rebuilt(name) } else { is_forwarding(name) }
    });
    cookies::remove_ours_from_request(headers);
    if headers.get(EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        // The server side says "continue" itself, as soon as the upstream takes the body.
        headers.remove(EXPECT);
    }
    headers.insert(HOST, outgoing.upstream_host.clone());
    if let Some(upgrade) = &outgoing.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    } else if wants_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    add_forwarding(headers, outgoing, forwarded_host);
    add_identity(headers, outgoing);
}

fn lists(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

fn add_forwarding(headers: &mut HeaderMap, outgoing: &Outgoing<'_>, forwarded_host: Option<HeaderValue>) {
    let proto = if outgoing.client.https { "https" } else { "http" };
    let ip = outgoing.client.ip;
    let node = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    let mut forwarded = format!("for={node};proto={proto}");
    if let Some(host) = forwarded_host.or_else(|| outgoing.client_host.cloned()) {
        if let Some(text) = host.to_str().ok().filter(|text| !text.contains(['"', '\\'])) {
            forwarded = format!("{forwarded};host=\"{text}\"");
        }
        headers.insert(X_FORWARDED_HOST, host);
    }
    insert_text(headers, X_FORWARDED_FOR, &ip.to_string());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    insert_text(headers, FORWARDED, &forwarded);
}

fn add_identity(headers: &mut HeaderMap, outgoing: &Outgoing<'_>) {
    insert_text(headers, X_RK_REQUEST_ID, &outgoing.request_id.to_string());
    let Some(caller) = outgoing.caller else { return };
    insert_text(headers, X_RK_ACCOUNT_ID, &caller.account_id.to_string());
    insert_text(headers, X_RK_KEY_ID, &caller.key_id.to_string());
    insert_text(headers, X_RK_PLAN, caller.plan.as_str());
    insert_text(headers, X_RK_EXTERNAL_ID, caller.external_id.as_deref().map_or("-", |id| id.as_str()));
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Turns an upstream's headers into those for the caller.
pub(crate) fn prepare_response(headers: &mut HeaderMap, upgrade: bool) {
    let protocol = headers.get(UPGRADE).filter(|_| upgrade).cloned();
    remove_hop_by_hop(headers);
    remove_where(headers, is_reserved);
    cookies::remove_ours_from_response(headers);
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Removes from trailers what would not have passed as a header.
pub(crate) fn prepare_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_hop_by_hop(name)
            || is_reserved(name)
            || is_forwarding(name)
            || *name == X_API_KEY
            || matches!(name.as_str(), "cookie" | "set-cookie" | "authorization" | "host" | "content-length")
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HeaderName {
        HeaderName::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn reserved_names_are_recognised_in_every_spelling() {
        for text in ["X-Rk-Plan", "x_rk_plan", "X.Rk.Plan", "x-rk_anything", "X-RK-"] {
            assert!(is_reserved(&name(text)), "{text}");
        }
        for text in ["x-rkplan", "xrk-plan", "x-r", "my-x-rk-plan"] {
            assert!(!is_reserved(&name(text)), "{text}");
        }
    }

    #[test]
    fn an_upgrade_needs_both_headers_and_never_leads_to_unjudged_requests() {
        let wanted = |connection: &str, upgrade: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, connection.parse().unwrap());
            headers.insert(UPGRADE, upgrade.parse().unwrap());
            wanted_upgrade(&headers).is_some()
        };
        assert!(wanted("keep-alive, Upgrade", "websocket"));
        assert!(!wanted("keep-alive", "websocket"));
        for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0", "h2"] {
            assert!(!wanted("Upgrade", protocol), "{protocol}");
        }
    }

    #[test]
    fn trailers_carry_no_more_than_headers() {
        let mut trailers = HeaderMap::new();
        for text in ["x-checksum", "x-rk-plan", "x_rk_plan", "x-api-key", "set-cookie", "transfer-encoding"] {
            trailers.insert(name(text), HeaderValue::from_static("1"));
        }
        prepare_trailers(&mut trailers);
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-checksum"]);
    }
}
