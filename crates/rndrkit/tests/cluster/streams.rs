//! Long connections on one node, whose key is deleted on another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::history::Outcome;
use crate::nodes::Cluster;
use crate::world::{Random, World};

/// The promise, and what a busy machine may add.
const CUT_WITHIN: Duration = Duration::from_secs(1);
const MARGIN: Duration = Duration::from_secs(1);

/// An API that never stops: events for whoever asks plainly, ticks for whoever asks for a socket.
async fn endless_api() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tick(stream));
        }
    });
    address
}

async fn tick(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = vec![0_u8; 4096];
    let count = stream.read(&mut head).await?;
    let wants_socket = String::from_utf8_lossy(&head[..count]).to_lowercase().contains("upgrade: websocket");
    let answer: &[u8] = if wants_socket {
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    } else {
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    };
    stream.write_all(answer).await?;
    loop {
        stream.write_all(b"data: tick\n\n").await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Opens a stream and reads until it ticks.
async fn open(address: SocketAddr, secret: &str, upgrade: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let port = address.port();
    let head =
        format!("GET /api/ticks HTTP/1.1\r\nHost: localhost:{port}\r\nX-Api-Key: {secret}\r\n{upgrade}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.windows(4).any(|four| four == b"tick") {
        let mut chunk = [0_u8; 1024];
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&chunk[..count]);
    }
    stream
}

/// Reads until the end; how long that took.
async fn until_cut(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut chunk = [0_u8; 1024];
    let reading = async { while stream.read(&mut chunk).await.is_ok_and(|count| count > 0) {} };
    let cut = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(cut.is_ok(), "it still runs");
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_streams_on_other_nodes_are_cut_within_a_second_of_the_delete() {
    const SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upstream = format!("http://{}", endless_api().await);
    let Some(cluster) = Cluster::start_with(3, &[("RNDRKIT_UPSTREAM_URL", &upstream)]).await else { return };
    let world = World::on(cluster.internal());
    let account = world.account("wide", &mut Random(7)).await.unwrap();
    let key = world.create(0, &account).await.unwrap();
    let other = world.create(0, &account).await.unwrap();
    let mut streams = Vec::new();
    for node in 0..3 {
        let public = cluster.server(node).public;
        streams.push(open(public, &key.secret, "").await);
        streams.push(open(public, &key.secret, SOCKET).await);
    }
    let mut unharmed = open(cluster.server(1).public, &other.secret, SOCKET).await;
    assert_eq!(world.delete(0, &key).await, Outcome::Done);
    let cuts: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(until_cut(stream))).collect();
    for cut in cuts {
        let after = cut.await.unwrap();
        assert!(after < CUT_WITHIN + MARGIN, "cut {after:?} after the delete answered");
    }
    let mut chunk = [0_u8; 1024];
    assert!(unharmed.read(&mut chunk).await.unwrap() > 0, "another key of the account keeps its own");
}
