//! Opening connections to upstreams: name, addresses, TLS, and one deadline over all of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt;

use super::UpstreamError;

/// First keep-alive probe, so that a vanished upstream is noticed on long connections.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// What comes of connecting.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connects within a deadline that covers the name's look-up and the TLS handshake too.
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    longest: Duration,
}

impl Connector {
    /// `tls` says how `https` upstreams are checked.
    pub(super) fn new(tls: rustls::ClientConfig, longest: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(PROBE_AFTER));
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self { inner, longest }
    }

    /// A new connection. The name is looked up anew each time, so that an upstream may move.
    pub(super) async fn connect(&self, origin: Uri) -> Result<Stream, UpstreamError> {
        match timeout(self.longest, self.inner.clone().oneshot(origin)).await {
            Ok(connected) => connected.map_err(UpstreamError::Unreachable),
            Err(_) => Err(UpstreamError::TimedOut),
        }
    }
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
