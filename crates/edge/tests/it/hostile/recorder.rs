//! An upstream that keeps every byte that it gets, and reads them by the letter of RFC 9112 and not one letter
//! beyond: whatever travels on in a doubtful shape shows as broken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Lines, Message};

#[derive(Default)]
struct Shared {
    bytes: Mutex<Vec<u8>>,
    requests: Mutex<Vec<Message>>,
    broken: Mutex<Vec<String>>,
    open: AtomicUsize,
}

/// The upstream. Each request is answered with 200, and with its own target as the body.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let for_connections = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, for_connections.clone()));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn uri(&self) -> http::Uri {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Whole requests so far; none of them, and nothing between them, may be in a doubtful shape.
    pub(crate) fn requests(&self) -> Vec<Message> {
        let broken = self.shared.broken.lock();
        assert!(broken.is_empty(), "the upstream was sent {broken:?}");
        self.shared.requests.lock().clone()
    }

    /// The targets of whole requests so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.target().to_owned()).collect()
    }

    /// Forgets what it has seen.
    pub(crate) fn forget(&self) {
        self.shared.bytes.lock().clear();
        self.shared.requests.lock().clear();
    }

    /// Every byte so far, whole requests or not.
    pub(crate) fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.shared.bytes.lock()).into_owned()
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    let mut unread = Vec::new();
    'reading: loop {
        loop {
            match cut(&unread) {
                Cut::Partial => break,
                Cut::Broken(why) => {
                    shared.broken.lock().push(format!("{why}: {:?}", String::from_utf8_lossy(&unread)));
                    break 'reading;
                }
                Cut::Whole(request, length) => {
                    unread.drain(..length);
                    let target = request.target().to_owned();
                    let bodiless = request.first_line.starts_with("HEAD ");
                    shared.requests.lock().push(*request);
                    let body = if bodiless { "" } else { &target };
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", target.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        break 'reading;
                    }
                }
            }
        }
        let before = unread.len();
        match stream.read_buf(&mut unread).await {
            Ok(0) | Err(_) => break,
            Ok(_) => shared.bytes.lock().extend_from_slice(&unread[before..]),
        }
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

/// What the front of some bytes is.
enum Cut {
    /// A request, and how many bytes it takes.
    Whole(Box<Message>, usize),
    /// The beginning of one.
    Partial,
    /// Nothing that may be sent.
    Broken(&'static str),
}

fn cut(bytes: &[u8]) -> Cut {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Cut::Partial };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Cut::Broken("not ASCII") };
    let mut request = Message::default();
    for (number, line) in head.split("\r\n").enumerate() {
        if line.contains(['\r', '\n', '\0']) {
            return Cut::Broken("a stray control character");
        }
        if number == 0 {
            if line.split(' ').count() != 3 || !line.ends_with(" HTTP/1.1") {
                return Cut::Broken("an odd request line");
            }
            line.clone_into(&mut request.first_line);
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { return Cut::Broken("no colon") };
        if name.is_empty() || name.contains([' ', '\t']) {
            return Cut::Broken("white space in a name, or a folded line");
        }
        request.lines.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    body(bytes, end + 4, request)
}

fn body(bytes: &[u8], start: usize, mut request: Message) -> Cut {
    let rest = &bytes[start..];
    match (request.all("content-length")[..].as_ref(), request.all("transfer-encoding")[..].as_ref()) {
        ([], []) => Cut::Whole(Box::new(request), start),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let Ok(length) = length.parse::<usize>() else { return Cut::Broken("an endless length") };
            let Some(body) = rest.get(..length) else { return Cut::Partial };
            request.body = body.to_vec();
            Cut::Whole(Box::new(request), start + length)
        }
        ([], ["chunked"]) => chunked(rest, start, request),
        _ => Cut::Broken("framing with two readings"),
    }
}

fn chunked(bytes: &[u8], start: usize, mut request: Message) -> Cut {
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Cut::Partial };
        let size = &bytes[at..at + end];
        if size.is_empty() || size.len() > 8 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Cut::Broken("an odd chunk size");
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
        at += end + 2;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + size) else { return Cut::Partial };
        request.body.extend_from_slice(data);
        at += size;
        match bytes.get(at..at + 2) {
            None => return Cut::Partial,
            Some(b"\r\n") => at += 2,
            Some(_) => return Cut::Broken("no line end after a chunk"),
        }
    }
    trailers(bytes, at, start, request)
}

fn trailers(bytes: &[u8], mut at: usize, start: usize, mut request: Message) -> Cut {
    let mut trailers = Lines::new();
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Cut::Partial };
        let line = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        at += end + 2;
        if line.is_empty() {
            request.trailers = trailers;
            return Cut::Whole(Box::new(request), start + at);
        }
        match line.split_once(':') {
            Some((name, value)) if !line.contains(['\r', '\n', '\0']) => {
                trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => return Cut::Broken("an odd trailer"),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
