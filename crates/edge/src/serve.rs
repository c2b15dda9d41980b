//! Accepting connections, serving each within its bounds, and ending them in good order.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::{Connection, Phase};
use crate::edge::Service;
use crate::listener::Listener;
use crate::stall::StallGuard;
use crate::workers::Workers;

/// What the parser reads of a request's head at most; `shape` refuses with words what is half as long.
const PARSER_HEADER_BYTES: usize = 64 * 1024;
/// Bytes buffered in each direction of a connection. Large enough that few large bodies need many turns.
const CONNECTION_BUFFER_BYTES: usize = 128 * 1024;
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
    let limits = service.edge().options.limits.clone();
    let phase = watch::Sender::new(Phase::Running);
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let Listener { socket, tls } = listener;
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&socket, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let count = service.edge().meters.connected(service.listener_kind());
                let place = workers.take_place();
                let worker = place.spawner();
                let connection =
                    Connection::new(peer, tls.is_some(), place, phase.subscribe(), permit, count);
                worker.spawn(run(stream, Arc::new(connection), service.clone(), tls.clone()));
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
    let Some(tls) = tls else { return drive(stream, connection, service).await };
    let handshake = tokio::select! {
        handshake = timeout(limits.handshake_timeout, tls.accept(stream)) => handshake,
        () = connection.draining() => return,
    };
    match handshake {
        Ok(Ok(stream)) => drive(stream, connection, service).await,
        Ok(Err(error)) => tracing::debug!(peer = %connection.peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %connection.peer, "a TLS handshake took too long"),
    }
}

async fn drive<S>(stream: S, connection: Arc<Connection>, service: Service)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header_timeout = service.edge().options.limits.header_timeout;
    let for_requests = connection.clone();
    let answering = service_fn(move |request| {
        let (service, connection) = (service.clone(), for_requests.clone());
        async move { Ok::<_, Infallible>(service.answer(connection, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(PARSER_HEADER_BYTES)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), answering)
        .with_upgrades();
    let mut serving = pin!(serving);
    let mut draining = pin!(connection.draining());
    let mut asked_to_finish = false;
    loop {
        tokio::select! {
            result = serving.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %connection.peer, %error, "a connection ended early");
                }
                return;
            }
            // Dropping the connection closes its socket, whatever waits to be written.
            () = connection.was_cut() => return,
            () = connection.closed() => return,
            () = &mut draining, if !asked_to_finish => {
                asked_to_finish = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
