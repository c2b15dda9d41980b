//! Why a server does not start. Every text says what to do about it.

use std::net::SocketAddr;

use rndrkit_edge::{BindError, EdgeError, TlsError};

use crate::config::DataFolderError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the port.
    #[error(
        "{address} is in use by another process. Run this instead:\n\n    rndrkit serve --{flag} {free}\n"
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
        /// The setting, as a flag.
        flag: &'static str,
        /// An address of the same host that is free.
        free: SocketAddr,
    },
    /// The address cannot be had for another reason.
    #[error("--{flag}: {source}: {}", causes(source))]
    Bind {
        /// The setting, as a flag.
        flag: &'static str,
        /// Why.
        source: BindError,
    },
    /// The certificate or its key cannot be used.
    #[error("tls_certificate, tls_key: {0}: {cause}", cause = causes(.0))]
    Tls(TlsError),
    /// The threads of the data plane cannot be had.
    #[error("the threads that serve requests could not be started: {0}; look at the limit of processes")]
    Threads(std::io::Error),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Neither the settings nor a data folder hold an operator token.
    #[error("operator_token is not set; give it 32 characters or more")]
    NoOperatorToken,
    /// The database cannot be used.
    #[error("{}", database_text(.0))]
    Database(#[from] rndrkit_store::Error),
    /// The routes cannot be served.
    #[error("routes: {0}")]
    Routes(#[from] EdgeError),
    /// The control plane did not come up.
    #[error("{}", control_text(.0))]
    Control(#[from] rndrkit_control::Error),
    /// The database answers, but the feed could not be read in time.
    #[error("the database did not let this node catch up in {seconds} s; look at its log and try again")]
    NotReady {
        /// How long it was tried.
        seconds: u64,
    },
}

impl StartError {
    /// Whether the answer is "nobody knows": a database that does not answer now may answer later.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Database(error) => matches!(error, rndrkit_store::Error::Unavailable(_)),
            Self::Control(error) => matches!(error, rndrkit_control::Error::Unavailable(_)),
            Self::NotReady { .. } => true,
            _ => false,
        }
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut texts = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    texts.join(": ")
}

fn database_text(error: &rndrkit_store::Error) -> String {
    use rndrkit_store::Error;
    match error {
        Error::NewerSchema { found, needs, known } => format!(
            "the database has schema {found}, made by a newer rndrkit; a program must know schema {needs} to use \
             it, and this one knows {known}. Nothing was changed. Start the newer version, or restore a backup \
             made before the upgrade."
        ),
        other => format!("the database cannot be used: {other}. `rndrkit doctor` looks into it."),
    }
}

fn control_text(error: &rndrkit_control::Error) -> String {
    match error {
        rndrkit_control::Error::PlanInUse { .. } => error.public_text(),
        other => format!("the server could not be made ready: {other}"),
    }
}
