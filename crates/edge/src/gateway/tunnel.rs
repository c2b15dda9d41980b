//! Upgraded connections (WebSocket and the like): bytes copied both ways until a side ends, the key does, or
//! nobody speaks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::{sleep, timeout};

use super::long::Overseer;
use crate::connection::Connection;

/// Longest time from the upstream's 101 to both sides being handed over; it takes one write.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a tunnel needs.
pub(crate) struct Tunnel {
    /// The caller's side.
    pub(crate) client: OnUpgrade,
    /// The upstream's side.
    pub(crate) upstream: OnUpgrade,
    /// Watches the key; none where no key was wanted.
    pub(crate) overseer: Option<Overseer>,
    /// The caller's connection: counted and drained as long as the tunnel lives.
    pub(crate) connection: Arc<Connection>,
    /// Longest silence of both sides.
    pub(crate) idle: Duration,
    /// Counts tunnels that were cut.
    pub(crate) cut: metrics::Counter,
}

impl Tunnel {
    /// Begins to copy as soon as both sides are handed over.
    pub(crate) fn start(self) {
        tokio::spawn(self.run());
    }

    async fn run(self) {
        let Self { client, upstream, overseer, connection, idle, cut } = self;
        let handover = timeout(HANDOVER_TIMEOUT, async { tokio::try_join!(client, upstream) });
        let (client, upstream) = match handover.await {
            Ok(Ok(sides)) => sides,
            Ok(Err(error)) => return tracing::debug!(%error, "an upgrade was not completed"),
            Err(_) => return tracing::debug!("an upgrade was not completed in time"),
        };
        let moved = Arc::new(AtomicU64::new(0));
        let mut client = Counted { inner: TokioIo::new(client), moved: moved.clone() };
        let mut upstream = Counted { inner: TokioIo::new(upstream), moved: moved.clone() };
        let refused = async {
            match overseer {
                Some(mut overseer) => overseer.until_refused().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => {}
            () = refused => cut.increment(1),
            () = silence(&moved, idle) => tracing::debug!("an upgraded connection fell silent"),
            () = connection.closed() => {}
        }
    }
}

/// Resolves when nothing has moved for `longest`.
async fn silence(moved: &AtomicU64, longest: Duration) {
    loop {
        let before = moved.load(Ordering::Relaxed);
        sleep(longest).await;
        if moved.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// Notes that something was read.
struct Counted<S> {
    inner: S,
    moved: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        self.moved.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
