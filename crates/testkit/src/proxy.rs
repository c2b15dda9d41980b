//! A TCP proxy that does to a connection what networks do: cuts it, swallows it, delays it, and one day
//! leads somewhere else. Knows nothing of what it carries.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a set-up that fails must end the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What it carries at once in one direction of one connection.
const CHUNK_BYTES: usize = 16 * 1024;

/// What it does with everything that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Carries it.
    Flows,
    /// Carries it this much later, in both directions.
    Late(Duration),
    /// Closes every connection, and each new one at once.
    Cut,
    /// Accepts everything and carries nothing. What was swallowed arrives when traffic flows again.
    Swallowed,
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    traffic: watch::Sender<Traffic>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own and leads to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (traffic, watched) = watch::channel(Traffic::Flows);
        let task = tokio::spawn(accept(listener, target.clone(), watched));
        Self { address, target, traffic, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// Leads new connections elsewhere. Those there are must be cut by whoever wants that.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.target.lock() = target;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<Mutex<SocketAddr>>, traffic: watch::Receiver<Traffic>) {
    while let Ok((client, _)) = listener.accept().await {
        if *traffic.borrow() == Traffic::Cut {
            continue;
        }
        let target = *target.lock();
        tokio::spawn(carry(client, target, traffic.clone()));
    }
}

/// One connection, until either end closes it or it is cut.
async fn carry(client: TcpStream, target: SocketAddr, mut traffic: watch::Receiver<Traffic>) {
    let mut cut = traffic.clone();
    let carried = async {
        while *traffic.borrow_and_update() == Traffic::Swallowed {
            if traffic.changed().await.is_err() {
                return;
            }
        }
        let Ok(server) = TcpStream::connect(target).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pump(from_client, to_server, traffic.clone()) => {}
            () = pump(from_server, to_client, traffic) => {}
        }
    };
    tokio::select! {
        () = carried => {}
        _ = cut.wait_for(|traffic| *traffic == Traffic::Cut) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut traffic: watch::Receiver<Traffic>,
) {
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    while let Ok(count) = from.read(&mut chunk).await {
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { return };
        loop {
            let now = *traffic.borrow_and_update();
            match now {
                Traffic::Flows => break,
                Traffic::Late(delay) => {
                    tokio::time::sleep(delay).await;
                    break;
                }
                Traffic::Cut => return,
                Traffic::Swallowed => {
                    if traffic.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back whatever it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    /// What comes back for one byte: itself, nothing for a while, or an end.
    async fn ask(stream: &mut TcpStream) -> Option<std::io::Result<usize>> {
        let mut byte = [0_u8];
        if let Err(error) = stream.write_all(b"x").await {
            return Some(Err(error));
        }
        tokio::time::timeout(Duration::from_millis(200), stream.read(&mut byte)).await.ok()
    }

    #[tokio::test]
    async fn traffic_is_carried_swallowed_and_cut_as_told() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(matches!(ask(&mut stream).await, Some(Ok(1))));
        proxy.set(Traffic::Swallowed);
        assert!(ask(&mut stream).await.is_none(), "neither an answer nor an end");
        proxy.set(Traffic::Flows);
        assert!(matches!(stream.read(&mut [0_u8]).await, Ok(1)), "what was swallowed arrives late");
        proxy.set(Traffic::Cut);
        assert!(matches!(ask(&mut stream).await, Some(Ok(0) | Err(_))), "an end");
        let mut another = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(matches!(ask(&mut another).await, Some(Ok(0) | Err(_))), "new ones too");
        proxy.set(Traffic::Flows);
        let mut another = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(matches!(ask(&mut another).await, Some(Ok(1))));
    }
}
