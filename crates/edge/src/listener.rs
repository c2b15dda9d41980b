//! A bound port, encrypted or not.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Why a port could not be bound. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error("{address} is in use by another process")]
    InUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// Anything else: no such address, no permission.
    #[error("{address} cannot be bound")]
    Other {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Why certificate and key cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM of the wanted kind.
    #[error("{} cannot be read as PEM", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("the TLS certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

/// A bound port.
pub struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Binds. Port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        // Not SO_REUSEPORT: a second process on the same port must be refused, not given half the traffic.
        match TcpListener::bind(address).await {
            Ok(socket) => Ok(Self { socket, tls: None }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(BindError::InUse { address }),
            Err(source) => Err(BindError::Other { address, source }),
        }
    }

    /// Encrypts with a certificate chain and its key, both PEM.
    pub fn with_tls(mut self, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::File { path, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(at(certificate))?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(at(key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        self.tls = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(self)
    }

    /// The address that was bound, with the port that was taken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
