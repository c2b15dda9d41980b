//! A body in chunks, followed byte by byte to where it ends (RFC 9112 §7.1).
//!
//! An upstream's chunks are read elsewhere (`gateway::upstream::direct::chunked`), within wider bounds: this here is
//! what strangers send. Trailers are as many as headers, since nobody needs more of them.

use super::head::is_token_byte;
use crate::shape::MAX_HEADERS;

/// Digits of a chunk's size; more than any size that fits needs.
const MAX_SIZE_DIGITS: u8 = 16;
/// Bytes of extensions in a whole body. Nobody uses them, and each byte costs as much as one of the body.
const MAX_EXTENSION_BYTES: usize = 4 * 1024;
/// Bytes of trailers. Their number is bounded as that of a head's lines is ([`MAX_HEADERS`]).
const MAX_TRAILER_BYTES: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a size.
    Size {
        digits: u8,
        value: u64,
    },
    /// After a size: only an extension may follow white space.
    AfterSize(u64),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// At the beginning of a trailer or of the last, empty line.
    Line,
    Name,
    Value,
    ValueLineFeed,
    LastLineFeed,
    Done,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All bytes belong to the body, and more of it is to come.
    More,
    /// The body ends after so many of the bytes.
    Done(usize),
    /// So many of the bytes are good, and the next one is not.
    Bad(usize),
}

/// How far a body has been followed.
#[derive(Debug)]
pub(super) struct ChunkScan {
    state: State,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailers: usize,
}

impl ChunkScan {
    pub(super) const fn new() -> Self {
        let state = State::Size { digits: 0, value: 0 };
        Self { state, extension_bytes: 0, trailer_bytes: 0, trailers: 0 }
    }

    /// Follows the bytes that come next.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let State::Data(left) = self.state {
                let here = bytes.len() - at;
                let taken = usize::try_from(left).map_or(here, |left| left.min(here));
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
                continue;
            }
            match self.next(*byte) {
                Some(State::Done) => return Step::Done(at + 1),
                Some(state) => self.state = state,
                None => return Step::Bad(at),
            }
            at += 1;
        }
        Step::More
    }

    /// The state after one byte that is no data; none when it may not stand here.
    fn next(&mut self, byte: u8) -> Option<State> {
        Some(match (self.state, byte) {
            (State::Size { digits, value }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                size(digits, value, byte)?
            }
            (State::Size { digits: 1.., value } | State::AfterSize(value), b' ' | b'\t') => {
                self.extend()?;
                State::AfterSize(value)
            }
            (State::Size { digits: 1.., value } | State::AfterSize(value), b';') => State::Extension(value),
            (State::Size { digits: 1.., value } | State::Extension(value), b'\r') => {
                State::SizeLineFeed(value)
            }
            (State::Extension(value), _) if is_text(byte) => {
                self.extend()?;
                State::Extension(value)
            }
            (State::SizeLineFeed(0), b'\n') => State::Line,
            (State::SizeLineFeed(size), b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size { digits: 0, value: 0 },
            (State::LastLineFeed, b'\n') => State::Done,
            _ => return self.next_of_trailers(byte),
        })
    }

    fn next_of_trailers(&mut self, byte: u8) -> Option<State> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return None;
        }
        Some(match (self.state, byte) {
            (State::Line, b'\r') => State::LastLineFeed,
            (State::Line, _) if is_token_byte(byte) => {
                self.trailers += 1;
                if self.trailers > MAX_HEADERS {
                    return None;
                }
                State::Name
            }
            (State::Name, b':') => State::Value,
            (State::Name, _) if is_token_byte(byte) => State::Name,
            (State::Value, b'\r') => State::ValueLineFeed,
            (State::Value, _) if is_text(byte) => State::Value,
            (State::ValueLineFeed, b'\n') => State::Line,
            _ => return None,
        })
    }

    fn extend(&mut self) -> Option<()> {
        self.extension_bytes += 1;
        (self.extension_bytes <= MAX_EXTENSION_BYTES).then_some(())
    }
}

fn size(digits: u8, value: u64, byte: u8) -> Option<State> {
    let digit = char::from(byte).to_digit(16)?;
    // At most what a signed number holds, so that sums of it fit.
    let is_small = digits < MAX_SIZE_DIGITS && value <= i64::MAX.unsigned_abs() >> 4;
    is_small.then(|| State::Size { digits: digits + 1, value: value << 4 | u64::from(digit) })
}

/// Anything but control characters; a tab is none.
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: &str) -> Step {
        ChunkScan::new().advance(body.as_bytes())
    }

    #[test]
    fn a_body_ends_after_the_empty_chunk_and_its_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\"\r\nhello\r\n000 ; c\r\n\r\n",
            "A\r\nhellohello\r\n0\r\nX: 1\r\nY:\r\n\r\n",
        ] {
            assert_eq!(scan(&format!("{body}GET /")), Step::Done(body.len()), "{body:?}");
            assert_eq!(scan(&body[..body.len() - 1]), Step::More, "{body:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_bad_from_its_first_byte_on() {
        for (good, bad) in [
            ("", "\r\n"),
            ("", " 5"),
            ("5", "\n"),
            ("5\r", "\r"),
            ("5 ", "5"),
            ("5 ", "\r"),
            ("5;a", "\n"),
            ("5;a\r", "b"),
            ("5\r\nhello", "X"),
            ("5\r\nhello\r", "\r"),
            ("7fffffffffffffff", "0"),
            ("0000000000000000", "0"),
            ("0\r\n", " folded"),
            ("0\r\nX", " : 1"),
            ("0\r\nX: 1", "\n"),
            ("0\r\nX: 1\r", "2"),
            ("0\r\n", ": 1"),
        ] {
            assert_eq!(scan(&format!("{good}{bad}")), Step::Bad(good.len()), "{good:?} {bad:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let piece = format!("1;{}\r\nx\r\n", "e".repeat(100));
        assert!(matches!(scan(&piece.repeat(41)), Step::Bad(_)));
        assert_eq!(scan(&piece.repeat(40)), Step::More);
        assert!(matches!(scan(&format!("0\r\n{}", "X: 1\r\n".repeat(97))), Step::Bad(_)));
        assert!(matches!(scan(&format!("0\r\nX: {}", "1".repeat(9_000))), Step::Bad(_)));
    }
}
