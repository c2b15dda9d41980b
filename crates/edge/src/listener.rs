//! A bound port, encrypted or not.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::tls::{Tls, TlsError};

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

/// A bound port.
pub struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
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

    /// Encrypts with a certificate chain and its key, both PEM. While the listener is served, changed files are
    /// taken for new connections.
    pub fn with_tls(mut self, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        self.tls = Some(Arc::new(Tls::open(certificate, key)?));
        Ok(self)
    }

    /// The address that was bound, with the port that was taken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
