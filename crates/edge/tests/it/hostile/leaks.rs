//! What stays behind when everything has gone wrong many times: no task, no connection, on either side.

use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::vanishing::{SCENES, go, upstream};
use super::{Way, on_both_ways};
use crate::wire::{PATIENCE, Reader, connect, request};

/// Times that each fault is met.
const TIMES: usize = 50;

async fn faults_leave_no_task_and_no_connection_behind(way: Way) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let upstream = upstream().await;
    // Handles are made when a data plane is, and that is within one poll on this thread.
    let guard = metrics::set_default_local_recorder(&recorder);
    let world = super::world(way, upstream.uri()).await;
    drop(guard);
    let connections = || {
        let report = handle.render();
        let line =
            report.lines().find_map(|line| line.strip_prefix(r#"rndrkit_connections{listener="public"} "#));
        line.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    let tasks = || Handle::current().metrics().num_alive_tasks();

    // What is made once, such as a pool's keeper, is made now.
    drop(go("answered", world.public, &world.key().line()).await);
    settles(|| connections() == 0 && upstream.open() <= 1).await;
    let before = tasks();
    for scene in SCENES {
        for time in 0..TIMES {
            let client = go(scene, world.public, &world.key().line()).await;
            if time % 2 == 0 {
                client.stream.set_zero_linger().unwrap();
            }
        }
        let settled = settles(|| connections() == 0 && upstream.open() <= 1 && tasks() <= before).await;
        let left = (connections(), upstream.open(), tasks().saturating_sub(before));
        assert!(settled, "{scene}: {left:?} connections, upstream connections and tasks more than before");
    }
}

/// An upstream whose connections hold next to nothing, on either side of the wire.
fn narrow() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    // Senders give a connection room by what fits into one segment.
    socket.set_tcp_mss(500).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(8).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

async fn an_upstream_that_answers_early_and_never_reads_the_rest_leaves_nothing_behind(way: Way) {
    let chunked = format!("186a0\r\n{}\r\n", "x".repeat(100_000)).repeat(10);
    for (line, body) in [
        // What the direct way takes, and what it does not.
        ("Content-Length: 60000", "x".repeat(60_000)),
        ("Content-Length: 1000000", "x".repeat(1_000_000)),
        ("Transfer-Encoding: chunked", chunked),
    ] {
        let upstream = narrow();
        let uri = format!("http://{}", upstream.local_addr().unwrap()).parse().unwrap();
        let world = super::impatient(way, uri).await;
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let mut client = connect(world.public).await;
        client.send(request("POST /api/x", &[&world.key().line(), line], "")).await;
        let (mut held, _) = upstream.accept().await.unwrap();
        held.read_exact(&mut [0; 4]).await.unwrap();
        let (read, mut write) = client.stream.into_split();
        let sending = tokio::spawn(async move {
            let _ = write.write_all(body.as_bytes()).await;
        });
        held.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        let mut answers = Reader::new(tokio::io::join(read, tokio::io::sink()));
        assert_eq!(answers.answer().await.status(), 200, "{line}");
        // What fits into sockets on the way is there by then.
        tokio::time::sleep(Duration::from_millis(100)).await;
        sending.abort();
        drop(answers);
        // Its caller is gone, and it is not.
        let settled = settles(|| tasks() <= before).await;
        assert!(settled, "{line}: {} tasks more than before", tasks() - before);
        drop(held);
    }
}

/// Whether it comes true in time.
async fn settles(holds: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.is_ok()
}

on_both_ways! {
    faults_leave_no_task_and_no_connection_behind,
    an_upstream_that_answers_early_and_never_reads_the_rest_leaves_nothing_behind,
}
