//! An upstream that does as it is told, and remembers what it saw.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Message, Reader};

type Taken = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = Arc<dyn Fn(&Message) -> Script + Send + Sync>;

/// What to do with a request, decided when its headers are there.
pub(crate) enum Script {
    /// Read the body, then write these bytes and wait for the next request.
    Answer(String),
    /// Read nothing more; the rest is up to the test.
    Take(Box<dyn FnOnce(Reader<TcpStream>) -> Taken + Send>),
}

impl Script {
    pub(crate) fn take<F: Future<Output = ()> + Send + 'static>(
        rest: impl FnOnce(Reader<TcpStream>) -> F + Send + 'static,
    ) -> Self {
        Self::Take(Box::new(move |reader| Box::pin(rest(reader))))
    }

    /// 200 with this body.
    pub(crate) fn ok(body: &str) -> Self {
        Self::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    /// Answers everything with 200.
    pub(crate) async fn simple() -> Self {
        Self::scripted(|_| Script::ok("from the upstream")).await
    }

    pub(crate) async fn scripted(handler: impl Fn(&Message) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, log): (Handler, _) = (Arc::new(handler), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(Reader::new(stream), handler.clone(), log.clone()));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn uri(&self) -> http::Uri {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// All requests so far. One whose body was not read has none here.
    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().clone()
    }

    /// The one request so far.
    pub(crate) fn only(&self) -> Message {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

async fn converse(mut reader: Reader<TcpStream>, handler: Handler, log: Arc<Mutex<Vec<Message>>>) {
    loop {
        // An idle connection that is closed is no error; anything else that breaks shows in the test.
        let mut probe = [0_u8; 1];
        if !matches!(reader.stream.peek(&mut probe).await, Ok(1)) {
            return;
        }
        let mut message = reader.head().await;
        match handler(&message) {
            Script::Answer(text) => {
                reader.body_of(&mut message, false).await;
                log.lock().push(message);
                reader.send(text).await;
            }
            Script::Take(rest) => {
                log.lock().push(message);
                return rest(reader).await;
            }
        }
    }
}
