//! Binding the ports, before anything else: a port in use is said at once, with the line that helps.

use std::net::SocketAddr;

use rndrkit_edge::{BindError, Listener};

use super::error::StartError;
use crate::config::{Listeners, TlsFiles};

/// The bound ports.
pub(super) struct Bound {
    pub(super) public: Listener,
    pub(super) internal: Listener,
    pub(super) gateway: Option<Listener>,
    pub(super) authz: Option<Listener>,
    pub(super) telemetry: Option<Listener>,
}

impl Bound {
    pub(super) async fn bind(wanted: &Listeners) -> Result<Self, StartError> {
        let public = encrypt(bind(wanted.public, "public-listen").await?, wanted.tls.as_ref())?;
        let internal = bind(wanted.internal, "internal-listen").await?;
        let gateway = match wanted.gateway {
            Some(address) => Some(encrypt(bind(address, "gateway-listen").await?, wanted.tls.as_ref())?),
            None => None,
        };
        let authz = match wanted.authz {
            Some(address) => Some(bind(address, "authz-listen").await?),
            None => None,
        };
        let telemetry = match wanted.telemetry {
            Some(address) => Some(bind(address, "telemetry-listen").await?),
            None => None,
        };
        Ok(Self { public, internal, gateway, authz, telemetry })
    }
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<Listener, StartError> {
    match Listener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(BindError::InUse { address }) => match free_neighbour(address).await {
            Some(free) => Err(StartError::PortInUse { address, flag, free }),
            None => Err(StartError::Bind { flag, source: BindError::InUse { address } }),
        },
        Err(source) => Err(StartError::Bind { flag, source }),
    }
}

fn encrypt(listener: Listener, tls: Option<&TlsFiles>) -> Result<Listener, StartError> {
    match tls {
        Some(files) => listener.with_tls(&files.certificate, &files.key).map_err(StartError::Tls),
        None => Ok(listener),
    }
}

/// The next port upwards that nobody has: easy to remember, unlike a random one.
async fn free_neighbour(taken: SocketAddr) -> Option<SocketAddr> {
    for port in (taken.port().saturating_add(10)..=u16::MAX).step_by(10).take(100) {
        let address = SocketAddr::new(taken.ip(), port);
        if Listener::bind(address).await.is_ok() {
            return Some(address);
        }
    }
    None
}
