//! A server that gives prepared answers and keeps what it was asked. Plain threads, so that it serves tests
//! of any kind; it understands just enough HTTP to find the end of a request.

#![expect(clippy::expect_used, reason = "a set-up that fails must end the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How long a test waits for a request that never comes before it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server was asked.
#[derive(Debug)]
pub struct Asked {
    /// Method and target, such as `GET /v1/tokens`.
    pub line: String,
    /// Header lines, names in lower case.
    pub headers: Vec<String>,
    /// Body.
    pub body: String,
}

impl Asked {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A server with prepared answers, one for each connection in turn.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    asked: Receiver<Asked>,
}

impl ScriptedServer {
    /// Starts on a free port. Each answer is status, content type and body.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    #[must_use]
    pub fn start(answers: Vec<(u16, &'static str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, asked) = channel();
        thread::spawn(move || {
            for (status, kind, body) in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let Some(request) = read_request(&mut stream) else { return };
                let _ = sender.send(request);
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        Self { address, asked }
    }

    /// One JSON answer.
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::start(vec![(status, "application/json", body.into())])
    }

    /// Its address as a URL, without a final `/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request that it was sent.
    ///
    /// # Panics
    ///
    /// When none comes.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.asked.recv_timeout(PATIENCE).expect("a request")
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        lines.read_line(&mut header).ok()?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.push(format!("{}: {value}", name.to_ascii_lowercase())),
            None => break,
        }
    }
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    lines.read_exact(&mut body).ok()?;
    Some(Asked { line, headers, body: String::from_utf8(body).ok()? })
}
