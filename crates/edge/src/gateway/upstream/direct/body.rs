//! The body of an upstream's answer, read as the caller takes it, while the rest of the request is written.
//!
//! A body that is dropped before its end closes its connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use super::chunked::{Chunked, Piece};
use super::connection::Connection;
use super::response::Framing;
use super::upload::{CallerFailed, Upload};
use crate::body::BoxError;
use crate::gateway::upstream::pool::{Home, Reusable, State};

/// Why a body did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Broken {
    #[error("the upstream closed the connection in the middle of its answer")]
    Ended,
    #[error("the rest of the caller's body did not arrive")]
    Caller,
}

/// An exchange whose answer is not yet over.
pub(super) struct Underway {
    pub(super) connection: Connection,
    pub(super) upload: Upload,
    pub(super) home: Home<Connection>,
    /// Whether the upstream wants to go on with the connection.
    pub(super) stays_open: bool,
    /// How long the rest of the request may take once the answer is over.
    pub(super) longest_rest: Duration,
}

impl Underway {
    /// The answer is over: the connection is kept, or goes on until the upstream has all of the request. That it
    /// has to take soon: a body is small here, and nobody waits for it any more.
    fn end(self) {
        let Self { mut connection, mut upload, home, stays_open, longest_rest } = self;
        // What follows an answer unasked belongs to nobody.
        let stays_open = stays_open && connection.read.is_empty();
        if upload.is_done() {
            if stays_open {
                connection.tidy();
                home.keep(connection);
            }
        } else if !upload.is_broken() {
            tokio::spawn(async move {
                let sent = timeout(longest_rest, poll_fn(|cx| upload.poll(&mut connection, cx))).await;
                if matches!(sent, Ok(Ok(())))
                    && upload.is_done()
                    && stays_open
                    && connection.state() == State::Ready
                {
                    connection.tidy();
                    home.keep(connection);
                }
            });
        }
    }
}

enum Reading {
    Length(u64),
    Chunked(Chunked),
    Close,
}

impl Reading {
    fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, BoxError> {
        let here = match self {
            Self::Chunked(chunked) => return chunked.next(buffer).map_err(Into::into),
            Self::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len()),
            Self::Close => buffer.len(),
        };
        if here == 0 {
            return Ok(Piece::More);
        }
        if let Self::Length(left) = self {
            *left -= here as u64;
        }
        Ok(Piece::Data(buffer.split_to(here).freeze()))
    }
}

/// A body on its way.
pub(crate) struct DirectBody {
    /// None when nothing more comes.
    underway: Option<Underway>,
    reading: Reading,
    /// Why nothing more comes, until that is said.
    broken: Option<BoxError>,
}

impl DirectBody {
    pub(super) fn new(underway: Underway, framing: Framing) -> Self {
        let reading = match framing {
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked => Reading::Chunked(Chunked::new()),
            Framing::Close => Reading::Close,
        };
        let mut body = Self { underway: Some(underway), reading, broken: None };
        body.end_if_complete();
        body
    }

    fn end_if_complete(&mut self) {
        if matches!(self.reading, Reading::Length(0)) {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(underway) = self.underway.take() {
            underway.end();
        }
    }

    /// The next frame, or the end. After an error nothing more comes.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<bytes::Bytes>>, BoxError>> {
        let Some(Underway { connection, upload, .. }) = &mut self.underway else {
            return Poll::Ready(Ok(None));
        };
        if let Poll::Ready(Err(CallerFailed)) = upload.poll(connection, cx) {
            return Poll::Ready(Err(Broken::Caller.into()));
        }
        loop {
            match self.reading.next(&mut connection.read)? {
                Piece::Data(data) => {
                    self.end_if_complete();
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Piece::End(trailers) => {
                    self.end();
                    let frame = (!trailers.is_empty()).then(|| Frame::trailers(trailers));
                    return Poll::Ready(Ok(frame));
                }
                Piece::More => {}
            }
            match (ready!(connection.poll_read(cx)), &self.reading) {
                (Ok(0), Reading::Close) => {
                    self.underway = None;
                    return Poll::Ready(Ok(None));
                }
                (Ok(0), _) => return Poll::Ready(Err(Broken::Ended.into())),
                (Ok(_), _) => {}
                (Err(error), _) => return Poll::Ready(Err(io::Error::into(error))),
            }
        }
    }
}

impl Body for DirectBody {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, BoxError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(self.poll_piece(cx)) {
            Ok(frame) => Poll::Ready(frame.map(Ok)),
            Err(error) => {
                // One turn later, so that what came before it is written to the caller first.
                self.underway = None;
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.underway.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.reading {
            Reading::Length(left) => SizeHint::with_exact(*left),
            Reading::Chunked(_) | Reading::Close => SizeHint::default(),
        }
    }
}
