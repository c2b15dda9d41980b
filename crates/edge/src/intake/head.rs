//! One request's head, looked at line by line as it arrives, and what it says about the body (RFC 9112 §2–6).
//!
//! Deliberately absent: what headers mean. Only what decides where a request ends is read here.

use memchr::memchr;

use super::violation::{MAX_REQUEST_LINE, Violation};
use crate::shape::{MAX_HEADER_BYTES, MAX_HEADERS};

/// Empty lines before a request that are passed over: old clients send one after a body (RFC 9112 §2.2).
const MAX_LEADING_BLANKS: usize = 2;
/// ` HTTP/1.1`
const VERSION_LENGTH: usize = 9;

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; 0 is none.
    Length(u64),
    /// Chunks, up to an empty one and trailers.
    Chunked,
}

/// A whole head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// In bytes, its empty line included.
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// Whether it asks for another protocol, so that nobody knows yet what follows it.
    pub(super) wants_upgrade: bool,
}

/// How far a head has been looked at.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Bytes that hold no line end that was not seen.
    seen: usize,
    /// Where the line begins that is not complete.
    line: usize,
    /// Lines that are complete, empty ones included.
    lines: usize,
    /// Where header lines begin; 0 while there is no request line.
    headers_at: usize,
    headers: usize,
    is_old: bool,
    length: Option<u64>,
    is_chunked: bool,
    wants_upgrade: bool,
}

impl HeadScan {
    /// Looks at a head from its first byte; later calls must repeat the bytes of earlier ones. None: more is
    /// needed.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        while let Some(at) = memchr(b'\n', bytes.get(self.seen..).unwrap_or_default()) {
            let end = self.seen + at;
            let line = bytes.get(self.line..end).and_then(|line| line.strip_suffix(b"\r"));
            let line = line.ok_or(Violation::LineEnd)?;
            self.seen = end + 1;
            self.line = self.seen;
            self.lines += 1;
            if self.headers_at == 0 {
                self.begin(line)?;
            } else if line.is_empty() {
                return self.finish(bytes.get(..self.seen).unwrap_or_default()).map(Some);
            } else {
                self.header(line)?;
            }
        }
        self.seen = bytes.len();
        self.within_bounds()?;
        Ok(None)
    }

    /// The bounds, for lines that are complete and for those that are not.
    fn within_bounds(&self) -> Result<(), Violation> {
        if self.headers_at == 0 {
            let is_long = self.seen - self.line > MAX_REQUEST_LINE;
            return if is_long { Err(Violation::LongRequestLine) } else { Ok(()) };
        }
        let is_large = self.seen - self.headers_at > MAX_HEADER_BYTES || self.headers > MAX_HEADERS;
        if is_large { Err(Violation::TooManyHeaders) } else { Ok(()) }
    }

    /// The first lines: empty ones, and the request line.
    fn begin(&mut self, line: &[u8]) -> Result<(), Violation> {
        if line.is_empty() {
            return if self.lines > MAX_LEADING_BLANKS { Err(Violation::RequestLine) } else { Ok(()) };
        }
        if line.len() > MAX_REQUEST_LINE {
            return Err(Violation::LongRequestLine);
        }
        self.headers_at = self.seen;
        let split = line.len().checked_sub(VERSION_LENGTH).and_then(|at| line.split_at_checked(at));
        let (asked, version) = split.ok_or(Violation::RequestLine)?;
        self.is_old = match version {
            b" HTTP/1.1" => false,
            b" HTTP/1.0" => true,
            _ => return Err(Violation::RequestLine),
        };
        let method = memchr(b' ', asked).and_then(|at| asked.split_at_checked(at));
        match method {
            Some((method, [b' ', target @ ..]))
                if is_token(method) && !target.is_empty() && all(target, TARGET) =>
            {
                // Only one method has the server itself for its target (RFC 9112 §3.2.4).
                let is_of_method = target != b"*" || method == b"OPTIONS";
                if is_of_method { Ok(()) } else { Err(Violation::RequestLine) }
            }
            _ => Err(Violation::RequestLine),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.headers += 1;
        self.within_bounds()?;
        // White space before the name (a folded line) or before the colon is no part of a name either.
        let split = memchr(b':', line).and_then(|at| line.split_at_checked(at));
        let Some((name, [_, value @ ..])) = split else { return Err(Violation::HeaderLine) };
        if !is_token(name) {
            return Err(Violation::HeaderLine);
        }
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(trim(value)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.coding(trim(value)),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.wants_upgrade = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        let length = number(value).ok_or(Violation::Length)?;
        // Said twice and the same is one length (RFC 9112 §6.3): some clients behind libraries do so.
        match self.length.replace(length) {
            Some(before) if before != length => Err(Violation::Length),
            _ => Ok(()),
        }
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Violation> {
        let is_only = !std::mem::replace(&mut self.is_chunked, true);
        if is_only && value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(Violation::Coding) }
    }

    fn finish(&self, head: &[u8]) -> Result<Head, Violation> {
        self.within_bounds()?;
        // Each line had its CR LF; any other control character is one too many.
        if count_controls(head) != 2 * self.lines {
            return Err(Violation::LineEnd);
        }
        let framing = match (self.is_chunked, self.length) {
            (true, Some(_)) => return Err(Violation::TwoFramings),
            (true, None) if self.is_old => return Err(Violation::OldCoding),
            (true, None) => Framing::Chunked,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        };
        Ok(Head { length: head.len(), framing, wants_upgrade: self.wants_upgrade })
    }
}

/// Digits, with no sign and nothing else; at most what a signed number holds, so that sums of it fit.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    (value <= i64::MAX.unsigned_abs()).then_some(value)
}

fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// Counts control characters but tabs, in a shape that compilers turn into wide instructions.
fn count_controls(bytes: &[u8]) -> usize {
    // As many as a byte can count.
    let is_control = |byte: &u8| u8::from((*byte < b' ' && *byte != b'\t') || *byte == 0x7f);
    bytes.chunks(255).map(|part| usize::from(part.iter().map(is_control).sum::<u8>())).sum()
}

/// Characters of names and methods (`token`, RFC 9110 §5.6.2).
const TOKEN: u8 = 1;
/// Characters of a request's target that we read: no space, and nothing that delimits text elsewhere.
const TARGET: u8 = 2;

const CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds would not compile")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0_usize;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let byte = at as u8;
        let is_token = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        if is_token {
            table[at] |= TOKEN;
        }
        let is_target = byte > b' ' && byte != 0x7f && !matches!(byte, b'<' | b'>' | b'`');
        if is_target {
            table[at] |= TARGET;
        }
        at += 1;
    }
    table
}

#[inline]
fn all(bytes: &[u8], class: u8) -> bool {
    // A byte is always within the table; the fallback lets the compiler see that nothing can panic.
    bytes.iter().all(|byte| CLASSES.get(usize::from(*byte)).is_some_and(|of| of & class != 0))
}

/// Whether this may stand in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    all(&[byte], TOKEN)
}

/// Whether this is a token: a name or a method.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(head: &str) -> Result<Option<Head>, Violation> {
        HeadScan::default().advance(head.as_bytes())
    }

    fn framing(lines: &str) -> Result<Framing, Violation> {
        let head = format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        Ok(scan(&head)?.unwrap().framing)
    }

    #[test]
    fn a_head_says_how_long_it_and_its_body_are() {
        let head = "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n";
        let found = scan(&format!("{head}GET ")).unwrap().unwrap();
        assert_eq!(found, Head { length: head.len(), framing: Framing::Length(0), wants_upgrade: false });
        assert_eq!(framing("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("content-length:\t 0012 \t\r\nContent-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        assert!(scan("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n").unwrap().unwrap().wants_upgrade);
        assert_eq!(scan("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
    }

    #[test]
    fn two_ways_to_read_a_body_are_none() {
        for (lines, violation) in [
            ("Content-Length: 1\r\nContent-Length: 2\r\n", Violation::Length),
            ("Content-Length: 1, 1\r\n", Violation::Length),
            ("Content-Length: +1\r\n", Violation::Length),
            ("Content-Length:\r\n", Violation::Length),
            ("Content-Length: 9223372036854775808\r\n", Violation::Length),
            ("Transfer-Encoding: gzip, chunked\r\n", Violation::Coding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Violation::Coding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Violation::TwoFramings),
            ("Content-Length : 1\r\n", Violation::HeaderLine),
            ("X: a\r\n b\r\n", Violation::HeaderLine),
            ("X: a\nY: b\r\n", Violation::LineEnd),
            ("X: a\rY: b\r\n", Violation::LineEnd),
            ("X: a\0b\r\n", Violation::LineEnd),
        ] {
            assert_eq!(framing(lines), Err(violation), "{lines:?}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(scan(old), Err(Violation::OldCoding));
    }

    #[test]
    fn a_request_line_has_three_parts_and_one_space_between_them() {
        for line in [
            "GET  / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "GET /",
            "PRI * HTTP/2.0",
            "GET * HTTP/1.1",
            "options * HTTP/1.1",
        ] {
            assert_eq!(scan(&format!("{line}\r\n\r\n")), Err(Violation::RequestLine), "{line}");
        }
        assert!(scan("OPTIONS * HTTP/1.1\r\n\r\n").unwrap().is_some());
        assert!(scan("\r\nGET / HTTP/1.1\r\n\r\n").unwrap().is_some());
        assert_eq!(scan("\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Err(Violation::RequestLine));
    }

    #[test]
    fn bounds_hold_for_lines_that_never_end_too() {
        let long = "a".repeat(MAX_HEADER_BYTES);
        assert_eq!(scan(&format!("GET /{long}")), Err(Violation::LongRequestLine));
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nX: {long}")), Err(Violation::TooManyHeaders));
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nX: {long}\r\n")), Err(Violation::TooManyHeaders));
        let lines = "X: 1\r\n".repeat(MAX_HEADERS);
        assert!(scan(&format!("GET / HTTP/1.1\r\n{lines}\r\n")).unwrap().is_some());
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\n{lines}Y: 1\r\n")), Err(Violation::TooManyHeaders));
    }
}
