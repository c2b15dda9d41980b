//! A client that writes exactly the bytes it is given, and reads answers without any HTTP library.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any wait that a passing test makes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Headers by lower-case name, in order.
pub(crate) type Lines = Vec<(String, String)>;

/// An answer, or a request as an upstream sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// `HTTP/1.1 200 OK`, or `GET / HTTP/1.1`.
    pub(crate) first_line: String,
    pub(crate) lines: Lines,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Lines,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The second word of a request line.
    pub(crate) fn target(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter(|(line, _)| line == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that must occur at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} occurs {} times", all.len());
        all.first().copied()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The stable word of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// Reads messages from a stream, piece by piece.
pub(crate) struct Reader<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("the peer reads").unwrap();
    }

    /// Reads more; false at the end of the stream or when it was reset.
    async fn fill(&mut self) -> bool {
        self.buffer.reserve(16 * 1024);
        let reading = self.stream.read_buf(&mut self.buffer);
        let count = timeout(PATIENCE, reading).await.expect("the peer writes or closes").unwrap_or(0);
        count > 0
    }

    /// Reads up to and including `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = find(&self.buffer, mark.as_bytes()) {
                let rest = self.buffer.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            assert!(self.fill().await, "ended before {mark:?}: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// Exactly `count` bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "ended after {} of {count} bytes", self.buffer.len());
        }
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Everything until the peer closes.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Whether the peer has nothing more to say and closes.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.read_to_end().await.is_empty()
    }

    /// Whether the peer closed without waiting for anything; soon, or it has not.
    pub(crate) async fn is_closed_already(&mut self) -> bool {
        self.buffer.reserve(1);
        let reading = self.stream.read_buf(&mut self.buffer);
        matches!(timeout(Duration::from_millis(200), reading).await, Ok(Ok(0) | Err(_)))
    }

    /// First line and headers; interim answers are passed over.
    pub(crate) async fn head(&mut self) -> Message {
        loop {
            let text = self.until("\r\n\r\n").await;
            let mut lines = text.trim_end().split("\r\n");
            let first_line = lines.next().unwrap().to_owned();
            let message = Message { first_line, lines: lines.map(split).collect(), ..Message::default() };
            if !message.first_line.starts_with("HTTP/1.1 100") {
                return message;
            }
        }
    }

    /// The body that goes with `message`, framed as its headers say; a request without framing has none.
    pub(crate) async fn body_of(&mut self, message: &mut Message, ends_with_stream: bool) {
        if message.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                message.body.extend(chunk);
            }
            message.trailers = self.trailers().await;
        } else if let Some(length) = message.header("content-length") {
            let length = length.parse().unwrap();
            message.body = self.exactly(length).await;
        } else if ends_with_stream {
            message.body = self.read_to_end().await;
        }
    }

    /// One chunk; none is the last one, and its trailers follow.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until("\r\n").await;
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        if length == 0 {
            return None;
        }
        let data = self.exactly(length).await;
        assert_eq!(self.until("\r\n").await, "\r\n");
        Some(data)
    }

    pub(crate) async fn trailers(&mut self) -> Lines {
        let mut lines = Lines::new();
        loop {
            let line = self.until("\r\n").await;
            if line == "\r\n" {
                return lines;
            }
            lines.push(split(line.trim_end()));
        }
    }

    pub(crate) async fn answer(&mut self) -> Message {
        let mut message = self.head().await;
        let bodiless = matches!(message.status(), 101 | 204 | 304);
        self.body_of(&mut message, !bodiless).await;
        message
    }
}

fn split(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap();
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A plain connection.
pub(crate) async fn connect(address: SocketAddr) -> Reader<TcpStream> {
    Reader::new(TcpStream::connect(address).await.unwrap())
}

/// Sends one request, given line by line after its first, and reads the answer.
pub(crate) async fn ask(address: SocketAddr, first_line: &str, lines: &[&str]) -> Message {
    let mut client = connect(address).await;
    client.send(request(first_line, lines, "")).await;
    client.answer().await
}

/// A request's text. `Host` is added unless it is given.
pub(crate) fn request(first_line: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!("{first_line} HTTP/1.1\r\n");
    if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        text.push_str("Host: api.example.com\r\n");
    }
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    text + "\r\n" + body
}
