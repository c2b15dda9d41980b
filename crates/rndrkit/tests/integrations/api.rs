//! The API behind a proxy: tells as JSON what reached it, repeats what a WebSocket sends, and claims headers
//! that are not its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running API.
pub struct Api {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Api {
    /// Starts it; it runs until the test's runtime ends.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, counter.clone()));
            }
        });
        Self { address, requests }
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// One request after the other on one connection.
async fn serve(mut stream: TcpStream, requests: Arc<AtomicUsize>) {
    let mut received = Vec::new();
    loop {
        let Some(end) = fill_until(&mut stream, &mut received, head_end).await else { return };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        received.drain(..end);
        requests.fetch_add(1, Ordering::SeqCst);
        let mut lines = head.split("\r\n");
        let request_line = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        if header("upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
            return repeat(stream, &headers).await;
        }
        let length = header("content-length").map_or(0, |value| value.parse().unwrap());
        let whole = |bytes: &[u8]| (bytes.len() >= length).then_some(length);
        let Some(length) = fill_until(&mut stream, &mut received, whole).await else { return };
        received.drain(..length);
        let body = json!({"request": request_line, "headers": headers, "body_bytes": length}).to_string();
        let status = if request_line.contains("/refuses") { "401 Unauthorized" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             RateLimit: \"forged\";r=9;t=9\r\nX-Rk-Request-Id: forged\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

async fn fill_until(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
    enough: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    loop {
        if let Some(end) = enough(received) {
            return Some(end);
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

/// Changes the protocol, says whose connection this is, and sends everything back.
async fn repeat(mut stream: TcpStream, headers: &[(String, String)]) {
    let account = headers.iter().find(|(name, _)| name == "x-rk-account-id").map_or("nobody", |(_, id)| id);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{account}\n"
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    }
}
