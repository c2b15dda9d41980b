//! The way to an upstream: connections, their pool, their deadlines. The only module that knows the client.
//!
//! Nothing is retried except a request of which no byte was written.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tower::Service;

use super::body::{Passage, RequestBody};
use super::long::{Kind, WATCH_AFTER};
use crate::body::BoxError;

/// Idle connections kept per upstream; more concurrent requests than that open and close their own.
const MAX_IDLE_PER_UPSTREAM: usize = 256;
/// How long an idle connection is kept: shorter than most servers keep theirs, so that few are met closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// First keep-alive probe, so that a vanished upstream is noticed on long connections.
const PROBE_AFTER: Duration = Duration::from_secs(60);
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

/// Connecting took too long.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
struct ConnectTimeout(Duration);

/// All upstreams.
pub(crate) struct Upstream {
    client: Client<TimedConnector, RequestBody>,
    response_timeout: Duration,
}

impl Upstream {
    /// A client with an empty pool. `tls` says how `https` upstreams are checked.
    pub(crate) fn new(
        tls: rustls::ClientConfig,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(PROBE_AFTER));
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_UPSTREAM)
            .set_host(false)
            .build(TimedConnector { inner, longest: connect_timeout });
        Self { client, response_timeout }
    }

    /// Sends a request and waits for the answer's headers: as long as the body moves, and then a while.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        passage: &Passage,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let mut before = passage.pieces();
        let mut answer = self.client.request(request);
        let unwatched = WATCH_AFTER.min(self.response_timeout);
        if let Ok(result) = timeout(unwatched, &mut answer).await {
            return result.map_err(|error| blame(error, passage));
        }
        passage.watch(Kind::Plain);
        let mut longest = self.response_timeout.saturating_sub(unwatched);
        loop {
            match timeout(longest, &mut answer).await {
                Ok(result) => return result.map_err(|error| blame(error, passage)),
                Err(_) if passage.pieces() == before => return Err(UpstreamError::TimedOut),
                Err(_) => {}
            }
            before = passage.pieces();
            longest = self.response_timeout;
        }
    }
}

/// Whose fault it is that no answer came.
fn blame(error: legacy::Error, passage: &Passage) -> UpstreamError {
    if passage.failed() {
        UpstreamError::CallerBody
    } else if caused_by_timeout(&error) {
        UpstreamError::TimedOut
    } else {
        UpstreamError::Unreachable(error.into())
    }
}

fn caused_by_timeout(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectTimeout>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The TLS settings for `https` upstreams: TLS 1.2 or later, and the machine's own certificates if needed.
pub(crate) fn default_tls(needed: bool) -> io::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // Without an https upstream a machine without certificates is fine.
    let builder = if needed {
        builder.with_native_roots()?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

/// Connects within a deadline that covers the name's look-up and the TLS handshake too.
#[derive(Clone)]
struct TimedConnector {
    inner: HttpsConnector<HttpConnector>,
    longest: Duration,
}

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let longest = self.longest;
        Box::pin(async move {
            match timeout(longest, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimeout(longest).into()),
            }
        })
    }
}
