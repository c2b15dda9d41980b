//! The ways to upstreams: connections kept for reuse, deadlines, and which way a request takes.
//!
//! Nothing is retried, except once, on a new connection, when a kept one had died before any byte of an answer
//! came: what was not written at all, and what may be done twice and has no body.

mod connect;
pub(crate) mod direct;
mod general;
mod pool;

use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{EXPECT, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Method, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;

use self::connect::Connector;
pub(crate) use self::connect::default_tls;
use self::direct::body::DirectBody;
use self::general::GeneralBody;
use self::pool::Pool;
use super::body::{Passage, RequestBody};
use super::headers::Outgoing;
use super::long::{Kind, WATCH_AFTER};
use crate::body::BoxError;
use crate::connection::Connection;
use crate::options::{EdgeOptions, Route};

/// Idle connections kept per upstream, about; more concurrent requests than that open and close their own.
const MAX_IDLE_PER_UPSTREAM: usize = 256;
/// How many of those are for unusual requests, where the usual ones go a way of their own.
const MAX_IDLE_UNUSUAL: usize = 32;

/// The largest body that takes the direct way. There a body is written on only while somebody reads the answer: what
/// the socket's own buffer holds never makes a caller wait who sends all before it reads.
const MAX_DIRECT_BODY_BYTES: u64 = 64 * 1024;

/// Why there is no answer from an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Refused, reset, or not HTTP.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] BoxError),
    /// Neither connected nor answered in time.
    #[error("the upstream took too long")]
    TimedOut,
    /// The caller's body broke off, stalled or was malformed.
    #[error("the caller's body did not arrive")]
    CallerBody,
}

/// One upstream, and what is kept of it.
pub(crate) struct Origin {
    uri: Uri,
    /// The `Host` that names it.
    host: HeaderValue,
    /// Whether it is spoken to without TLS.
    is_plain: bool,
    direct: Arc<Pool<direct::Connection>>,
    general: Arc<Pool<general::Connection>>,
}

impl Origin {
    /// None where the address names no host.
    fn new(uri: &Uri, workers: NonZeroUsize) -> Option<Self> {
        let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        let is_plain = uri.scheme_str() == Some("http");
        let (direct, general) = if is_plain {
            (MAX_IDLE_PER_UPSTREAM - MAX_IDLE_UNUSUAL, MAX_IDLE_UNUSUAL)
        } else {
            (0, MAX_IDLE_PER_UPSTREAM)
        };
        Some(Self {
            uri: uri.clone(),
            host,
            is_plain,
            direct: Pool::new(direct, workers),
            general: Pool::new(general, workers),
        })
    }

    /// The `Host` that names it.
    pub(crate) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    fn is_at(&self, uri: &Uri) -> bool {
        self.uri.authority().map(Authority::as_str) == uri.authority().map(Authority::as_str)
            && self.uri.scheme_str() == uri.scheme_str()
    }
}

/// A request as it leaves: the caller's, and what we know about it.
pub(crate) struct Outbound<'a> {
    /// Its method.
    pub(crate) method: Method,
    /// Path and query, with the caller's bytes.
    pub(crate) uri: Uri,
    /// What the caller sent. The credential is already gone.
    pub(crate) headers: HeaderMap,
    /// What we add.
    pub(crate) outgoing: Outgoing<'a>,
}

impl Outbound<'_> {
    fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
}

/// Where a request goes, and who sends it.
struct Way<'a> {
    origin: &'a Origin,
    connector: &'a Connector,
    worker: usize,
    /// How long an upstream that has answered may take nothing of the request's rest.
    longest_rest: Duration,
}

/// An answer's head, made fit for the caller, and its body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
}

/// What follows an answer's head.
pub(crate) enum AnswerBody {
    /// All of it, or nothing.
    Whole(Bytes),
    /// Pieces.
    Stream(UpstreamBody),
    /// Another protocol.
    Upgraded(OnUpgrade),
}

/// A body that comes in pieces.
pub(crate) enum UpstreamBody {
    /// The direct way.
    Direct(Box<DirectBody>),
    /// The general way.
    General(GeneralBody),
}

/// All upstreams.
pub(crate) struct Upstream {
    origins: Vec<Origin>,
    connector: Connector,
    response_timeout: Duration,
    /// How long an upstream that has answered may take nothing of the request's rest.
    longest_rest: Duration,
    /// Whether every request takes the general way.
    only_general: bool,
}

impl Upstream {
    /// The upstreams of these routes, without a connection yet. `tls` says how `https` ones are checked.
    pub(crate) fn new(options: &EdgeOptions, tls: rustls::ClientConfig) -> Self {
        let limits = &options.limits;
        let mut origins: Vec<Origin> = Vec::new();
        for route in &options.routes {
            if !origins.iter().any(|origin| origin.is_at(&route.upstream)) {
                origins.extend(Origin::new(&route.upstream, options.workers));
            }
        }
        Self {
            origins,
            connector: Connector::new(tls, limits.connect_timeout),
            response_timeout: limits.response_timeout,
            longest_rest: limits.write_stall,
            only_general: options.only_general_upstream,
        }
    }

    /// The upstream of a route. There are few, so this is a look at each.
    pub(crate) fn origin(&self, route: &Route) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.is_at(&route.upstream))
    }

    /// Sends a request and waits for the answer's headers: as long as the body moves, and then a while.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        connection: &Connection,
        outbound: &Outbound<'_>,
        body: Option<RequestBody>,
        passage: &Arc<Passage>,
    ) -> Result<Answer, UpstreamError> {
        let mut before = passage.pieces();
        let mut answer = pin!(self.exchange(origin, connection.worker, outbound, body, passage));
        let unwatched = WATCH_AFTER.min(self.response_timeout);
        if let Some(result) = connection.patience.within(unwatched, answer.as_mut()).await {
            return result;
        }
        passage.watch(Kind::Plain);
        let mut longest = self.response_timeout.saturating_sub(unwatched);
        loop {
            match timeout(longest, &mut answer).await {
                Ok(result) => return result,
                // The body's own bounds end that, and say whose fault it was.
                Err(_) if passage.awaits_caller() => {}
                Err(_) if passage.pieces() == before => return Err(UpstreamError::TimedOut),
                Err(_) => {}
            }
            before = passage.pieces();
            longest = self.response_timeout;
        }
    }

    async fn exchange(
        &self,
        origin: &Origin,
        worker: usize,
        outbound: &Outbound<'_>,
        body: Option<RequestBody>,
        passage: &Arc<Passage>,
    ) -> Result<Answer, UpstreamError> {
        let (connector, longest_rest) = (&self.connector, self.longest_rest);
        let way = Way { origin, connector, worker, longest_rest };
        let length = body.as_ref().map_or(Some(0), |body| body.size_hint().exact());
        // Who expects to be told to go on is told when the upstream takes the body, which hyper's side sees to.
        let is_usual = origin.is_plain
            && !self.only_general
            && outbound.outgoing.upgrade.is_none()
            && !outbound.headers.contains_key(EXPECT);
        match length {
            Some(length) if is_usual && length <= MAX_DIRECT_BODY_BYTES => {
                direct::exchange(&way, outbound, body, length).await
            }
            _ => Box::pin(general::exchange(&way, outbound, body, passage)).await,
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Direct(body) => Pin::new(body.as_mut()).poll_frame(cx),
            Self::General(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct(body) => body.is_end_stream(),
            Self::General(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.size_hint(),
            Self::General(body) => body.size_hint(),
        }
    }
}
