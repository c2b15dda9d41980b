//! The straight way to a plain upstream: a request with a small body or none, and its answer, in the request's
//! own task, with one write and one read where they fit.
//!
//! What is written was parsed before: names and values come from HTTP types, the length is our own. What is
//! read is read strictly. Everything unusual takes the other way (`general`).

pub(crate) mod body;
mod chunked;
mod connection;
mod response;
mod upload;

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;

use self::body::{DirectBody, Underway};
pub(super) use self::connection::Connection;
pub(super) use self::response::MAX_STATUS;
use self::response::{Framing, Head, Malformed, Parsed};
use self::upload::Upload;
use super::connect::Stream;
use super::pool::Home;
use super::{Answer, AnswerBody, Outbound, UpstreamBody, UpstreamError, Way};
use crate::gateway::body::RequestBody;
use crate::gateway::headers;
use crate::gateway::lines::Text;

/// The most interim answers (100, 103) before the one that counts.
const MAX_INTERIM: u8 = 16;

/// Why there is no answer.
enum Failure {
    /// The connection ended or broke.
    Died(io::Error),
    Malformed(Malformed),
    Caller,
}

impl From<Failure> for UpstreamError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Died(error) => Self::Unreachable(error.into()),
            Failure::Malformed(error) => Self::Unreachable(error.into()),
            Failure::Caller => Self::CallerBody,
        }
    }
}

/// Sends a request with a body of exactly `length` bytes, or none, and waits for the answer's head.
pub(super) async fn exchange(
    way: &Way<'_>,
    outbound: &Outbound<'_>,
    body: Option<RequestBody>,
    length: u64,
) -> Result<Answer, UpstreamError> {
    let home = Home { pool: way.origin.direct.clone(), worker: way.worker };
    let kept = home.pool.take(home.worker);
    let is_kept = kept.is_some();
    let connection = match kept {
        Some(connection) => connection,
        None => connect(way).await?,
    };
    let repeats = body.is_none() && outbound.method.is_idempotent();
    let mut exchange = Exchange { connection, upload: Upload::new(body, length), heard: false, interim: 0 };
    exchange.write_head(outbound);
    poll_fn(|cx| Poll::Ready(exchange.upload.merge(&mut exchange.connection, cx)))
        .await
        .map_err(|_| UpstreamError::CallerBody)?;
    let mut outcome = exchange.head(&outbound.method).await;
    let died = matches!(outcome, Err(Failure::Died(_)));
    // The upstream may have closed a kept connection at the moment of its reuse. Asked again is only what it
    // cannot have begun to do, or what may be done twice (RFC 9110, section 9.2.2).
    if is_kept && died && !exchange.heard && (exchange.connection.written == 0 || repeats) {
        exchange.begin_anew(connect(way).await?);
        outcome = exchange.head(&outbound.method).await;
    }
    let (head, rest) = outcome?;
    Ok(exchange.answer(head, rest, home, way.longest_rest))
}

async fn connect(way: &Way<'_>) -> Result<Connection, UpstreamError> {
    match way.connector.connect(way.origin.uri.clone()).await? {
        Stream::Http(stream) => Ok(Connection::new(stream.into_inner())),
        Stream::Https(_) => Err(UpstreamError::Unreachable("a plain upstream greeted with TLS".into())),
    }
}

/// A request that waits for the head of its answer.
struct Exchange {
    connection: Connection,
    upload: Upload,
    /// Whether any byte of an answer came.
    heard: bool,
    interim: u8,
}

impl Exchange {
    fn write_head(&mut self, outbound: &Outbound<'_>) {
        let text = &mut self.connection.text;
        for part in [outbound.method.as_str(), " ", outbound.path_and_query(), " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        headers::write_request(&outbound.headers, &outbound.outgoing, &mut Text(text));
        text.extend_from_slice(b"\r\n");
    }

    /// Says the same on another connection.
    fn begin_anew(&mut self, mut connection: Connection) {
        connection.text = std::mem::take(&mut self.connection.text);
        self.connection = connection;
        self.upload.begin_anew();
    }

    /// Waits for the head, and returns with it what was read behind it.
    async fn head(&mut self, method: &Method) -> Result<(Head, Bytes), Failure> {
        poll_fn(|cx| self.poll_head(method, cx)).await
    }

    fn poll_head(&mut self, method: &Method, cx: &mut Context<'_>) -> Poll<Result<(Head, Bytes), Failure>> {
        if let Poll::Ready(Err(_)) = self.upload.poll(&mut self.connection, cx) {
            return Poll::Ready(Err(Failure::Caller));
        }
        loop {
            match ready!(self.connection.poll_read(cx)) {
                Ok(0) => return Poll::Ready(Err(Failure::Died(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => self.heard = true,
                Err(error) => return Poll::Ready(Err(Failure::Died(error))),
            }
            if let Some(outcome) = self.parse(method).map_err(Failure::Malformed).transpose() {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Takes the head off what was read, if all of it is there.
    fn parse(&mut self, method: &Method) -> Result<Option<(Head, Bytes)>, Malformed> {
        // Values of headers are slices of this text, so that none has a place of its own on the heap.
        let mut text = self.connection.read.split().freeze();
        loop {
            match response::parse(&text, method)? {
                Parsed::Head(head, length) => return Ok(Some((head, text.split_off(length)))),
                Parsed::Interim(length) if self.interim < MAX_INTERIM => {
                    self.interim += 1;
                    text = text.split_off(length);
                }
                Parsed::Interim(_) => return Err(Malformed::Interim),
                Parsed::Part => {
                    self.connection.read = BytesMut::from(text);
                    return Ok(None);
                }
            }
        }
    }

    /// The answer with this head, of which `rest` was read already.
    fn answer(self, head: Head, rest: Bytes, home: Home<Connection>, longest_rest: Duration) -> Answer {
        let Self { mut connection, upload, .. } = self;
        let Head { status, headers, framing, stays_open } = head;
        if framing == Framing::Length(rest.len() as u64) && upload.is_done() {
            if stays_open {
                connection.tidy();
                home.keep(connection);
            }
            return Answer { status, headers, body: AnswerBody::Whole(rest) };
        }
        connection.read = BytesMut::from(rest);
        let underway = Underway { connection, upload, home, stays_open, longest_rest };
        let body = DirectBody::new(underway, framing);
        Answer { status, headers, body: AnswerBody::Stream(UpstreamBody::Direct(Box::new(body))) }
    }
}
