//! What headers cross the gateway: hop-by-hop ones do not, reserved ones are ours alone, identity is added.
//!
//! Deliberately absent: reading the credential (`credential`) and choosing the upstream (`path`).

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE,
    TRANSFER_ENCODING, UPGRADE,
};
use rndrkit_domain::client::ClientInfo;
use rndrkit_domain::decision::Caller;
use rndrkit_domain::id::RequestId;

use super::cookies;
use super::lines::{IpText, Lines, Ours, ours};
use crate::credential::X_API_KEY;

const ACCOUNT_ID: Ours = ours!("x-rk-account-id");
const EXTERNAL_ID: Ours = ours!("x-rk-external-id");
const KEY_ID: Ours = ours!("x-rk-key-id");
const PLAN: Ours = ours!("x-rk-plan");
const REQUEST_ID: Ours = ours!("x-rk-request-id");
const FORWARDED_IN_FULL: Ours = ours!("forwarded");
const FORWARDED_FOR: Ours = ours!("x-forwarded-for");
const FORWARDED_PROTO: Ours = ours!("x-forwarded-proto");
const COOKIES: Ours = ours!("cookie");
const CODING: Ours = ours!("transfer-encoding");
const FOR_THE_CONNECTION: Ours = ours!("connection");
const TAKES: Ours = ours!("te");
const X_RK_HOPS: HeaderName = HeaderName::from_static("x-rk-hops");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

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

/// Whether a header makes frameworks take the request for one with another method, in whatever spelling.
pub(crate) fn overrides_method(name: &HeaderName) -> bool {
    ["x-http-method", "x-method-override"].iter().any(|prefix| folded_starts_with(name, prefix))
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

/// Whether a header reads, to a server that folds names, like the body's length or coding, or like the key:
/// spelt rightly those are judged and written anew.
fn is_misspelt(name: &HeaderName) -> bool {
    let other = |right: &HeaderName| {
        name.as_str().len() == right.as_str().len()
            && name != right
            && folded_starts_with(name, right.as_str())
    };
    // Lengths first: this is asked of each header.
    matches!(name.as_str().len(), 9 | 14 | 17)
        && (other(&X_API_KEY) || other(&CONTENT_LENGTH) || other(&TRANSFER_ENCODING))
}

/// Whether a header concerns one connection only (RFC 9110, section 7.6.1, and what browsers and proxies add).
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
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

/// The protocol that the caller asks to change to, if it is one that we pass on.
pub(crate) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    if !named_in_connection(headers).contains(&UPGRADE) {
        return None;
    }
    let text = protocol.to_str().ok()?;
    let refused = text.split(',').any(|offer| {
        let name = offer.split('/').next().unwrap_or_default().trim();
        REQUEST_PROTOCOLS.iter().any(|refused| name.eq_ignore_ascii_case(refused))
    });
    if refused { None } else { Some(protocol.clone()) }
}

/// Whether an answer changes to one of the protocols that were offered, and to no other: behind that might be
/// requests that nobody judges.
pub(crate) fn is_offered(offers: &HeaderValue, answered: &HeaderMap) -> bool {
    let mut chosen = answered.get_all(UPGRADE).iter();
    chosen.next().is_some_and(|protocol| lists(offers, protocol.as_bytes())) && chosen.next().is_none()
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
    /// Bytes of the body, where that is known.
    pub(crate) body_length: Option<u64>,
    /// How often it was forwarded already without a key.
    pub(crate) hops: u8,
}

/// How often gateways forwarded this request without a key. Where one is wanted it is taken out, and so a circle
/// ends there by itself. A caller who says so itself is only refused sooner.
pub(crate) fn hops(headers: &HeaderMap) -> u8 {
    let told = headers.get(X_RK_HOPS).and_then(|hops| hops.to_str().ok());
    told.map_or(0, |hops| hops.parse().unwrap_or(u8::MAX))
}

/// Which of the headers that are written anew the caller sent.
#[derive(Default)]
struct Rewritten {
    cookies: bool,
    length: bool,
    trailers: bool,
    host: Option<HeaderValue>,
}

/// Turns a caller's headers into those for the upstream. The credential is already gone.
pub(crate) fn write_request(headers: &HeaderMap, outgoing: &Outgoing<'_>, lines: &mut impl Lines) {
    lines.pass(&HOST, outgoing.upstream_host);
    let named = named_in_connection(headers);
    let mut rewritten = Rewritten::default();
    for (name, value) in headers {
        if passes(name, value, outgoing.by_proxy, &mut rewritten) && !named.contains(name) {
            lines.pass(name, value);
        }
    }
    if rewritten.cookies && !named.contains(&COOKIE) {
        add_cookies(headers, lines);
    }
    add_framing(outgoing, &rewritten, lines);
    add_forwarding(outgoing, rewritten.host.as_ref(), lines);
    add_identity(outgoing, lines);
}

/// Whether a caller's header goes on as it is.
fn passes(name: &HeaderName, value: &HeaderValue, by_proxy: bool, rewritten: &mut Rewritten) -> bool {
    match name.as_str() {
        "content-length" => {
            rewritten.length = true;
            false
        }
        "cookie" => {
            rewritten.cookies = true;
            false
        }
        "te" => {
            rewritten.trailers |= lists(value, b"trailers");
            false
        }
        "x-forwarded-host" => {
            if by_proxy && rewritten.host.is_none() {
                rewritten.host = Some(value.clone());
            }
            false
        }
        // The server side says "continue" itself, as soon as the upstream takes the body; nothing else can be
        // expected (RFC 9110, section 10.1.1), and two servers may read it differently. The route chooses the host.
        "expect" | "host" => false,
        // A trusted proxy's other statements, such as its prefix, stay; a stranger's do not.
        _ => {
            let is_ours = if by_proxy { is_rebuilt(name) } else { is_forwarding(name) };
            !(is_hop_by_hop(name) || is_reserved(name) || is_ours || is_misspelt(name))
        }
    }
}

/// The caller's cookies without ours, in one line: HTTP/2 may cut it up, HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn add_cookies(headers: &HeaderMap, lines: &mut impl Lines) {
    let mut cookies = HeaderMap::with_capacity(1);
    for line in headers.get_all(COOKIE) {
        cookies.append(COOKIE, line.clone());
    }
    cookies::remove_ours_from_request(&mut cookies);
    let mut kept = cookies.get_all(COOKIE).iter();
    if let Some(first) = kept.next() {
        lines.add(&COOKIES, |line| kept.fold(line.put(first), |line, more| line.put(&"; ").put(more)));
    }
}

fn add_framing(outgoing: &Outgoing<'_>, rewritten: &Rewritten, lines: &mut impl Lines) {
    match outgoing.body_length {
        None => lines.add(&CODING, |value| value.put(&"chunked")),
        Some(0) if !rewritten.length => {}
        Some(length) => lines.pass(&CONTENT_LENGTH, &HeaderValue::from(length)),
    }
    if let Some(upgrade) = &outgoing.upgrade {
        lines.add(&FOR_THE_CONNECTION, |value| value.put(&"upgrade"));
        lines.pass(&UPGRADE, upgrade);
    } else if rewritten.trailers {
        lines.add(&FOR_THE_CONNECTION, |value| value.put(&"te"));
        lines.add(&TAKES, |value| value.put(&"trailers"));
    }
}

fn lists(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

fn add_forwarding(outgoing: &Outgoing<'_>, by_proxy: Option<&HeaderValue>, lines: &mut impl Lines) {
    let proto = if outgoing.client.https { "https" } else { "http" };
    let ip = IpText::new(outgoing.client.ip);
    let (open, close) =
        if outgoing.client.ip.is_ipv4() { ("for=", ";proto=") } else { ("for=\"[", "]\";proto=") };
    lines.add(&FORWARDED_FOR, |value| value.put(&ip));
    lines.add(&FORWARDED_PROTO, |value| value.put(&proto));
    let host = by_proxy.or(outgoing.client_host);
    if let Some(host) = host {
        lines.pass(&X_FORWARDED_HOST, host);
    }
    lines.add(&FORWARDED_IN_FULL, |value| {
        let value = value.put(&open).put(&ip).put(&close).put(&proto);
        match host.filter(|host| can_be_quoted(host)) {
            Some(host) => value.put(&";host=\"").put(host).put(&"\""),
            None => value,
        }
    });
}

/// Whether a value can stand between quotes as it is.
fn can_be_quoted(value: &HeaderValue) -> bool {
    let breaks = |byte: &u8| matches!(byte, b'"' | b'\\' | 0x80..);
    !value.as_bytes().iter().fold(false, |found, byte| found | breaks(byte))
}

fn add_identity(outgoing: &Outgoing<'_>, lines: &mut impl Lines) {
    lines.add(&REQUEST_ID, |value| value.put(&outgoing.request_id.text()));
    let Some(caller) = outgoing.caller else {
        return lines.pass(&X_RK_HOPS, &HeaderValue::from(u16::from(outgoing.hops) + 1));
    };
    lines.add(&ACCOUNT_ID, |value| value.put(&caller.account_id.text()));
    lines.add(&KEY_ID, |value| value.put(&caller.key_id.text()));
    lines.add(&PLAN, |value| value.put(&caller.plan));
    lines.add(&EXTERNAL_ID, |value| match caller.external_id.as_deref() {
        Some(id) => value.put(id),
        None => value.put(&"-"),
    });
}

/// Whether an upstream's header goes on to the caller.
fn passes_back(name: &HeaderName) -> bool {
    !is_hop_by_hop(name) && !is_reserved(name)
}

/// Collects those of an upstream's headers that go on to the caller.
pub(crate) struct ResponseHeaders {
    kept: HeaderMap,
    /// What `Connection` names besides the words for the connection itself.
    named: Vec<HeaderName>,
    says_close: bool,
    has_cookies: bool,
}

/// Lines that are added to every answer.
const ADDED_LINES: usize = 3;

impl ResponseHeaders {
    /// None yet, with room for so many.
    pub(crate) fn with_capacity(lines: usize) -> Self {
        let kept = HeaderMap::with_capacity(lines + ADDED_LINES);
        Self { kept, named: Vec::new(), says_close: false, has_cookies: false }
    }

    /// Takes one line, but for `Connection`.
    pub(crate) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        if passes_back(&name) {
            self.has_cookies |= name == SET_COOKIE;
            self.keep(name, value);
        }
    }

    /// Takes one line of those that always pass and are no cookie.
    pub(crate) fn keep(&mut self, name: HeaderName, value: HeaderValue) {
        self.kept.append(name, value);
    }

    /// Takes the value of a `Connection`.
    pub(crate) fn note_connection(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            return;
        }
        for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if word.eq_ignore_ascii_case(b"close") {
                self.says_close = true;
            } else if !word.eq_ignore_ascii_case(b"keep-alive") {
                self.named.extend(HeaderName::from_bytes(word));
            }
        }
    }

    /// The headers, and whether the upstream closes the connection after its answer.
    pub(crate) fn finish(mut self) -> (HeaderMap, bool) {
        for name in self.named {
            self.kept.remove(name);
        }
        if self.has_cookies {
            cookies::remove_ours_from_response(&mut self.kept);
        }
        (self.kept, self.says_close)
    }
}

/// Turns an upstream's headers into those for the caller.
pub(crate) fn prepare_response(headers: &mut HeaderMap, upgrade: bool) {
    let protocol = headers.get(UPGRADE).filter(|_| upgrade).cloned();
    for name in named_in_connection(headers) {
        headers.remove(name);
    }
    remove_where(headers, |name| !passes_back(name));
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
