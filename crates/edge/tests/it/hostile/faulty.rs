//! An upstream that answers with any bytes at all, and then does what no upstream should.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Message, PATIENCE};

/// What happens when the answer's bytes are written.
#[derive(Clone, Copy)]
pub(crate) enum After {
    /// The next request is read.
    Keep,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing, for as long as the other side bears it.
    Hang,
    /// These bytes are written over and over, as fast as they are taken.
    Flood(&'static str),
}

/// What a request gets.
pub(crate) struct Fault {
    /// Whether its body is read before it is answered.
    pub(crate) reads_body: bool,
    /// The answer.
    pub(crate) bytes: Vec<u8>,
    pub(crate) after: After,
}

impl Fault {
    pub(crate) fn new(bytes: impl AsRef<[u8]>, after: After) -> Self {
        Self { reads_body: true, bytes: bytes.as_ref().to_vec(), after }
    }

    /// A good answer that says which request it is for.
    pub(crate) fn none(request: &Message) -> Self {
        let target = request.target();
        Self::new(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()), After::Keep)
    }
}

type Script = Arc<dyn Fn(&Message) -> Fault + Send + Sync>;

/// The upstream.
pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
    open: Arc<AtomicUsize>,
    flooded: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Faulty {
    pub(crate) async fn start(script: impl Fn(&Message) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, flooded) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let (for_open, for_seen, for_flooded) = (open.clone(), seen.clone(), flooded.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, open, seen) = (script.clone(), for_open.clone(), for_seen.clone());
                let flooded = for_flooded.clone();
                tokio::spawn(async move {
                    let _open = Open::new(open);
                    converse(stream, script, seen, flooded).await;
                });
            }
        });
        Self { address, open, flooded, seen }
    }

    pub(crate) fn uri(&self) -> http::Uri {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Bytes that floods could write so far.
    pub(crate) fn flooded(&self) -> usize {
        self.flooded.load(Ordering::SeqCst)
    }

    /// Waits until no more than this many connections are open.
    pub(crate) async fn until_open(&self, most: usize) {
        let waiting = async {
            while self.open() > most {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(ended.is_ok(), "{} connections to the upstream stay open", self.open());
    }

    /// The targets that arrived, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen.lock().iter().map(|request| request.target().to_owned()).collect()
    }
}

/// Counts a connection while it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The gateway's end, and what it has sent that nobody has looked at.
struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Reads more; false when the other side went away.
    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.unread).await, Ok(count) if count > 0)
    }

    /// The head of the next request; none when the other side goes away before its end.
    async fn head(&mut self) -> Option<Message> {
        let end = self.find(b"\r\n\r\n").await?;
        let text = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let mut message = Message { first_line: lines.next()?.to_owned(), ..Message::default() };
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            message.lines.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(message)
    }

    /// Reads the body that belongs to a head.
    async fn body(&mut self, head: &Message) -> Option<()> {
        if head.header("transfer-encoding").is_some() {
            let end = self.find(b"0\r\n\r\n").await?;
            self.unread.drain(..end);
        }
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.more().await.then_some(())?;
        }
        self.unread.drain(..length);
        Some(())
    }

    /// Where `mark` ends.
    async fn find(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|window| window == mark) {
                return Some(at + mark.len());
            }
            self.more().await.then_some(())?;
        }
    }
}

/// Goes on until one side ends the connection; nothing that the gateway does is an error here.
async fn converse(
    stream: TcpStream,
    script: Script,
    seen: Arc<Mutex<Vec<Message>>>,
    flooded: Arc<AtomicUsize>,
) -> Option<()> {
    let mut peer = Peer { stream, unread: Vec::new() };
    loop {
        let request = peer.head().await?;
        seen.lock().push(request.clone());
        let fault = script(&request);
        if fault.reads_body {
            peer.body(&request).await?;
        }
        peer.stream.write_all(&fault.bytes).await.ok()?;
        match fault.after {
            After::Keep => {}
            After::Close => return None,
            After::Reset => return peer.stream.set_zero_linger().ok(),
            After::Hang => while peer.more().await {},
            After::Flood(bytes) => {
                let bytes = bytes.repeat(1_000);
                while peer.stream.write_all(bytes.as_bytes()).await.is_ok() {
                    flooded.fetch_add(bytes.len(), Ordering::SeqCst);
                }
            }
        }
    }
}
