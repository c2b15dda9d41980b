//! Ports, bounds on connections, TLS, and ending in good order.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::random::OsEntropy;
use rndrkit_edge::{BindError, Edge, EdgeError, EdgeOptions, Limits, Listener, Route, TlsError};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::upstream::{Script, Upstream};
use crate::wire::{Reader, ask, connect, request};
use crate::world::{World, recording_fallback, start_on};

/// A certificate for `localhost` and `127.0.0.1`, made for this run.
pub(crate) fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A TLS client that trusts this certificate alone.
pub(crate) fn trusting(certified: &CertifiedKey<KeyPair>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn limited(upstream: &Upstream, limits: Limits) -> World {
    let routes = vec![Route::new("/api/", upstream.uri())];
    World::with(|options| {
        options.routes = routes;
        options.limits = limits;
    })
    .await
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = first.local_address().unwrap();
    let Err(error) = Listener::bind(address).await else { panic!("a port cannot be bound twice") };
    assert!(matches!(error, BindError::InUse { address: named } if named == address));
    assert_eq!(error.to_string(), format!("{address} is in use by another process"));
}

#[tokio::test]
async fn an_upstream_that_is_no_origin_is_refused_at_start() {
    let world = World::with(|_| {}).await;
    for upstream in ["http://a/path", "http://user:pw@a", "ftp://a", "/just/a/path", "http://a/?q=1"] {
        let mut options = EdgeOptions::new("http://localhost", Digest::of("t"));
        options.routes = vec![Route::new("/api/", upstream.parse().unwrap())];
        let made = Edge::new(options, world.verifier.clone(), world.clock.clone(), Arc::new(OsEntropy));
        assert!(matches!(made, Err(EdgeError::Upstream { path }) if path == "/api/"), "{upstream}");
    }
}

#[tokio::test]
async fn the_dashboard_gets_everything_outside_the_api_with_who_asks() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    for path in ["/", "/settings", "/apis", "/Api/x", "/static/../x"] {
        let answer = ask(world.public, &format!("GET {path}"), &["X-Forwarded-For: 6.6.6.6"]).await;
        assert_eq!(answer.text(), "passed on", "{path}");
        let passed = world.passed().pop().unwrap();
        assert_eq!(passed.line, format!("GET {path}"));
        assert_eq!(passed.client.unwrap().ip.to_string(), "127.0.0.1");
        assert!(!passed.client.unwrap().https && passed.decision.is_none());
        assert_eq!(passed.request_id.map(|id| id.to_string()).as_deref(), answer.header("x-rk-request-id"));
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn headers_beyond_the_bounds_are_431() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let large = format!("X-Large: {}", "x".repeat(33_000));
    let answer = ask(world.public, "GET /api/x", &[&large]).await;
    assert_eq!((answer.status(), answer.code().as_str()), (431, "headers_too_large"));
    let many = vec!["X-Many: 1"; 97];
    assert_eq!(ask(world.public, "GET /", &many).await.code(), "headers_too_large");
    for lines in [vec!["X-Many: 1"; 200], vec![large.as_str(); 3]] {
        let mut client = connect(world.public).await;
        client.send(request("GET /", &lines, "")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.code().as_str()), (431, "headers_too_large"));
        assert!(client.is_closed().await);
    }
    assert!(world.passed().is_empty() && upstream.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_headers_is_let_go() {
    let upstream = Upstream::simple().await;
    let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::default() };
    let world = limited(&upstream, limits).await;
    let mut silent = connect(world.public).await;
    let mut slow = connect(world.public).await;
    slow.send("GET /api/x HTTP/1.1\r\nHost: a\r\n").await;
    assert!(slow.is_closed().await);
    assert!(silent.is_closed().await);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_until_one_ends() {
    let upstream = Upstream::simple().await;
    let world = limited(&upstream, Limits { max_connections: 2, ..Limits::default() }).await;
    let key = world.key();
    let mut first = connect(world.public).await;
    let mut second = connect(world.public).await;
    for client in [&mut first, &mut second] {
        client.send(request("GET /api/x", &[&key.line()], "")).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    let mut third = connect(world.public).await;
    third.send(request("GET /api/third", &[&key.line()], "")).await;
    let waiting = tokio::time::timeout(Duration::from_millis(300), third.head()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    assert_eq!(upstream.seen().len(), 2);
    drop(first);
    assert_eq!(third.answer().await.status(), 200);
}

/// An upstream that answers when told to, and says when it was asked.
async fn slow_upstream() -> (Upstream, Arc<Semaphore>, Arc<Semaphore>) {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (for_arrived, for_go) = (arrived.clone(), go.clone());
    let upstream = Upstream::scripted(move |_| {
        let (arrived, go) = (for_arrived.clone(), for_go.clone());
        Script::take(|mut reader| async move {
            arrived.add_permits(1);
            go.acquire().await.unwrap().forget();
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        })
    })
    .await;
    (upstream, arrived, go)
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_progress_and_takes_nothing_new() {
    let (upstream, arrived, go) = slow_upstream().await;
    let mut world = World::over(&upstream).await;
    let key = world.key();
    let mut idle = connect(world.public).await;
    idle.send(request("GET /settings", &[], "")).await;
    idle.answer().await;
    let mut busy = connect(world.public).await;
    busy.send(request("GET /api/x", &[&key.line()], "")).await;
    arrived.acquire().await.unwrap().forget();

    world.listeners[0].stop();
    assert!(idle.is_closed().await);
    assert!(TcpStream::connect(world.public).await.is_err());
    assert!(!world.listeners[0].task.is_finished());
    go.add_permits(1);
    assert_eq!(busy.answer().await.text(), "done");
    assert!(busy.is_closed().await);
    (&mut world.listeners[0].task).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (upstream, arrived, _go) = slow_upstream().await;
    let limits = Limits { shutdown: Duration::from_millis(200), ..Limits::default() };
    let mut world = limited(&upstream, limits).await;
    let mut busy = connect(world.public).await;
    busy.send(request("GET /api/x", &[&world.key().line()], "")).await;
    arrived.acquire().await.unwrap().forget();
    world.listeners[0].stop();
    assert!(busy.is_closed().await);
    (&mut world.listeners[0].task).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_upgraded_connections_at_its_deadline() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
                .await;
            reader.read_to_end().await;
        })
    })
    .await;
    let limits = Limits { shutdown: Duration::from_millis(200), ..Limits::default() };
    let mut world = limited(&upstream, limits).await;
    let mut client = connect(world.public).await;
    let lines = [&world.key().line(), "Connection: upgrade", "Upgrade: x"];
    client.send(request("GET /api/x", &lines, "")).await;
    assert_eq!(client.head().await.status(), 101);
    world.listeners[0].stop();
    assert!(client.is_closed().await);
    (&mut world.listeners[0].task).await.unwrap();
}

#[tokio::test]
async fn with_a_certificate_the_listener_is_encrypted_and_says_so_onwards() {
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

    let connector = TlsConnector::from(Arc::new(trusting(&certified)));
    let stream = TcpStream::connect(serving.address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut client = Reader::new(stream);
    client.send(request("GET /api/x", &[&world.key().line()], "")).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(upstream.only().header("x-forwarded-proto"), Some("https"));

    let mut plain = connect(serving.address).await;
    plain.send(request("GET /api/x", &[&world.key().line()], "")).await;
    let answer = String::from_utf8_lossy(&plain.read_to_end().await).into_owned();
    assert!(!answer.starts_with("HTTP"), "{answer}");
}

/// The certificate that a new connection is shown.
async fn shown(address: std::net::SocketAddr, trusted: &[&CertifiedKey<KeyPair>]) -> Vec<u8> {
    let mut roots = rustls::RootCertStore::empty();
    for certified in trusted {
        roots.add(certified.cert.der().clone()).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn new_tls_files_are_taken_without_a_restart_and_broken_ones_are_not() {
    let (old, new) = (certificate(), certificate());
    let folder = tempfile::tempdir().unwrap();
    let (chain, key_file) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, old.cert.pem()).unwrap();
    std::fs::write(&key_file, old.signing_key.serialize_pem()).unwrap();
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let mut options = EdgeOptions::new("https://localhost", Digest::of("t"));
    options.routes = vec![Route::new("/api/", upstream.uri())];
    options.limits.tls_check_interval = Duration::from_millis(10);
    let edge = Edge::new(options, world.verifier.clone(), world.clock.clone(), Arc::new(OsEntropy)).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.with_tls(&chain, &key_file).unwrap();
    let serving = start_on(listener, edge.public(recording_fallback(Arc::default())));

    let connector = TlsConnector::from(Arc::new(trusting(&old)));
    let stream = TcpStream::connect(serving.address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut begun_before = Reader::new(stream);

    // A key that belongs to another certificate, then none at all: nothing changes for callers.
    std::fs::write(&chain, new.cert.pem()).unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(shown(serving.address, &[&old, &new]).await, old.cert.der().to_vec());
    }
    std::fs::remove_file(&key_file).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(shown(serving.address, &[&old, &new]).await, old.cert.der().to_vec());

    std::fs::write(&key_file, new.signing_key.serialize_pem()).unwrap();
    let taken = async {
        while shown(serving.address, &[&old, &new]).await != new.cert.der().to_vec() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::wire::PATIENCE, taken).await.expect("the new pair is taken");
    begun_before.send(request("GET /api/x", &[&world.key().line()], "")).await;
    assert_eq!(begun_before.answer().await.status(), 200);
}

#[tokio::test]
async fn unusable_tls_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key_file) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let (one, other) = (certificate(), certificate());
    let bind = || Listener::bind("127.0.0.1:0".parse().unwrap());
    let missing = bind().await.unwrap().with_tls(&chain, &key_file).err().unwrap();
    assert!(matches!(&missing, TlsError::File { path, .. } if *path == chain));
    std::fs::write(&chain, one.cert.pem()).unwrap();
    std::fs::write(&key_file, "not a key").unwrap();
    let garbage = bind().await.unwrap().with_tls(&chain, &key_file).err().unwrap();
    assert!(matches!(&garbage, TlsError::File { path, .. } if *path == key_file));
    std::fs::write(&key_file, other.signing_key.serialize_pem()).unwrap();
    let mismatch = bind().await.unwrap().with_tls(&chain, &key_file).err().unwrap();
    assert!(matches!(mismatch, TlsError::Unusable(_)));
}

#[tokio::test]
async fn an_encrypted_upstream_is_checked_against_its_certificate() {
    let (certified, stranger) = (certificate(), certificate());
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], der.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: http::Uri = format!("https://{}", socket.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let mut reader = Reader::new(stream);
            reader.head().await;
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret").await;
        }
    });
    for (trusted, status) in [(&certified, 200), (&stranger, 502)] {
        let (tls, uri) = (Arc::new(trusting(trusted)), uri.clone());
        let world = World::with(|options| {
            options.routes = vec![Route::new("/api/", uri)];
            options.upstream_tls = Some(tls);
        })
        .await;
        assert_eq!(ask(world.public, "GET /api/x", &[&world.key().line()]).await.status(), status);
    }
}
