//! Requests as bytes, for what a well-behaved client would never send.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The only header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = values.next()?;
        assert!(values.next().is_none(), "{name} stands twice");
        Some(value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a refusal as the contract has it.
    pub fn assert_problem(&self, what: &str, status: u16, code: &str) {
        assert_eq!(self.status, status, "{what}: {}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{what}");
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{what}");
        for member in ["type", "title", "detail", "instance", "error", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: no {member}");
        }
        assert_eq!(self.header("x-rk-request-id"), problem["request_id"].as_str(), "{what}");
        assert_eq!(self.header("www-authenticate").is_some(), status == 401, "{what}: {:?}", self.headers);
    }
}

/// Sends lines of a head and a body, closes when answered. `head` has no line break at its end.
pub async fn send(address: SocketAddr, head: &[u8], body: &[u8]) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let request = [head, b"\r\nConnection: close\r\n\r\n", body].concat();
    // A server may answer and stop reading before it has all of it.
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&request).await;
        writer
    });
    let mut received = Vec::new();
    let mut chunk = vec![0_u8; 16 * 1024];
    loop {
        match tokio::time::timeout(PATIENCE, reader.read(&mut chunk)).await.expect("an answer in time") {
            Ok(0) | Err(_) => break,
            Ok(count) => received.extend_from_slice(&chunk[..count]),
        }
    }
    writing.abort();
    parse(&received)
}

fn parse(received: &[u8]) -> Answer {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no whole answer: {:?}", String::from_utf8_lossy(received)));
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: received[end + 4..].to_vec() }
}
