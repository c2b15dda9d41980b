//! The head of an upstream's answer, and where its body ends (RFC 9112, section 6.3), read strictly: what
//! could be framed in two ways is no answer.
//!
//! Only headers that pass the gateway are kept. Deliberately absent: the body's bytes.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, SERVER, VARY,
};
use http::{Method, StatusCode};
use memchr::memchr_iter;

use crate::gateway::headers::ResponseHeaders;

/// The longest head.
pub(super) const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most header lines of an answer; a caller may send fewer ([`crate::shape::MAX_HEADERS`]).
const MAX_LINES: usize = 100;

/// The highest status: there are five classes (RFC 9110, section 15).
pub(in crate::gateway::upstream) const MAX_STATUS: u16 = 599;

/// What is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Not HTTP/1.
    #[error("the upstream does not speak HTTP: {0}")]
    Syntax(httparse::Error),
    /// A line that ends without CR: others may see another line, or none.
    #[error("a line of the upstream's headers does not end with CR LF")]
    LineEnd,
    /// A status below 100 or above 599, as no reader expects it.
    #[error("the upstream's status is out of range")]
    Status,
    /// A header that cannot be.
    #[error("the upstream sent an invalid header")]
    Header,
    /// More head than anybody needs.
    #[error("the upstream's headers are too long")]
    TooLong,
    /// Both framings, differing lengths, or a coding that would be lost on the next hop.
    #[error("the upstream's answer can be framed in two ways")]
    Framing,
    /// A change of protocol that nobody asked for.
    #[error("the upstream changed the protocol without being asked")]
    Switched,
    /// Interim answers without end.
    #[error("the upstream sent too many interim answers")]
    Interim,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes; 0 where there is none.
    Length(u64),
    /// Where its coding says.
    Chunked,
    /// With the connection.
    Close,
}

/// An answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// What passes the gateway.
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the upstream wants to go on with the connection.
    pub(super) stays_open: bool,
}

/// What stands at the beginning of the text.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A head, and its length.
    Head(Head, usize),
    /// An interim answer, and its length.
    Interim(usize),
    /// The beginning of a head.
    Part,
}

/// Reads the head that `text` begins with, of the answer to a request with this method.
pub(super) fn parse(text: &Bytes, method: &Method) -> Result<Parsed, Malformed> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, text, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD_BYTES => length,
        Ok(httparse::Status::Partial) if text.len() <= MAX_HEAD_BYTES => return Ok(Parsed::Part),
        Ok(_) => return Err(Malformed::TooLong),
        Err(error) => return Err(Malformed::Syntax(error)),
    };
    if has_bare_line_feed(text.get(..length).unwrap_or_default()) {
        return Err(Malformed::LineEnd);
    }
    let code = response.code.filter(|code| *code <= MAX_STATUS).ok_or(Malformed::Status)?;
    let status = StatusCode::from_u16(code).map_err(|_| Malformed::Status)?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Malformed::Switched);
    }
    if status.is_informational() {
        return Ok(Parsed::Interim(length));
    }
    let is_new = response.version == Some(1);
    let mut lengths = Lengths::default();
    let mut headers = ResponseHeaders::with_capacity(response.headers.len());
    for line in response.headers.iter() {
        let usual = usual_name(line.name);
        if line.name.eq_ignore_ascii_case("connection") {
            headers.note_connection(line.value);
            continue;
        }
        if usual == Some(CONTENT_LENGTH) && lengths.note_length(line.value)? {
            // Repeated equal lengths become one.
            continue;
        }
        let value =
            HeaderValue::from_maybe_shared(text.slice_ref(line.value)).map_err(|_| Malformed::Header)?;
        if let Some(name) = usual {
            headers.keep(name, value);
            continue;
        }
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed::Header)?;
        match name.as_str() {
            "content-length" if lengths.note_length(value.as_bytes())? => {}
            "transfer-encoding" => lengths.note_coding(&value)?,
            _ => headers.add(name, value),
        }
    }
    let (headers, says_close) = headers.finish();
    let framing = lengths.framing(method, status, is_new)?;
    let stays_open = is_new && !says_close && framing != Framing::Close;
    Ok(Parsed::Head(Head { status, headers, framing, stays_open }, length))
}

/// Whether a line ends without CR, which the parser lets pass.
pub(super) fn has_bare_line_feed(text: &[u8]) -> bool {
    memchr_iter(b'\n', text)
        .any(|at| at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|byte| *byte != b'\r'))
}

/// The name of what nearly every answer has, as servers spell it, and what always passes the gateway. To compare is
/// cheaper than to read a name and judge it.
fn usual_name(text: &str) -> Option<HeaderName> {
    Some(match text {
        "Date" | "date" => DATE,
        "Vary" | "vary" => VARY,
        "ETag" | "etag" => ETAG,
        "Server" | "server" => SERVER,
        "Content-Type" | "content-type" => CONTENT_TYPE,
        "Accept-Ranges" | "accept-ranges" => ACCEPT_RANGES,
        "Cache-Control" | "cache-control" => CACHE_CONTROL,
        "Last-Modified" | "last-modified" => LAST_MODIFIED,
        "Content-Length" | "content-length" => CONTENT_LENGTH,
        _ => return None,
    })
}

/// What a head says about its body's length.
#[derive(Default)]
struct Lengths {
    length: Option<u64>,
    chunked: bool,
}

impl Lengths {
    /// Notes a `Content-Length`; whether it repeats an earlier one.
    fn note_length(&mut self, digits: &[u8]) -> Result<bool, Malformed> {
        let read = digits.iter().try_fold(0_u64, |number, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            number.checked_mul(10)?.checked_add(digit.into())
        });
        let length = read.filter(|_| !digits.is_empty()).ok_or(Malformed::Framing)?;
        match self.length.replace(length) {
            None => Ok(false),
            Some(before) if before == length => Ok(true),
            Some(_) => Err(Malformed::Framing),
        }
    }

    fn note_coding(&mut self, value: &HeaderValue) -> Result<(), Malformed> {
        if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::Framing);
        }
        self.chunked = true;
        Ok(())
    }

    fn framing(&self, method: &Method, status: StatusCode, is_new: bool) -> Result<Framing, Malformed> {
        if self.chunked && (self.length.is_some() || !is_new) {
            return Err(Malformed::Framing);
        }
        let has_none =
            method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        Ok(match (has_none, self.length) {
            (true, _) => Framing::Length(0),
            (false, Some(length)) => Framing::Length(length),
            (false, None) if self.chunked => Framing::Chunked,
            (false, None) => Framing::Close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &Method, lines: &str) -> Result<Option<Head>, Malformed> {
        let text = format!("HTTP/1.1 {lines}\r\n\r\n");
        match parse(&Bytes::from(text.clone()), method)? {
            Parsed::Head(head, length) => {
                assert_eq!(length, text.len());
                Ok(Some(head))
            }
            Parsed::Interim(_) | Parsed::Part => Ok(None),
        }
    }

    fn framing(lines: &str) -> Result<Framing, Malformed> {
        head(&Method::GET, lines).map(|head| head.expect("a head").framing)
    }

    #[test]
    fn the_end_of_a_body_is_where_the_standard_says() {
        assert_eq!(framing("200 OK\r\nContent-Length: 4"), Ok(Framing::Length(4)));
        assert_eq!(framing("200 OK\r\nContent-Length: 4\r\nContent-Length: 4"), Ok(Framing::Length(4)));
        assert_eq!(framing("200 OK\r\nTransfer-Encoding: Chunked"), Ok(Framing::Chunked));
        assert_eq!(framing("200 OK"), Ok(Framing::Close));
        assert_eq!(framing("204 None"), Ok(Framing::Length(0)));
        assert_eq!(framing("304 Same\r\nContent-Length: 4"), Ok(Framing::Length(0)));
        let of_head = head(&Method::HEAD, "200 OK\r\nContent-Length: 4").unwrap().unwrap();
        assert_eq!(of_head.framing, Framing::Length(0));
        assert_eq!(of_head.headers.get("content-length").unwrap(), "4", "what GET would get");
    }

    #[test]
    fn how_a_name_is_spelt_changes_nothing() {
        for text in [
            "Date",
            "Vary",
            "ETag",
            "Server",
            "Content-Type",
            "Accept-Ranges",
            "Cache-Control",
            "Last-Modified",
            "Content-Length",
            "date",
            "vary",
            "etag",
            "server",
            "content-type",
            "accept-ranges",
            "cache-control",
            "last-modified",
            "content-length",
        ] {
            assert_eq!(usual_name(text), HeaderName::from_bytes(text.as_bytes()).ok(), "{text}");
        }
        for name in ["Content-Length", "content-length", "CONTENT-length"] {
            assert_eq!(framing(&format!("200 OK\r\n{name}: 4")), Ok(Framing::Length(4)), "{name}");
            let twice = format!("200 OK\r\nContent-Length: 4\r\n{name}: 4");
            let kept = head(&Method::GET, &twice).unwrap().unwrap().headers;
            assert_eq!(kept.get_all("content-length").iter().count(), 1, "{name}");
        }
        let named = head(&Method::GET, "200 OK\r\nCONNECTION: close, x-own\r\nX-Own: 1\r\nKeep-Alive: 1");
        let named = named.unwrap().unwrap();
        assert!(!named.stays_open && named.headers.is_empty());
    }

    #[test]
    fn what_could_be_framed_in_two_ways_is_no_answer() {
        for lines in [
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 4, 4",
            "Content-Length: +4",
            "Content-Length: -4",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
        ] {
            assert_eq!(framing(&format!("200 OK\r\n{lines}")), Err(Malformed::Framing), "{lines:?}");
        }
        let old = Bytes::from_static(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(parse(&old, &Method::GET).unwrap_err(), Malformed::Framing);
    }

    #[test]
    fn a_line_that_ends_without_cr_is_no_line() {
        for text in [
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
            "\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 103 Hints\n\r\n",
        ] {
            assert_eq!(parse(&Bytes::from(text), &Method::GET).unwrap_err(), Malformed::LineEnd, "{text:?}");
        }
    }

    #[test]
    fn a_status_of_no_class_is_no_answer() {
        assert!(framing("599 Unusual").is_ok());
        for line in ["600 Over", "999 Far", "099 Under", "000 None"] {
            assert_eq!(framing(line), Err(Malformed::Status), "{line}");
        }
    }

    #[test]
    fn a_connection_stays_open_only_when_both_know_where_the_answer_ends() {
        let stays = |lines: &str| head(&Method::GET, lines).unwrap().unwrap().stays_open;
        assert!(stays("200 OK\r\nContent-Length: 4\r\nConnection: keep-alive"));
        assert!(!stays("200 OK\r\nContent-Length: 4\r\nConnection: x, Close"));
        assert!(!stays("200 OK"));
        let old = Bytes::from_static(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(matches!(parse(&old, &Method::GET), Ok(Parsed::Head(head, _)) if !head.stays_open));
    }

    #[test]
    fn an_incomplete_head_is_awaited_and_an_endless_one_is_not() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
        for length in 0..text.len() {
            let part = Bytes::copy_from_slice(text.get(..length).unwrap());
            assert!(matches!(parse(&part, &Method::GET), Ok(Parsed::Part)), "{length}");
        }
        let endless = Bytes::from(format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_HEAD_BYTES)));
        assert_eq!(parse(&endless, &Method::GET).unwrap_err(), Malformed::TooLong);
        let many = format!("200 OK\r\n{}Y: 1", "X: 1\r\n".repeat(MAX_LINES));
        assert!(matches!(framing(&many), Err(Malformed::Syntax(_))));
    }

    #[test]
    fn an_unasked_change_of_protocol_is_no_answer_and_an_interim_one_is_passed_over() {
        assert_eq!(framing("101 Switching\r\nUpgrade: x"), Err(Malformed::Switched));
        let hints = Bytes::from_static(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP");
        assert!(
            matches!(parse(&hints, &Method::GET), Ok(Parsed::Interim(length)) if length == hints.len() - 4)
        );
    }
}
