//! A connection whose peer may say only so much before it is asked something: mail servers answer in lines, and lines
//! are read until their end, wherever that may be.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a server may say between two things that it is told: some hundred lines, or the certificates of TLS.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A TCP connection with a bound on each answer.
#[derive(Debug)]
pub(crate) struct Bounded {
    stream: TcpStream,
    /// Bytes read since something was last written.
    said: usize,
}

impl Bounded {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, said: 0 }
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said >= MAX_ANSWER_BYTES {
            return Poll::Ready(Err(io::Error::other("the server's answer has no end")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.said = self.said.saturating_add(buffer.filled().len().saturating_sub(before));
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(1..)) = written {
            self.said = 0;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
