//! Serving one connection in the protocol that it speaks, until it ends or is told to.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use crate::connection::Connection;
use crate::intake::{Intake, Protocol};
use crate::rarely::Rarely;
use crate::service::Service;
use crate::timer::Ticks;

/// What a parser reads of a request's headers at most; half as much is refused with words before that.
const PARSER_HEADER_BYTES: usize = 64 * 1024;
/// The same where the protocol wants a narrower number.
const HEADER_LIST_BYTES: u32 = 64 * 1024;
/// Bytes buffered in each direction of an HTTP/1 connection. Large enough that few large bodies need many turns.
const CONNECTION_BUFFER_BYTES: usize = 128 * 1024;

/// Requests under way at once on one HTTP/2 connection: what browsers and proxies expect to have.
const MAX_STREAMS: u32 = 128;
/// Bytes that a caller may send ahead of whoever reads them: of one request, and of a connection in all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// Bytes of one answer that wait for a caller who reads slowly.
const STREAM_SEND_BYTES: usize = 64 * 1024;
/// Streams that a caller reset before they were looked at, and that we reset for its errors. Opening and resetting
/// without end costs us more than the caller; beyond this the connection ends.
const MAX_RESET_STREAMS: usize = 32;
const MAX_ERROR_RESETS: usize = 128;
/// How often a caller is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a connection. On a plain one nobody has said yet which protocol it is.
pub(crate) async fn drive<S>(
    stream: S,
    agreed: Option<Protocol>,
    connection: Arc<Connection>,
    service: Service,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = Intake::new(stream, connection.tally.clone());
    let protocol = match agreed {
        Some(protocol) => protocol,
        None => match sniff(&mut stream, &connection, &service).await {
            Some(protocol) => protocol,
            None => return,
        },
    };
    match protocol {
        Protocol::Http1 => serve_http1(stream, connection, service).await,
        Protocol::Http2 => {
            stream.speak_http2();
            serve_http2(stream, connection, service).await;
        }
    }
}

/// None: the connection ended, or was too slow, before it asked anything.
async fn sniff<S>(stream: &mut Intake<S>, connection: &Connection, service: &Service) -> Option<Protocol>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let longest = service.edge().options.limits.header_timeout;
    tokio::select! {
        sniffed = timeout(longest, stream.sniff()) => sniffed.ok()?.ok(),
        () = connection.draining() => None,
    }
}

async fn serve_http1<S>(stream: Intake<S>, connection: Arc<Connection>, service: Service)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header_timeout = service.edge().options.limits.header_timeout;
    let ticks = Ticks::for_waits_of(header_timeout);
    let for_requests = connection.clone();
    let service = Arc::new(service);
    let answering = service_fn(move |request| {
        let (service, connection) = (service.clone(), for_requests.clone());
        async move { Ok::<_, Infallible>(service.answer(connection, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(ticks.clone())
        .header_read_timeout(header_timeout)
        .max_header_size(PARSER_HEADER_BYTES)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), answering)
        .with_upgrades();
    attend(serving, http1::UpgradeableConnection::graceful_shutdown, &connection, Some(&ticks)).await;
}

/// A key that is cut takes its whole connection along, also here: a caller that has stopped reading can be
/// reached in no other way, and what else was under way is asked for again.
async fn serve_http2<S>(stream: Intake<S>, connection: Arc<Connection>, service: Service)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let for_requests = connection.clone();
    let service = Arc::new(service);
    let answering = service_fn(move |request| {
        let (service, connection) = (service.clone(), for_requests.clone());
        async move { Ok::<_, Infallible>(service.answer(connection, request).await) }
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answering);
    attend(serving, http2::Connection::graceful_shutdown, &connection, None).await;
}

/// What a connection is told from outside.
enum Word {
    /// Time has gone on.
    Tick,
    /// Finish what is in progress.
    Finish,
    /// End, whatever is in progress.
    End,
}

/// The next word for a connection, which may have been told to finish already.
async fn word(connection: &Connection, is_finishing: bool, ticks: Option<&Ticks>) -> Word {
    let tick = async {
        match ticks {
            Some(ticks) => sleep(ticks.length()).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = connection.was_cut() => Word::End,
        () = connection.closed() => Word::End,
        () = connection.draining(), if !is_finishing => Word::Finish,
        () = tick => Word::Tick,
    }
}

/// Serves a connection until it ends or is told to.
async fn attend<C>(serving: C, finish: impl Fn(Pin<&mut C>), connection: &Connection, ticks: Option<&Ticks>)
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut serving = pin!(serving);
    let mut is_finishing = false;
    let mut words = Rarely::new(Box::pin(word(connection, is_finishing, ticks)));
    let result = poll_fn(|cx| {
        let mut is_asked = true;
        loop {
            if is_asked && let Poll::Ready(result) = serving.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            is_asked = true;
            match ready!(words.poll(cx)) {
                // Dropping the connection closes its socket, whatever waits to be written.
                Word::End => return Poll::Ready(Ok(())),
                Word::Finish => {
                    is_finishing = true;
                    finish(serving.as_mut());
                }
                Word::Tick => is_asked = ticks.is_some_and(Ticks::tick),
            }
            words = Rarely::new(Box::pin(word(connection, is_finishing, ticks)));
        }
    });
    if let Err(error) = result.await {
        tracing::debug!(peer = %connection.peer, %error, "a connection ended early");
    }
}
