//! Accepting connections, serving each within its bounds, and ending them in good order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::addresses::Addresses;
use crate::connection::{Connection, Phase, Shares};
use crate::drive::drive;
use crate::intake::Protocol;
use crate::listener::Listener;
use crate::service::Service;
use crate::stall::StallGuard;
use crate::workers::Workers;

/// Pause after a failed accept, so that being out of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections may take to notice that they are ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `shutdown` resolves, then finishes what is in progress within the bound of the options.
///
/// Accepting happens here, in the caller's runtime; each connection is then a task of one worker.
pub async fn serve(
    listener: Listener,
    service: Service,
    workers: Workers,
    shutdown: impl Future<Output = ()>,
) {
    let edge = service.edge().clone();
    let limits = &edge.options.limits;
    let phase = watch::Sender::new(Phase::Running);
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let Listener { socket, tls } = listener;
    // Ended with this function.
    let mut watching = JoinSet::new();
    if let Some(tls) = &tls {
        watching.spawn(tls.clone().keep_fresh(limits.tls_check_interval, edge.meters.tls_reloads.clone()));
    }
    let addresses = Addresses::default();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&socket, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let trusted = &edge.options.trusted_proxies;
                let presence = addresses.enter(peer.ip(), limits.max_connections_per_address, trusted);
                let Some(presence) = presence else {
                    edge.meters.connections_refused.increment(1);
                    continue;
                };
                let count = edge.meters.connected(service.listener_kind());
                let place = workers.take_place();
                let worker = place.spawner();
                let shares = Shares { place, permit, presence, count };
                let connection = Connection::new(peer, tls.is_some(), phase.subscribe(), shares);
                let acceptor = tls.as_ref().map(|tls| tls.acceptor());
                worker.spawn(run(stream, Arc::new(connection), service.clone(), acceptor));
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    phase.send_replace(Phase::Draining);
    if timeout(limits.shutdown, phase.closed()).await.is_err() {
        tracing::info!(
            connections = phase.receiver_count(),
            "ending connections that did not finish in time"
        );
        phase.send_replace(Phase::Closed);
        let _ = timeout(CLOSE_TIMEOUT, phase.closed()).await;
    }
}

/// Waits for room, then for a connection. Its socket belongs to no runtime yet.
async fn accept(
    socket: &tokio::net::TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(std::net::TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    Ok((stream.into_std()?, peer, permit))
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn run(
    stream: std::net::TcpStream,
    connection: Arc<Connection>,
    service: Service,
    tls: Option<TlsAcceptor>,
) {
    let limits = &service.edge().options.limits;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a connection could not be handed to its worker"),
    };
    // Small answers are the rule, and each is written at once.
    let _ = stream.set_nodelay(true);
    let stream = StallGuard::new(stream, limits.write_stall);
    let Some(tls) = tls else { return drive(stream, None, connection, service).await };
    let handshake = tokio::select! {
        handshake = timeout(limits.handshake_timeout, tls.accept(stream)) => handshake,
        () = connection.draining() => return,
    };
    match handshake {
        Ok(Ok(stream)) => {
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            };
            drive(stream, Some(protocol), connection, service).await;
        }
        Ok(Err(error)) => tracing::debug!(peer = %connection.peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %connection.peer, "a TLS handshake took too long"),
    }
}
