//! The chunked coding of an upstream's answer (RFC 9112, section 7.1), read strictly: lines end with CR LF,
//! sizes are bare hexadecimal digits, and extensions and trailers are bounded.
//!
//! Chunks are handed on as they come, in pieces; their borders are not kept.
//!
//! A caller's chunks have a reader of their own (`intake::chunks`), which only follows them. Its bounds are narrower:
//! a caller is a stranger, and an upstream somebody's own server, whose answers are not refused for being unusual.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::response::has_bare_line_feed;

/// The longest line that begins a chunk.
const MAX_LINE_BYTES: usize = 1024;
/// The most bytes of chunk extensions in one message: they say nothing to anybody, and cost reading.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;
/// The most bytes of trailers.
const MAX_TRAILER_BYTES: usize = 16 * 1024;
/// The most trailer lines.
const MAX_TRAILERS: usize = 64;
/// Digits of the largest chunk: 2^60 - 1 bytes, so that no sum of sizes can overflow.
const MAX_SIZE_DIGITS: usize = 15;

/// What is not chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkError {
    /// Not digits, or too many.
    #[error("a chunk's size is malformed")]
    Size,
    /// No CR LF where one belongs, or none within the bound.
    #[error("a chunk's line does not end as it must")]
    Line,
    /// More extensions than anybody needs.
    #[error("the chunks carry too many extensions")]
    Extensions,
    /// Malformed, too many or too long.
    #[error("the trailers are malformed or too many")]
    Trailers,
}

/// What was found at the beginning of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Data.
    Data(Bytes),
    /// The end, and what stood there.
    End(HeaderMap),
    /// Nothing yet: more must be read.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a line with a size.
    Size,
    /// So many bytes before the end of a chunk.
    Data(u64),
    /// Before the line's end that follows data.
    DataEnd,
    /// After the last chunk.
    Trailers,
}

/// Where in the coding a reader is.
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    extension_bytes: usize,
}

impl Chunked {
    /// At the beginning of a body.
    pub(super) const fn new() -> Self {
        Self { place: Place::Size, extension_bytes: 0 }
    }

    /// Takes the next piece off the buffer.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, ChunkError> {
        loop {
            match self.place {
                Place::Size => match self.size(buffer)? {
                    None => return Ok(Piece::More),
                    Some(0) => self.place = Place::Trailers,
                    Some(size) => self.place = Place::Data(size),
                },
                Place::Data(_) if buffer.is_empty() => return Ok(Piece::More),
                Place::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - here as u64;
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                    return Ok(Piece::Data(buffer.split_to(here).freeze()));
                }
                Place::DataEnd => match (buffer.first(), buffer.get(1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        drop(buffer.split_to(2));
                        self.place = Place::Size;
                    }
                    (None, _) | (Some(b'\r'), None) => return Ok(Piece::More),
                    _ => return Err(ChunkError::Line),
                },
                Place::Trailers => return trailers(buffer),
            }
        }
    }

    /// Takes a line with a size off the buffer, if all of it is there.
    fn size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, ChunkError> {
        let searched = buffer.get(..MAX_LINE_BYTES).unwrap_or(buffer);
        let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
            return if buffer.len() < MAX_LINE_BYTES { Ok(None) } else { Err(ChunkError::Line) };
        };
        let line = buffer.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").ok_or(ChunkError::Line)?;
        if line.contains(&b'\r') {
            return Err(ChunkError::Line);
        }
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at_checked(digits).ok_or(ChunkError::Size)?;
        if !(1..=MAX_SIZE_DIGITS).contains(&size.len()) {
            return Err(ChunkError::Size);
        }
        // White space before an extension is bad and common (RFC 9112, section 7.1.1).
        if !matches!(extension.trim_ascii_start().first(), None | Some(b';')) {
            return Err(ChunkError::Size);
        }
        self.extension_bytes += extension.len();
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(ChunkError::Extensions);
        }
        let value = |sum: u64, digit: &u8| sum << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or(0));
        Ok(Some(size.iter().fold(0, value)))
    }
}

/// Takes the trailers and the line that ends them off the buffer, if they are all there.
fn trailers(buffer: &mut BytesMut) -> Result<Piece, ChunkError> {
    if buffer.starts_with(b"\r\n") {
        drop(buffer.split_to(2));
        return Ok(Piece::End(HeaderMap::new()));
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let (length, trailers) = match httparse::parse_headers(buffer, &mut lines) {
        Ok(httparse::Status::Complete((length, lines)))
            if length <= MAX_TRAILER_BYTES
                && !has_bare_line_feed(buffer.get(..length).unwrap_or_default()) =>
        {
            (length, collected(lines)?)
        }
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_TRAILER_BYTES => return Ok(Piece::More),
        _ => return Err(ChunkError::Trailers),
    };
    drop(buffer.split_to(length));
    Ok(Piece::End(trailers))
}

fn collected(lines: &[httparse::Header<'_>]) -> Result<HeaderMap, ChunkError> {
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| ChunkError::Trailers)?;
        let value = HeaderValue::from_bytes(line.value).map_err(|_| ChunkError::Trailers)?;
        trailers.append(name, value);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads text that arrives in steps of so many bytes: the data, the trailers, and what is left over.
    fn read(text: &[u8], step: usize) -> Result<(Vec<u8>, HeaderMap, usize), Option<ChunkError>> {
        let (mut chunked, mut buffer, mut data) = (Chunked::new(), BytesMut::new(), Vec::new());
        let mut arriving = text.chunks(step);
        loop {
            match chunked.next(&mut buffer).map_err(Some)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::End(trailers) => {
                    return Ok((data, trailers, buffer.len() + arriving.map(<[u8]>::len).sum::<usize>()));
                }
                Piece::More => buffer.extend_from_slice(arriving.next().ok_or(None)?),
            }
        }
    }

    #[test]
    fn chunks_arrive_whole_however_they_are_cut() {
        let text = b"4\r\nfour\r\n00A;name=\"value\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\nnext";
        for step in 1..=text.len() {
            let (data, trailers, left) = read(text, step).unwrap();
            assert_eq!((data.as_slice(), left), (b"four0123456789".as_slice(), 4), "{step}");
            assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
        }
        assert_eq!(read(b"0\r\n\r\n", 1).unwrap().0, b"");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "4\nfour\r\n0\r\n\r\n",
            "4\r\nfour\n0\r\n\r\n",
            "4\r\nfourX\r\n0\r\n\r\n",
            "\r\nfour",
            "0x4\r\nfour",
            "+4\r\nfour",
            "-4\r\nfour",
            " 4\r\nfour",
            "4 4\r\nfour",
            "4,\r\nfour",
            "4;a\rb\r\nfour",
            "fffffffffffffffff\r\nfour",
            "0\r\nX: 1\n\r\n",
            "0\r\nX: 1\r\n\n",
            "0\r\n\n",
            "0\r\nX-Bad Name: 1\r\n\r\n",
            "0\r\n folded\r\n\r\n",
        ] {
            for step in [1, 64] {
                assert!(matches!(read(text.as_bytes(), step), Err(Some(_))), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn an_end_in_the_middle_is_no_end() {
        let text = b"4\r\nfour\r\n0\r\nX-Sum: 1\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(read(text.get(..length).unwrap_or_default(), 3).unwrap_err(), None, "{length}");
        }
    }

    #[test]
    fn lines_extensions_and_trailers_are_bounded() {
        let endless = vec![b'1'; MAX_LINE_BYTES];
        assert_eq!(read(&endless, 100).unwrap_err(), Some(ChunkError::Line));
        let chunk = format!("1;{}\r\nx\r\n", "e".repeat(1_000)).repeat(20);
        assert_eq!(read(chunk.as_bytes(), 999).unwrap_err(), Some(ChunkError::Extensions));
        let long = format!("0\r\nX: {}", "y".repeat(2 * MAX_TRAILER_BYTES));
        assert_eq!(read(long.as_bytes(), 1_000).unwrap_err(), Some(ChunkError::Trailers));
        let many = format!("0\r\n{}\r\n", "X: 1\r\n".repeat(MAX_TRAILERS + 1));
        assert_eq!(read(many.as_bytes(), 1_000).unwrap_err(), Some(ChunkError::Trailers));
    }
}
