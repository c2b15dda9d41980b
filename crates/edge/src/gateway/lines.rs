//! How the lines of a forwarded request are written: into a map, or as text. What is written, `headers` says.

use std::io::Write;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use rndrkit_domain::id::IdText;
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::text::ExternalId;

/// A header that we add.
pub(crate) struct Ours {
    name: HeaderName,
    /// How its line begins: the name, a colon and a space.
    start: &'static str,
}

impl Ours {
    /// One with this name and this beginning of its line.
    pub(crate) const fn new(name: HeaderName, start: &'static str) -> Self {
        Self { name, start }
    }
}

/// A header of ours by its name, in lower case.
macro_rules! ours {
    ($name:literal) => {
        $crate::gateway::lines::Ours::new(http::header::HeaderName::from_static($name), concat!($name, ": "))
    };
}
pub(crate) use ours;

/// What no line can be ended with, because its type has no such characters. So nothing that is added has to be read
/// again for them.
pub(crate) trait OneLine {
    fn bytes(&self) -> &[u8];
}

/// Our own words.
impl OneLine for &'static str {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl OneLine for HeaderValue {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl OneLine for IdText {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl OneLine for PlanId {
    fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl OneLine for ExternalId {
    fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl OneLine for IpText {
    fn bytes(&self) -> &[u8] {
        self.space.get(..self.length).unwrap_or_default()
    }
}

/// The value of a line that is being written.
pub(crate) struct Value<'a>(&'a mut Vec<u8>);

impl Value<'_> {
    /// Writes on.
    #[must_use]
    pub(crate) fn put(self, part: &impl OneLine) -> Self {
        self.0.extend_from_slice(part.bytes());
        self
    }
}

/// Where the lines of a forwarded request go: into a map, or into a text. What they are is decided once.
pub(crate) trait Lines {
    /// One of the caller's.
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue);

    /// One of ours. What writes it is a type of its own, so that each line becomes a few moves of known length.
    fn add(&mut self, header: &Ours, write: impl for<'v> FnOnce(Value<'v>) -> Value<'v>);
}

impl Lines for HeaderMap {
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name.clone(), value.clone());
    }

    fn add(&mut self, header: &Ours, write: impl for<'v> FnOnce(Value<'v>) -> Value<'v>) {
        let mut value = Vec::new();
        write(Value(&mut value));
        // Whatever can be put into one line can be a value.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            self.append(header.name.clone(), value);
        }
    }
}

/// Lines as they stand in a request's head.
pub(crate) struct Text<'a>(pub(crate) &'a mut Vec<u8>);

impl Lines for Text<'_> {
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value.as_bytes());
        self.0.extend_from_slice(b"\r\n");
    }

    fn add(&mut self, header: &Ours, write: impl for<'v> FnOnce(Value<'v>) -> Value<'v>) {
        self.0.extend_from_slice(header.start.as_bytes());
        write(Value(self.0)).0.extend_from_slice(b"\r\n");
    }
}

/// Characters of the longest IP address.
const LONGEST_IP: usize = 45;

/// An IP address as text.
pub(crate) struct IpText {
    space: [u8; LONGEST_IP],
    length: usize,
}

impl IpText {
    /// The text.
    pub(crate) fn new(ip: IpAddr) -> Self {
        let mut text = Self { space: [0; LONGEST_IP], length: 0 };
        match ip {
            IpAddr::V4(ip) => text.write_dotted(ip.octets()),
            IpAddr::V6(ip) => {
                let mut rest = text.space.as_mut_slice();
                // Every address fits.
                let _ = write!(rest, "{ip}");
                text.length = LONGEST_IP - rest.len();
            }
        }
        text
    }

    /// Writes four numbers. Formatting them the usual way costs more than all the rest of a line.
    fn write_dotted(&mut self, octets: [u8; 4]) {
        for (place, octet) in octets.into_iter().enumerate() {
            if place > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(octet / 100 + b'0');
            }
            if octet >= 10 {
                self.push(octet / 10 % 10 + b'0');
            }
            self.push(octet % 10 + b'0');
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.space.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for text in ["0.0.0.0", "255.255.255.255", "10.1.99.100", "9.109.200.0", "::1", "2001:db8::ff00:42"] {
            assert_eq!(IpText::new(text.parse().unwrap()).bytes(), text.as_bytes());
        }
        let longest = IpAddr::from([0xffff_u16; 8]);
        assert_eq!(IpText::new(longest).bytes(), longest.to_string().as_bytes());
    }

    #[test]
    fn a_line_of_ours_is_the_same_in_a_map_and_in_a_text() {
        let header = ours!("x-rk-plan");
        let (plan, other) = (PlanId::parse("agency_2").unwrap(), HeaderValue::from_static("a b"));
        let (mut map, mut text) = (HeaderMap::new(), Vec::new());
        map.add(&header, |value| value.put(&plan).put(&"; ").put(&other));
        Text(&mut text).add(&header, |value| value.put(&plan).put(&"; ").put(&other));
        assert_eq!(map.get("x-rk-plan").unwrap(), "agency_2; a b");
        assert_eq!(text, b"x-rk-plan: agency_2; a b\r\n");
    }

    #[test]
    fn nothing_that_can_be_put_into_a_line_ends_it() {
        for end in ["\r", "\n", "\0", "\u{7f}", "a\r\nb: c"] {
            assert!(PlanId::parse(end).is_err(), "{end:?}");
            assert!(PlanId::parse(&format!("a{end}")).is_err(), "{end:?}");
            assert!(ExternalId::parse(end).is_err(), "{end:?}");
            assert!(HeaderValue::from_str(end).is_err(), "{end:?}");
        }
    }
}
