//! How the lines of a forwarded request are written: into a map, or as text. What is written, `headers` says.

use std::io::Write;
use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Where the lines of a forwarded request go: into a map, or into a text. What they are is decided once.
pub(crate) trait Lines {
    /// One of the caller's.
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue);

    /// One of ours, put together from parts. Left out if it cannot be a header's value.
    fn add(&mut self, name: HeaderName, parts: &[&[u8]]);
}

impl Lines for HeaderMap {
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name.clone(), value.clone());
    }

    fn add(&mut self, name: HeaderName, parts: &[&[u8]]) {
        if let Ok(value) = HeaderValue::from_bytes(&parts.concat()) {
            self.append(name, value);
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

    fn add(&mut self, name: HeaderName, parts: &[&[u8]]) {
        let start = self.0.len();
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        let value = self.0.len();
        for part in parts {
            self.0.extend_from_slice(part);
        }
        if self.0.get(value..).is_some_and(is_one_line) {
            self.0.extend_from_slice(b"\r\n");
        } else {
            self.0.truncate(start);
        }
    }
}

/// Whether nothing in a value can end its line. As strict as `HeaderValue`, and without a branch for each byte.
fn is_one_line(value: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    !value.iter().fold(false, |found, byte| found | is_control(*byte))
}

/// Characters of the longest IP address.
pub(crate) const LONGEST_IP: usize = 45;

/// An address as text.
pub(crate) fn written(space: &mut [u8; LONGEST_IP], ip: IpAddr) -> &[u8] {
    let mut rest = space.as_mut_slice();
    // Every address fits.
    let _ = match ip {
        IpAddr::V4(ip) => dotted(&mut rest, ip.octets()),
        IpAddr::V6(ip) => write!(rest, "{ip}"),
    };
    let left = rest.len();
    space.get(..LONGEST_IP - left).unwrap_or_default()
}

/// Writes four numbers. Formatting them the usual way costs more than all the rest of a line.
fn dotted(out: &mut impl Write, octets: [u8; 4]) -> std::io::Result<()> {
    for (place, octet) in octets.into_iter().enumerate() {
        let digits = [octet / 100 + b'0', octet / 10 % 10 + b'0', octet % 10 + b'0'];
        let leading = usize::from(octet < 100) + usize::from(octet < 10);
        let dot: &[u8] = if place == 0 { b"" } else { b"." };
        out.write_all(dot)?;
        out.write_all(digits.get(leading..).unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: HeaderName = HeaderName::from_static("x-rk-plan");

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for text in ["0.0.0.0", "255.255.255.255", "10.1.99.100", "9.109.200.0", "::1", "2001:db8::ff00:42"] {
            let mut space = [0; LONGEST_IP];
            assert_eq!(written(&mut space, text.parse().unwrap()), text.as_bytes());
        }
        let longest = IpAddr::from([0xffff_u16; 8]);
        assert_eq!(written(&mut [0; LONGEST_IP], longest), longest.to_string().as_bytes());
    }

    #[test]
    fn a_value_that_would_end_its_line_leaves_no_line() {
        for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0", "\u{7f}"] {
            let mut text = Vec::from(b"x: y\r\n");
            Text(&mut text).add(PLAN, &[b"a", value.as_bytes()]);
            assert_eq!(text, b"x: y\r\n", "{value:?}");
        }
        let mut text = Vec::new();
        Text(&mut text).add(PLAN, &[b"a", b"gency"]);
        assert_eq!(text, b"x-rk-plan: agency\r\n");
    }
}
