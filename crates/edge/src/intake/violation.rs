//! What is wrong with a request's bytes: the code, and the sentence for the caller.

use rndrkit_api::error::ErrorCode;

use crate::shape::{MAX_HEADER_BYTES, MAX_HEADERS};

/// The most bytes of a request line: twice what common servers take, so that whoever is in front refuses first.
pub(super) const MAX_REQUEST_LINE: usize = 16 * 1024;

/// Why a request is not read. The text is for the caller and repeats nothing that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("End lines with CR LF, and send no other control characters.")]
    LineEnd,
    #[error("Send a request line of a method, a target and HTTP/1.1, with one space between.")]
    RequestLine,
    #[error("Send header lines as a name, a colon and a value, each on one line.")]
    HeaderLine,
    #[error("Send Content-Length once, as a number in digits.")]
    Length,
    #[error("The only Transfer-Encoding that is read is: chunked.")]
    Coding,
    #[error("Send Content-Length or Transfer-Encoding, not both.")]
    TwoFramings,
    #[error("HTTP/1.0 has no Transfer-Encoding. Send Content-Length, or HTTP/1.1.")]
    OldCoding,
    #[error("Send a request line of at most {} KiB.", MAX_REQUEST_LINE / 1024)]
    LongRequestLine,
    #[error("Send at most {MAX_HEADERS} headers, and {} KiB of them.", MAX_HEADER_BYTES / 1024)]
    TooManyHeaders,
    #[error("Send each chunk as its size in hexadecimal digits, CR LF, as many bytes, CR LF.")]
    Chunk,
}

impl Violation {
    pub(crate) const fn code(self) -> ErrorCode {
        match self {
            Self::LongRequestLine | Self::TooManyHeaders => ErrorCode::HeadersTooLarge,
            _ => ErrorCode::InvalidRequest,
        }
    }
}
