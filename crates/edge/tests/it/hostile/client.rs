//! A caller that sends any bytes at all, and reads whatever comes back until the end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::{Message, PATIENCE};

/// Everything that came back on one connection.
pub(crate) struct Heard {
    /// Final answers, in order.
    pub(crate) answers: Vec<Message>,
    /// Interim answers, in order.
    pub(crate) interim: Vec<u16>,
    /// Whether the other side had not closed the connection when patience ended.
    pub(crate) left_open: bool,
}

impl Heard {
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(Message::status).collect()
    }
}

/// Sends bytes on a new connection and reads until the other side closes it.
pub(crate) async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Heard {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let bytes = bytes.as_ref().to_vec();
    // The other side may stop reading at any point; what it says matters, not whether it listened.
    let sending = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        write
    });
    let mut received = Vec::new();
    let reading = async { while matches!(read.read_buf(&mut received).await, Ok(count) if count > 0) {} };
    let left_open = timeout(PATIENCE, reading).await.is_err();
    sending.abort();
    parse(&received, left_open)
}

fn parse(mut rest: &[u8], left_open: bool) -> Heard {
    let mut all = Heard { answers: Vec::new(), interim: Vec::new(), left_open };
    while !rest.is_empty() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(rest)));
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let mut answer = Message { first_line: lines.next().unwrap().to_owned(), ..Message::default() };
        assert!(answer.first_line.starts_with("HTTP/1."), "no answer: {:?}", answer.first_line);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            answer.lines.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        rest = &rest[end + 4..];
        if (100..200).contains(&answer.status()) {
            all.interim.push(answer.status());
            continue;
        }
        rest = body(&mut answer, rest);
        all.answers.push(answer);
    }
    all
}

fn body<'a>(answer: &mut Message, rest: &'a [u8]) -> &'a [u8] {
    if answer.header("transfer-encoding") == Some("chunked") {
        // No test here needs what is in it, and nothing may follow it.
        answer.body = rest.to_vec();
        return &[];
    }
    let length = answer.header("content-length").map_or(rest.len(), |length| length.parse().unwrap());
    let (body, rest) = rest.split_at(length.min(rest.len()));
    answer.body = body.to_vec();
    rest
}
