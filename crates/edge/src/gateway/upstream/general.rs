//! The general way to an upstream: hyper's client over a connection of our pool, driven by a task of its own.
//! For TLS, changes of protocol, bodies of unknown length, and whatever else is unusual.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connect::Stream;
use super::direct::MAX_STATUS;
use super::pool::{Home, Reusable, State};
use super::{Answer, AnswerBody, Outbound, UpstreamBody, UpstreamError, Way};
use crate::body::BoxError;
use crate::gateway::body::{Passage, RequestBody};
use crate::gateway::headers;

/// The most bytes that hyper buffers of an answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A connection that hyper drives.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// Whether any byte was read since the last request.
    heard: Arc<AtomicBool>,
    /// The task that drives it.
    driver: JoinHandle<()>,
}

impl Connection {
    /// Lets the rest of a request that was answered early go on, and ends the connection when nothing of it moves.
    /// The passage is the request's own, and ends with it.
    async fn attend_rest(self, passage: Weak<Passage>, longest: Duration) {
        let Self { sender, mut driver, .. } = self;
        // Without it, the driver ends when the request does.
        drop(sender);
        let pieces = || passage.upgrade().map(|passage| passage.pieces());
        let mut before = pieces();
        loop {
            if timeout(longest, &mut driver).await.is_ok() {
                return;
            }
            let now = pieces();
            if now == before {
                return driver.abort();
            }
            before = now;
        }
    }
}

impl Reusable for Connection {
    fn state(&self) -> State {
        if self.sender.is_closed() {
            State::Gone
        } else if self.sender.is_ready() {
            State::Ready
        } else {
            State::Busy
        }
    }
}

/// Sends a request and waits for the answer's head.
pub(super) async fn exchange(
    way: &Way<'_>,
    outbound: &Outbound<'_>,
    body: Option<RequestBody>,
    passage: &Arc<Passage>,
) -> Result<Answer, UpstreamError> {
    let repeats = body.is_none() && outbound.method.is_idempotent();
    let mut request = as_hyper(outbound, body.unwrap_or_else(|| RequestBody::none(passage.clone())))?;
    if let Some(mut connection) = way.origin.general.take(way.worker) {
        connection.heard.store(false, Ordering::Relaxed);
        match connection.sender.try_send_request(request).await {
            Ok(response) => return answer(way, outbound, response, connection, passage),
            Err(mut failed) => match failed.take_message() {
                // No byte of it was written.
                Some(back) => request = back,
                None if repeats && !passage.failed() && !connection.heard.load(Ordering::Relaxed) => {
                    request = as_hyper(outbound, RequestBody::none(passage.clone()))?;
                }
                None => return Err(blame(failed.into_error(), passage)),
            },
        }
    }
    let mut connection = connect(way).await?;
    match connection.sender.send_request(request).await {
        Ok(response) => answer(way, outbound, response, connection, passage),
        Err(error) => Err(blame(error, passage)),
    }
}

async fn connect(way: &Way<'_>) -> Result<Connection, UpstreamError> {
    let stream = way.connector.connect(way.origin.uri.clone()).await?;
    let heard = Arc::new(AtomicBool::new(false));
    let listening = Listening { inner: TokioIo::new(stream), heard: heard.clone() };
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(listening))
        .await
        .map_err(|error| UpstreamError::Unreachable(error.into()))?;
    let driving = tokio::spawn(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::debug!(%error, "a connection to an upstream ended early");
        }
    });
    Ok(Connection { sender, heard, driver: driving })
}

fn as_hyper(outbound: &Outbound<'_>, body: RequestBody) -> Result<Request<RequestBody>, UpstreamError> {
    let uri = outbound
        .path_and_query()
        .parse()
        .map_err(|error: http::uri::InvalidUri| UpstreamError::Unreachable(error.into()))?;
    let mut request = Request::new(body);
    *request.method_mut() = outbound.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    headers::write_request(&outbound.headers, &outbound.outgoing, request.headers_mut());
    Ok(request)
}

fn answer(
    way: &Way<'_>,
    outbound: &Outbound<'_>,
    mut response: Response<Incoming>,
    connection: Connection,
    passage: &Arc<Passage>,
) -> Result<Answer, UpstreamError> {
    if response.status().as_u16() > MAX_STATUS {
        return Err(UpstreamError::Unreachable("the upstream's status is out of range".into()));
    }
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let offers = outbound.outgoing.upgrade.as_ref();
    if switched && !offers.is_some_and(|offers| headers::is_offered(offers, response.headers())) {
        return Err(UpstreamError::Unreachable(
            "the upstream changed to a protocol that nobody offered".into(),
        ));
    }
    let upgraded = switched.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, incoming) = response.into_parts();
    headers::prepare_response(&mut parts.headers, switched);
    let body = match upgraded {
        Some(upgraded) => AnswerBody::Upgraded(upgraded),
        None => AnswerBody::Stream(UpstreamBody::General(GeneralBody::new(
            incoming,
            Lease {
                connection,
                home: Home { pool: way.origin.general.clone(), worker: way.worker },
                passage: passage.clone(),
                longest_rest: way.longest_rest,
            },
        ))),
    };
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// Whose fault it is that no answer came.
fn blame(error: hyper::Error, passage: &Passage) -> UpstreamError {
    if passage.failed() { UpstreamError::CallerBody } else { UpstreamError::Unreachable(error.into()) }
}

struct Lease {
    connection: Connection,
    home: Home<Connection>,
    passage: Arc<Passage>,
    longest_rest: Duration,
}

/// A body that hyper reads.
pub(crate) struct GeneralBody {
    incoming: Incoming,
    /// Present until the end. Dropped before, the connection is not used again.
    lease: Option<Lease>,
}

impl GeneralBody {
    fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        body.end_if_complete();
        body
    }

    fn end_if_complete(&mut self) {
        if self.incoming.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(Lease { connection, home, passage, longest_rest }) = self.lease.take() else { return };
        if passage.sent() {
            home.keep(connection);
        } else {
            tokio::spawn(connection.attend_rest(Arc::downgrade(&passage), longest_rest));
        }
    }
}

impl Body for GeneralBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => self.end_if_complete(),
            Some(Err(_)) => self.lease = None,
            None => self.end(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Notes that something was read.
struct Listening {
    inner: TokioIo<Stream>,
    heard: Arc<AtomicBool>,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Listening {
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
