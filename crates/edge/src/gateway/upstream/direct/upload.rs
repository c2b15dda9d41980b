//! A request's text and body on their way to an upstream, beside the answer that may come before they are through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body;

use super::connection::Connection;
use crate::gateway::body::RequestBody;

/// The largest first piece of a body that is copied to stand behind the head, to be written with it.
const MERGED_BYTES: usize = 16 * 1024;

/// The caller's body broke off, stalled, or was not as long as it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallerFailed;

/// What of a request is not yet written.
pub(super) struct Upload {
    body: Option<RequestBody>,
    /// Bytes of the body that are yet to come from the caller.
    missing: u64,
    piece: Bytes,
    /// The upstream takes nothing more. It may have answered, or still answer.
    broken: bool,
    done: bool,
}

impl Upload {
    /// A body of exactly `length` bytes, or none.
    pub(super) const fn new(body: Option<RequestBody>, length: u64) -> Self {
        Self { body, missing: length, piece: Bytes::new(), broken: false, done: false }
    }

    /// Whether the upstream has all of the request.
    pub(super) const fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the upstream stopped taking it.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Puts the first piece of the body behind the head, if it is there and not large.
    pub(super) fn merge(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Result<(), CallerFailed> {
        if self.body.is_some() && self.poll_piece(cx)?.is_ready() && self.piece.len() <= MERGED_BYTES {
            connection.text.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
        }
        Ok(())
    }

    /// Begins anew on another connection. For requests of which no byte of the body was written.
    pub(super) const fn begin_anew(&mut self) {
        self.broken = false;
        self.done = false;
    }

    /// Writes on. Ready when nothing more will be written.
    pub(super) fn poll(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CallerFailed>> {
        if self.done || self.broken {
            return Poll::Ready(Ok(()));
        }
        loop {
            if ready!(self.poll_write(connection, cx)).is_err() {
                // Its answer, if there is one, says why.
                self.broken = true;
                return Poll::Ready(Ok(()));
            }
            if self.body.is_none() {
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_piece(cx)?);
        }
    }

    /// Writes what is here.
    fn poll_write(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(connection.poll_write_text(cx))?;
        while !self.piece.is_empty() {
            let count = ready!(connection.poll_write(cx, &self.piece))?;
            self.piece.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for a piece of the body, or its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, CallerFailed> {
        while let Some(body) = &mut self.body {
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(None) => {
                    self.body = None;
                    break;
                }
                Poll::Ready(Some(frame)) => frame.map_err(|_| CallerFailed)?,
            };
            // A body of known length has no trailers on the way to the upstream: there is no place for them.
            let Ok(data) = frame.into_data() else { continue };
            self.missing = self.missing.checked_sub(data.len() as u64).ok_or(CallerFailed)?;
            if self.missing == 0 && body.is_end_stream() {
                self.body = None;
            }
            if !data.is_empty() {
                self.piece = data;
                return Ok(Poll::Ready(()));
            }
        }
        if self.missing > 0 { Err(CallerFailed) } else { Ok(Poll::Ready(())) }
    }
}
