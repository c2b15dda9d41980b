//! What stands between a socket and the HTTP parser: bytes that could be read in two ways never reach it.
//!
//! The parser accepts bare line feeds, and both ways to frame a body at once, and refuses what it does not
//! accept without a word. Here the bytes of an HTTP/1 connection are followed to where each request ends. A head
//! is passed on when it is whole and good; in place of a bad one the parser is given a request that the service
//! knows by its number and refuses in words. Deliberately absent: taking requests apart, which the parser does.

mod boundaries;
mod chunks;
mod head;
mod tally;
mod violation;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use self::boundaries::{Boundaries, End};
pub(crate) use self::tally::Tally;

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the parser is given in place of a request that is not read.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n";
/// Read at once of what is held back.
const HELD_STEP: usize = 4 * 1024;
/// Held back at most while nobody knows which protocol it is in.
const MAX_UNDECIDED: usize = 16 * 1024;
/// A caller that is refused in the middle of sending is read on for so long and so far: closing earlier would
/// reset the connection, and the refusal would be lost with it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 2 * 1024 * 1024;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A socket whose requests are followed.
pub(crate) struct Intake<S> {
    inner: S,
    boundaries: Boundaries,
    /// Read, and not handed out yet.
    held: BytesMut,
    /// How much of it may be handed out.
    released: usize,
    /// What is left of the stand-in, once there is need for one.
    stand_in: &'static [u8],
    lingering: Option<Lingering>,
}

struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Intake<S> {
    pub(crate) fn new(inner: S, tally: Arc<Tally>) -> Self {
        Self {
            inner,
            boundaries: Boundaries::new(tally),
            held: BytesMut::new(),
            released: 0,
            stand_in: STAND_IN,
            lingering: None,
        }
    }

    /// Reads until it is clear what the connection speaks.
    pub(crate) async fn sniff(&mut self) -> io::Result<Protocol> {
        let protocol = loop {
            let known = self.held.len().min(PREFACE.len());
            if self.held.get(..known) != PREFACE.get(..known) {
                break Protocol::Http1;
            }
            if known == PREFACE.len() {
                break Protocol::Http2;
            }
            if std::future::poll_fn(|cx| self.poll_hold(cx)).await? == 0 {
                break Protocol::Http1;
            }
        };
        match protocol {
            Protocol::Http1 => self.released = self.boundaries.pass(&self.held),
            Protocol::Http2 => self.speak_http2(),
        }
        Ok(protocol)
    }

    /// The connection speaks HTTP/2: it is not followed.
    pub(crate) fn speak_http2(&mut self) {
        self.boundaries.ignore();
        self.released = self.held.len();
    }

    /// Reads some more of what is held back; 0 at the end of the stream.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let before = self.held.len();
        self.held.resize(before + HELD_STEP, 0);
        let mut buffer = ReadBuf::new(self.held.get_mut(before..).unwrap_or_default());
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        self.held.truncate(before + count);
        read.map_ok(|()| count)
    }

    /// Hands out what was released.
    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.released.min(buffer.remaining());
        buffer.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
        self.released -= count;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// The end of what is read, after all that was good.
    fn end(&mut self, end: End, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<Turn>> {
        match end {
            // Not the end of the stream: the parser would take the caller to be gone, and answer nobody. It asks
            // no more once it has answered, for the stand-in says that it is the last request.
            End::InHead if self.stand_in.is_empty() => Poll::Pending,
            End::InHead => {
                let (now, later) = self.stand_in.split_at(self.stand_in.len().min(buffer.remaining()));
                buffer.put_slice(now);
                self.stand_in = later;
                Poll::Ready(Ok(Turn::Over))
            }
            End::InBody => {
                let error = io::Error::new(io::ErrorKind::InvalidData, violation::Violation::Chunk);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Reads into the parser's own buffer; only what may not be passed on yet is moved from there.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<Turn>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(Turn::Over));
        }
        let passed = self.boundaries.pass(fresh);
        if let Some(rest) = fresh.get(passed..).filter(|rest| !rest.is_empty()) {
            self.held.extend_from_slice(rest);
            buffer.set_filled(before + passed);
        }
        Poll::Ready(Ok(if passed > 0 { Turn::Over } else { Turn::Again }))
    }

    fn turn(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<Turn>> {
        if self.released > 0 {
            self.hand_out(buffer);
            return Poll::Ready(Ok(Turn::Over));
        }
        if let Some(end) = self.boundaries.end() {
            return self.end(end, buffer);
        }
        if self.held.is_empty() {
            return self.poll_direct(cx, buffer);
        }
        if self.boundaries.is_undecided() {
            self.released = self.boundaries.pass(&self.held);
            if self.released > 0 || self.boundaries.end().is_some() {
                return Poll::Ready(Ok(Turn::Again));
            }
            if self.boundaries.is_undecided() && self.held.len() >= MAX_UNDECIDED {
                // The parser asks again when the answer is there.
                return Poll::Pending;
            }
        }
        let count = ready!(self.poll_hold(cx))?;
        if count > 0 {
            self.released = self.boundaries.pass(&self.held);
        }
        Poll::Ready(Ok(if count > 0 { Turn::Again } else { Turn::Over }))
    }

    /// Reads on, to nobody, until the caller has noticed the end.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lingering) = &mut self.lingering else { return Poll::Ready(()) };
        let mut nobody = [0; HELD_STEP];
        while lingering.left > 0 {
            let mut buffer = ReadBuf::new(&mut nobody);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => return lingering.until.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

/// Whether a read has come to something.
enum Turn {
    Over,
    Again,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Intake<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Turn::Over = ready!(self.turn(cx, buffer))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Intake<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            if !self.boundaries.is_within_request() {
                return Poll::Ready(Ok(()));
            }
            self.lingering = Some(Lingering { until: Box::pin(sleep(LINGER)), left: LINGER_BYTES });
        }
        self.poll_linger(cx).map(Ok)
    }
}
