//! Finds the end of one answer. Just enough of HTTP/1.1 for servers that we started ourselves.

use memchr::memmem;

/// A whole answer at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How many bytes it takes.
    pub(crate) length: usize,
    /// Its status.
    pub(crate) status: u16,
    /// Whether the connection ends with it.
    pub(crate) closes: bool,
}

/// The answer at the start of `bytes`, once all of it is there.
pub(crate) fn whole(bytes: &[u8]) -> Option<Answer> {
    let head_end = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = bytes.get(..head_end)?;
    let status = head.get(9..12)?.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit.wrapping_sub(b'0')));
    let (mut body, mut chunked, mut closes) = (0_usize, false, false);
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        // Nearly every line is told by its first letter.
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length:") {
                    body = value
                        .iter()
                        .filter(|byte| byte.is_ascii_digit())
                        .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                } else if let Some(value) = value_of(line, b"connection:") {
                    closes = value.to_ascii_lowercase().windows(5).any(|part| part == b"close");
                }
            }
            Some(b't' | b'T') => chunked |= value_of(line, b"transfer-encoding:").is_some(),
            _ => {}
        }
    }
    let length = if chunked {
        // One request at a time: whatever is there belongs to this answer.
        bytes.ends_with(b"\r\n0\r\n\r\n").then_some(bytes.len())?
    } else {
        head_end + body
    };
    (bytes.len() >= length).then_some(Answer { length, status, closes })
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{Answer, whole};

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let text = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..text.len() {
            assert_eq!(whole(&text[..end]), None, "{end}");
        }
        assert_eq!(whole(text), Some(Answer { length: text.len(), status: 200, closes: false }));
    }

    #[test]
    fn a_chunked_answer_ends_with_its_last_chunk() {
        let text = b"HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(whole(&text[..text.len() - 2]), None);
        assert_eq!(whole(text), Some(Answer { length: text.len(), status: 401, closes: true }));
    }
}
