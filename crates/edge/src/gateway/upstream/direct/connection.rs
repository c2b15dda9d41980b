//! One plain connection to an upstream, and its two buffers.
//!
//! Deliberately absent: what the bytes mean (`response`, `chunked`) and whose they are (`upload`, `body`).

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::gateway::upstream::pool::{Reusable, State};

/// What is read at once at first. Most answers fit.
const READ_BYTES: usize = 8 * 1024;
/// What is read at once of answers that fill it again and again.
const LONG_READ_BYTES: usize = 64 * 1024;
/// The largest buffer that an idle connection keeps.
const KEPT_BYTES: usize = 16 * 1024;

/// A connection, and what waits on it.
pub(in crate::gateway::upstream) struct Connection {
    stream: TcpStream,
    /// Read, and not yet understood.
    pub(super) read: BytesMut,
    /// The request's text: its head, and a first piece of its body if that was there.
    pub(super) text: Vec<u8>,
    /// How much of the text is written.
    pub(super) written: usize,
    read_at_once: usize,
}

impl Connection {
    /// A connection on which nothing was said.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            text: Vec::with_capacity(1024),
            written: 0,
            read_at_once: READ_BYTES,
        }
    }

    /// Reads more; 0 is the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < self.read_at_once / 2 {
            // Takes the old space back if nobody holds a piece of it any more.
            self.read.reserve(self.read_at_once);
        }
        let room = self.read.capacity() - self.read.len();
        let count = ready!(pin!(self.stream.read_buf(&mut self.read)).poll(cx))?;
        if count == room {
            self.read_at_once = (self.read_at_once * 2).min(LONG_READ_BYTES);
        }
        Poll::Ready(Ok(count))
    }

    /// Writes the text. Ready when all of it is.
    pub(super) fn poll_write_text(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.text.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of a piece of the body.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, piece))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => Poll::Ready(Ok(count)),
        }
    }

    /// Makes it ready for the next request.
    pub(super) fn tidy(&mut self) {
        self.written = 0;
        self.text.clear();
        if self.text.capacity() > KEPT_BYTES {
            self.text = Vec::new();
        }
        self.read_at_once = READ_BYTES;
        if self.read.capacity() > KEPT_BYTES {
            self.read = BytesMut::new();
        }
    }
}

impl Reusable for Connection {
    fn state(&self) -> State {
        // Nothing may wait here: neither the end of the stream nor words that answer no question.
        match self.stream.try_read(&mut [0_u8; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => State::Ready,
            _ => State::Gone,
        }
    }
}
