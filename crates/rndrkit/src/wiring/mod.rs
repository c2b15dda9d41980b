//! Builds everything once and ties it together: the only place that knows all parts.
//!
//! Deliberately absent: what any part does. [`Server::start`] gives back a running server; dropping it
//! without [`Server::stop`] is what `kill -9` would do.

mod adapters;
mod clock;
mod confirm;
mod control_runtime;
mod convert;
mod error;
mod following;
mod health;
mod line;
mod listeners;
mod mailer;
mod parts;
mod signing;
mod tokens;
mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use rndrkit_cluster::MemberStatus;
use rndrkit_control::NewLink;
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Clock;
use rndrkit_edge::{EdgeBody, Fallback, Listener, Service, WorkerThreads, Workers};
use rndrkit_store::AuditPublicKey;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

pub use error::StartError;
pub use mailer::Mailer;

use crate::config::{DataFolder, Settings};
use control_runtime::ControlRuntime;
use health::NodeHealth;
use listeners::Bound;
use parts::Parts;

/// How long readiness fails before the listeners close, so that load balancers notice first. Only when a
/// signal asks for it; tests stop at once.
pub const DRAIN_NOTICE: Duration = Duration::from_millis(500);

/// A running server.
pub struct Server {
    /// Where dashboard and API are.
    pub public: SocketAddr,
    /// Where the operator API is.
    pub internal: SocketAddr,
    /// Where the gateway is, if it has a listener of its own.
    pub gateway: Option<SocketAddr>,
    /// The link that makes the first account; none once somebody has joined.
    pub first_account_link: Option<NewLink>,
    /// The file that holds the operator token, if the data folder does.
    pub operator_token_file: Option<std::path::PathBuf>,
    /// Whether keys of this installation have this prefix from now on.
    pub is_new_prefix: bool,
    /// The public half of the key that signs the audit trail; none when nothing is signed.
    pub audit_public_key: Option<AuditPublicKey>,
    /// How this node stands among the others; none on SQLite, where it stands alone.
    pub nodes: Option<MemberStatus>,
    health: Arc<NodeHealth>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    threads: WorkerThreads,
    parts: Parts,
}

impl Server {
    /// Starts. When it returns, every listener answers and decisions can be made.
    pub async fn start(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        // Before the ports: when this very installation runs already, another port is no help. The folder
        // itself is made only when the ports are ours, so that a failed start leaves nothing behind.
        if DataFolder::is_in_use(&settings.storage.data_dir) {
            open_folder(settings)?;
        }
        let bound = Bound::bind(&settings.listeners).await?;
        let folder = open_folder(settings)?;
        let (stop, stopping) = watch::channel(false);
        let count = WorkerThreads::suitable_count();
        let threads = WorkerThreads::start(count).map_err(StartError::Threads)?;
        let parts = Parts::build(settings, folder, clock, entropy.clone(), count).await?;
        let first_account_link = match parts.control.first_account_link().await {
            Ok(link) => link,
            Err(error) => {
                parts.stop().await;
                return Err(error.into());
            }
        };

        let state = parts.server_state(settings, entropy);
        let public = parts.edge.public(fallback(rndrkit_server::public_router(state.clone())));
        let telemetry = fallback(rndrkit_server::telemetry_router(state.clone()));
        let internal = parts.edge.internal(fallback(rndrkit_server::operator_router(state)));

        let addresses = Addresses::of(&bound);
        let spawn = |listener, service| spawn(listener, service, threads.workers(), stopping.clone());
        let mut listeners = vec![spawn(bound.public, public), spawn(bound.internal, internal)];
        if let Some(listener) = bound.gateway {
            listeners.push(spawn(listener, parts.edge.gateway()));
        }
        if let Some(listener) = bound.authz {
            listeners.push(spawn(listener, parts.edge.authz()));
        }
        if let Some(listener) = bound.telemetry {
            listeners.push(spawn(listener, parts.edge.telemetry(telemetry)));
        }
        Ok(Self {
            public: addresses.public,
            internal: addresses.internal,
            gateway: addresses.gateway,
            first_account_link,
            is_new_prefix: parts.is_new_prefix,
            operator_token_file: parts.operator_token_file.clone(),
            audit_public_key: parts.audit_public_key,
            nodes: parts.member_status(),
            health: parts.health.clone(),
            stop,
            listeners,
            threads,
            parts,
        })
    }

    /// Readiness fails from now on; requests are still answered.
    pub fn start_draining(&self) {
        self.health.start_draining();
    }

    /// Stops in order: no new connections, requests in progress finish, counters are written.
    pub async fn stop(self) {
        self.start_draining();
        self.stop.send_replace(true);
        for listener in self.listeners {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener ended badly");
            }
        }
        self.threads.stop().await;
        self.parts.stop().await;
    }
}

/// The data folder, if anything of this installation lies in it: on PostgreSQL with a token from the settings
/// nothing does, and a container may be read-only.
fn open_folder(settings: &Settings) -> Result<Option<DataFolder>, StartError> {
    let is_needed =
        settings.storage.database.sqlite_path().is_some() || settings.access.operator_token.is_none();
    Ok(if is_needed { Some(DataFolder::open(&settings.storage.data_dir)?) } else { None })
}

struct Addresses {
    public: SocketAddr,
    internal: SocketAddr,
    gateway: Option<SocketAddr>,
}

impl Addresses {
    /// What was bound; an address that cannot be told is shown as unspecified.
    fn of(bound: &Bound) -> Self {
        let address = |listener: &Listener| {
            listener.local_address().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
        };
        Self {
            public: address(&bound.public),
            internal: address(&bound.internal),
            gateway: bound.gateway.as_ref().map(address),
        }
    }
}

fn spawn(
    listener: Listener,
    service: Service,
    workers: Workers,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let stopped = async move {
            // An error means that the sender is gone, and with it the server.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        rndrkit_edge::serve(listener, service, workers, stopped).await;
    })
}

/// A router as the data plane takes it. It answers in this runtime, and not on the worker that asks.
fn fallback(router: Router) -> Fallback {
    let control = ControlRuntime::here();
    let service = tower::service_fn(move |request: http::Request<Incoming>| {
        let (router, control) = (router.clone(), control.clone());
        async move {
            let answered = control.run(router.oneshot(request.map(axum::body::Body::new))).await;
            Ok(match answered {
                Ok(Ok(response)) => response.map(EdgeBody::boxed),
                Ok(Err(never)) => match never {},
                Err(error) => {
                    tracing::error!(%error, cause = std::error::Error::source(&error), "a call was not answered");
                    let mut response = http::Response::new(EdgeBody::empty());
                    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    response
                }
            })
        }
    });
    Fallback::new(service)
}
