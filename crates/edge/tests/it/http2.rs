//! HTTP/2 from the caller: judged and passed on like HTTP/1.1.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::random::OsEntropy;
use rndrkit_edge::{Edge, EdgeOptions, Limits, Listener, Route};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::listeners::{certificate, trusting};
use crate::upstream::{Script, Upstream};
use crate::wire::PATIENCE;
use crate::world::{World, recording_fallback, start_on};

/// A caller, and its connection while that lasts.
struct Caller<B> {
    requests: SendRequest<B>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl<B> Caller<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (requests, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    async fn send(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>> {
        tokio::time::timeout(PATIENCE, self.requests.send_request(request)).await.expect("an answer in time")
    }
}

/// A request for this path, with these headers.
fn request<B>(method: Method, path: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(format!("http://api.example.com{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

fn get(path: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    request(Method::GET, path, headers, Empty::new())
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
    String::from_utf8(bytes.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_plain_listener_speaks_http_2_to_who_begins_with_it() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut caller = Caller::connect(world.public).await;
    let cookies = [("x-api-key", key.text.as_str()), ("cookie", "a=b"), ("cookie", "c=d")];
    let answer = caller.send(get("/api/x?q=1", &cookies)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-rk-request-id") && answer.headers().contains_key("ratelimit"));
    let seen = upstream.only();
    assert_eq!(
        (seen.first_line.as_str(), seen.header("host")),
        ("GET /api/x?q=1 HTTP/1.1", Some("api.example.com"))
    );
    assert_eq!((seen.header("cookie"), seen.header("x-api-key")), (Some("a=b; c=d"), None));
    assert_eq!(seen.header("x-rk-key-id"), Some(key.id.to_string().as_str()));

    let denied = caller.send(get("/api/x", &[])).await.unwrap();
    assert_eq!(denied.status(), 401);
    assert!(text(denied).await.contains("missing_key"));
    assert_eq!(text(caller.send(get("/settings", &[])).await.unwrap()).await, "passed on");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let world = World::over(&Upstream::simple().await).await;
    let mut caller = Caller::connect(world.public).await;
    let answer = caller.send(request(Method::HEAD, "/api/x", &[], Empty::new())).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().get("content-length").unwrap().to_str().unwrap().parse::<u32>().unwrap() > 100);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn bodies_and_trailers_stream_both_ways() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n").await;
            while let Some(piece) = reader.chunk().await {
                reader.send(format!("{:x}\r\n", piece.len())).await;
                reader.send(piece).await;
                reader.send("\r\n").await;
            }
            let trailers = reader.trailers().await;
            reader.send(format!("0\r\nX-Sum: {}\r\n\r\n", trailers[0].1)).await;
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let (mut sender, body): (Sender<Bytes, Infallible>, _) = Channel::new(4);
    let mut caller = Caller::connect(world.public).await;
    sender.send_data(Bytes::from_static(b"first")).await.unwrap();
    let headers = [("x-api-key", key.text.as_str()), ("trailer", "x-sum"), ("te", "trailers")];
    let mut answer = caller.send(request(Method::POST, "/api/echo", &headers, body)).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    sender.send_data(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers.get("x-sum").unwrap(), "7");
}

#[tokio::test]
async fn many_requests_are_under_way_at_once() {
    const REQUESTS: usize = 100;
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (for_arrived, for_go) = (arrived.clone(), go.clone());
    let upstream = Upstream::scripted(move |_| {
        let (arrived, go) = (for_arrived.clone(), for_go.clone());
        Script::take(move |mut reader| async move {
            arrived.add_permits(1);
            let _go = go.acquire().await.unwrap();
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let caller = Caller::connect(world.public).await;
    let mut answers = Vec::new();
    for _ in 0..REQUESTS / 20 {
        let key = world.key();
        for _ in 0..20 {
            let (mut requests, text) = (caller.requests.clone(), key.text.clone());
            answers.push(tokio::spawn(async move {
                requests.send_request(get("/api/x", &[("x-api-key", &text)])).await.unwrap().status()
            }));
        }
    }
    let all = tokio::time::timeout(PATIENCE, arrived.acquire_many(u32::try_from(REQUESTS).unwrap())).await;
    drop(all.expect("all are under way before one is answered").unwrap());
    go.add_permits(1);
    for answer in answers {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn headers_beyond_the_bounds_are_431_here_too() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let mut caller = Caller::connect(world.public).await;
    let large = "x".repeat(33_000);
    let answer = caller.send(get("/api/x", &[("x-large", &large)])).await.unwrap();
    assert_eq!(answer.status(), 431);
    assert!(text(answer).await.contains("headers_too_large"));
    let huge = "x".repeat(100_000);
    let answer = caller.send(get("/api/x", &[("x-huge", &huge)])).await;
    assert!(answer.is_err() || answer.unwrap().status() == 431);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_shutdown_finishes_the_streams_in_progress() {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (for_arrived, for_go) = (arrived.clone(), go.clone());
    let upstream = Upstream::scripted(move |_| {
        let (arrived, go) = (for_arrived.clone(), for_go.clone());
        Script::take(move |mut reader| async move {
            arrived.add_permits(1);
            let _go = go.acquire().await.unwrap();
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        })
    })
    .await;
    let mut world = World::over(&upstream).await;
    let key = world.key();
    let mut caller = Caller::connect(world.public).await;
    let mut requests = caller.requests.clone();
    let under_way =
        tokio::spawn(async move { requests.send_request(get("/api/x", &[("x-api-key", &key.text)])).await });
    arrived.acquire().await.unwrap().forget();
    world.listeners[0].stop();
    while TcpStream::connect(world.public).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!world.listeners[0].task.is_finished());
    go.add_permits(1);
    assert_eq!(text(under_way.await.unwrap().unwrap()).await, "done");
    tokio::time::timeout(PATIENCE, &mut caller.connection)
        .await
        .expect("the connection ends")
        .unwrap()
        .unwrap();
    (&mut world.listeners[0].task).await.unwrap();
}

#[tokio::test]
async fn a_key_that_ends_takes_its_streams_along() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            reader.read_to_end().await;
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut caller = Caller::connect(world.public).await;
    let answer = caller.send(get("/api/events", &[("x-api-key", &key.text)])).await.unwrap();
    world.revoke(&key);
    let ended = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.expect("cut in time");
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_caller_that_says_half_of_the_preface_is_let_go() {
    let world = World::with(|options| {
        options.limits = Limits { header_timeout: Duration::from_millis(200), ..Limits::default() };
    })
    .await;
    let mut client = crate::wire::connect(world.public).await;
    client.send("PRI * HTTP/2.0\r\n\r\n").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn over_tls_the_protocol_is_agreed_on() {
    let upstream = Upstream::simple().await;
    let certified = certificate();
    let folder = tempfile::tempdir().unwrap();
    let (chain, key_file) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, certified.cert.pem()).unwrap();
    std::fs::write(&key_file, certified.signing_key.serialize_pem()).unwrap();
    let world = World::over(&upstream).await;
    let mut options = EdgeOptions::new("https://localhost", Digest::of("t"));
    options.routes = vec![Route::new("/api/", upstream.uri())];
    let edge = Edge::new(options, world.verifier.clone(), world.clock.clone(), Arc::new(OsEntropy)).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.with_tls(&chain, &key_file).unwrap();
    let serving = start_on(listener, edge.public(recording_fallback(Arc::default())));
    for (offered, agreed) in
        [(vec!["h2", "http/1.1"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let mut config = trusting(&certified);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(serving.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes));
        if agreed == Some("h2") {
            let mut caller: Caller<Full<Bytes>> = Caller::over(stream).await;
            let key = world.key();
            let headers = [("x-api-key", key.text.as_str())];
            let body = Full::new(Bytes::from_static(b"hello"));
            let sent = caller.send(request(Method::POST, "/api/x", &headers, body)).await.unwrap();
            assert_eq!(sent.status(), 200);
            assert_eq!(upstream.only().text(), "hello");
        }
    }
}
