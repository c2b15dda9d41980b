//! A certificate and its key, read from files, and read again when they change.
//!
//! The files are compared by what is in them: certificates are often renewed by swapping links, and a time of
//! change says little then. A pair that cannot be used leaves the one before in force.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::meters::ReloadCounts;

/// What is spoken over TLS, in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why certificate and key cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM of the wanted kind.
    #[error("{} cannot be read as PEM", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("the TLS certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

/// The two files.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What was in them.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error: io::Error| TlsError::File {
                path: path.to_owned(),
                source: pem::Error::Io(error),
            })
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn acceptor(&self, contents: &Contents) -> Result<TlsAcceptor, TlsError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::File { path, source }
        };
        let chain = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(at(&self.certificate))?;
        let secret = PrivateKeyDer::from_pem_slice(&contents.key).map_err(at(&self.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// How a listener encrypts, now and after its files change.
pub(crate) struct Tls {
    files: Files,
    acceptor: RwLock<TlsAcceptor>,
    /// What was tried last; none when it could not be read.
    tried: RwLock<Option<Contents>>,
}

impl Tls {
    /// Reads a certificate chain and its key, both PEM.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let contents = files.read()?;
        let acceptor = RwLock::new(files.acceptor(&contents)?);
        Ok(Self { files, acceptor, tried: RwLock::new(Some(contents)) })
    }

    /// For the next handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().clone()
    }

    /// Looks at the files again and again. Never ends by itself.
    pub(crate) async fn keep_fresh(self: Arc<Self>, interval: Duration, counts: ReloadCounts) {
        loop {
            sleep(interval).await;
            let tls = self.clone();
            // Files may lie on a disk that does not answer at once.
            let looked = tokio::task::spawn_blocking(move || tls.look()).await;
            match looked {
                Ok(None) => {}
                Ok(Some(Ok(()))) => {
                    counts.loaded.increment(1);
                    tracing::info!(certificate = %self.files.certificate.display(), "a new TLS certificate is in use");
                }
                Ok(Some(Err(error))) => {
                    counts.failed.increment(1);
                    tracing::warn!(
                        cause = std::error::Error::source(&error),
                        "the changed TLS files are not used, and those from before still are: {error}"
                    );
                }
                Err(error) => tracing::error!(%error, "the TLS files could not be looked at"),
            }
        }
    }

    /// Takes the files if they changed since they were tried. None: they did not.
    fn look(&self) -> Option<Result<(), TlsError>> {
        let contents = match self.files.read() {
            Ok(contents) => contents,
            // Said once, and again after it could be read in between.
            Err(error) => return self.tried.write().take().map(|_| Err(error)),
        };
        if self.tried.read().as_ref() == Some(&contents) {
            return None;
        }
        let acceptor = self.files.acceptor(&contents);
        *self.tried.write() = Some(contents);
        Some(acceptor.map(|acceptor| *self.acceptor.write() = acceptor))
    }
}
