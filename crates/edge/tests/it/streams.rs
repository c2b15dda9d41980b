//! Bodies that come in pieces: passed on at once, and cut when their key no longer allows them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::time::Monotonic;
use rndrkit_edge::{Limits, Route};
use rndrkit_verifier::VerifierOptions;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::upstream::{Script, Upstream};
use crate::wire::{Reader, connect, request};
use crate::world::{TestKey, World};

const EVENT_STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// An upstream that sends one event per permit of the semaphore.
async fn events() -> (Upstream, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let for_upstream = permits.clone();
    let upstream = Upstream::scripted(move |_| {
        let permits = for_upstream.clone();
        Script::take(|mut reader| async move {
            reader.send(EVENT_STREAM).await;
            for number in 0.. {
                permits.acquire().await.unwrap().forget();
                let event = format!("data: {number}\n\n");
                reader.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
            }
        })
    })
    .await;
    (upstream, permits)
}

async fn open(world: &World, key: &TestKey) -> Reader<TcpStream> {
    let mut client = connect(world.public).await;
    client.send(request("GET /api/events", &[&key.line()], "")).await;
    assert_eq!(client.head().await.status(), 200);
    client
}

#[tokio::test]
async fn events_arrive_one_by_one_before_the_next_is_made() {
    let (upstream, permits) = events().await;
    let world = World::over(&upstream).await;
    let mut client = open(&world, &world.key()).await;
    for number in 0..5 {
        permits.add_permits(1);
        assert_eq!(client.chunk().await.unwrap(), format!("data: {number}\n\n").into_bytes());
    }
}

#[tokio::test]
async fn an_upload_is_answered_piece_by_piece_while_it_is_being_sent() {
    let upstream = Upstream::scripted(|_| {
        Script::take(|mut reader| async move {
            reader.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while let Some(piece) = reader.chunk().await {
                reader.send(format!("{:x}\r\n", piece.len())).await;
                reader.send(piece).await;
                reader.send("\r\n").await;
            }
            reader.send("0\r\n\r\n").await;
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/echo", &[&world.key().line(), "Transfer-Encoding: chunked"], "")).await;
    client.send("5\r\nfirst\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.chunk().await.unwrap(), b"first");
    client.send("6\r\nsecond\r\n").await;
    assert_eq!(client.chunk().await.unwrap(), b"second");
    client.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn a_large_body_keeps_its_length_in_both_directions() {
    const LENGTH: usize = 3_000_000;
    let upstream = Upstream::scripted(|_| Script::ok(&"d".repeat(LENGTH))).await;
    let world = World::over(&upstream).await;
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&world.key().line()], &"u".repeat(LENGTH))).await;
    let answer = client.answer().await;
    assert_eq!(answer.header("content-length"), Some("3000000"));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.body.len() == LENGTH && answer.body.iter().all(|byte| *byte == b'd'));
    let seen = upstream.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("3000000"), None));
    assert!(seen.body.len() == LENGTH && seen.body.iter().all(|byte| *byte == b'u'));
}

#[tokio::test]
async fn trailers_travel_both_ways_without_reserved_names() {
    let upstream = Upstream::scripted(|_| {
        Script::Answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Rk-Plan\r\n\r\n\
             2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Rk-Plan: forged\r\n\r\n"
                .to_owned(),
        )
    })
    .await;
    let world = World::over(&upstream).await;
    let mut client = connect(world.public).await;
    let lines = [
        &world.key().line(),
        "Transfer-Encoding: chunked",
        "Trailer: X-Check, X-Rk-Account-Id",
        "TE: trailers",
    ];
    client.send(request("POST /api/x", &lines, "")).await;
    client.send("2\r\nhi\r\n0\r\nX-Check: 1\r\nX-Rk-Account-Id: acc_forged\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let seen = upstream.only();
    assert_eq!(seen.trailers, [("x-check".to_owned(), "1".to_owned())]);
    assert_eq!(seen.header("te"), Some("trailers"));
}

#[tokio::test]
async fn a_revoked_key_loses_its_event_stream() {
    let (upstream, permits) = events().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = open(&world, &key).await;
    permits.add_permits(1);
    client.chunk().await.unwrap();
    world.revoke(&key);
    assert!(client.is_closed().await, "nothing more, not even the end of the chunks");
}

#[tokio::test]
async fn a_suspension_and_a_downgrade_cut_like_a_revocation() {
    let (upstream, _permits) = events().await;
    let world = World::over(&upstream).await;
    let (suspended, downgraded) = (world.key(), world.key());
    let mut first = open(&world, &suspended).await;
    let mut second = open(&world, &downgraded).await;
    world.suspend(&suspended);
    assert!(first.is_closed().await);
    world.downgrade(&downgraded);
    assert!(second.is_closed().await);
}

#[tokio::test]
async fn streams_of_other_keys_go_on_even_in_the_same_account() {
    let (upstream, permits) = events().await;
    let world = World::over(&upstream).await;
    let ended = world.key();
    let sibling = world.key_of(ended.account);
    let mut doomed = open(&world, &ended).await;
    let mut other = open(&world, &sibling).await;
    world.revoke(&ended);
    assert!(doomed.is_closed().await);
    // The doomed stream's upstream may take a permit before it notices.
    permits.add_permits(3);
    assert!(other.chunk().await.is_some());
}

#[tokio::test]
async fn a_reader_that_has_stopped_reading_is_cut_all_the_same() {
    let (gone, mut is_gone) = tokio::sync::mpsc::channel(1);
    let upstream = Upstream::scripted(move |_| {
        let gone = gone.clone();
        Script::take(|mut reader| async move {
            reader.send(EVENT_STREAM).await;
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while reader.stream.write_all(piece.as_bytes()).await.is_ok() {}
            gone.send(()).await.unwrap();
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = open(&world, &key).await;
    client.chunk().await.unwrap();
    world.revoke(&key);
    // Nobody reads here, so the upstream can only end because the gateway let go.
    tokio::time::timeout(crate::wire::PATIENCE, is_gone.recv()).await.expect("cut").unwrap();
}

#[tokio::test]
async fn an_endless_upload_is_cut_too() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("POST /api/x", &[&key.line(), "Transfer-Encoding: chunked"], "")).await;
    client.send("5\r\nfirst\r\n").await;
    // The decision is made once the upstream has been asked; a lookup of the key shows that.
    while world.verifier.cached_keys() == 0 {
        tokio::task::yield_now().await;
    }
    world.revoke(&key);
    let rest = String::from_utf8(client.read_to_end().await).unwrap();
    // Revoked between judging and sending is possible too: then it is refused in words.
    assert!(rest.is_empty() || rest.contains("key_revoked"), "{rest}");
}

#[tokio::test]
async fn a_plain_request_that_was_admitted_may_finish() {
    let go = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(Semaphore::new(0));
    let (for_go, for_arrived) = (go.clone(), arrived.clone());
    let upstream = Upstream::scripted(move |_| {
        let (go, arrived) = (for_go.clone(), for_arrived.clone());
        Script::take(|mut reader| async move {
            arrived.add_permits(1);
            go.acquire().await.unwrap().forget();
            reader.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
            reader.send("done").await;
        })
    })
    .await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let mut client = connect(world.public).await;
    client.send(request("GET /api/x", &[&key.line()], "")).await;
    arrived.acquire().await.unwrap().forget();
    world.revoke(&key);
    go.add_permits(1);
    assert_eq!(client.answer().await.text(), "done");
}

#[tokio::test]
async fn an_end_that_only_time_brings_cuts_a_stream_at_the_next_look() {
    let (upstream, permits) = events().await;
    let routes = vec![Route::new("/api/", upstream.uri())];
    let world = World::with(|options| {
        options.routes = routes;
        options.limits = Limits { recheck_interval: Duration::from_millis(50), ..Limits::default() };
    })
    .await;
    let key = world.key();
    let in_an_hour = rndrkit_domain::time::Clock::now(world.clock.as_ref()).plus(Duration::from_secs(3_600));
    world.change(&key, |facts| facts.expires_at = Some(in_an_hour));
    let mut client = open(&world, &key).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    permits.add_permits(1);
    assert!(client.chunk().await.is_some(), "looking again changes nothing while the key is good");
    world.clock.advance(Duration::from_secs(3_600));
    assert!(client.is_closed().await);
}

/// Looks often, and cuts after this long without trust.
async fn impatient(upstream: &Upstream, untrusted_grace: Duration) -> World {
    impatient_holding(VerifierOptions::default(), upstream, untrusted_grace).await
}

async fn impatient_holding(
    holding: VerifierOptions,
    upstream: &Upstream,
    untrusted_grace: Duration,
) -> World {
    let routes = vec![Route::new("/api/", upstream.uri())];
    World::holding(holding, |options| {
        options.routes = routes;
        let recheck_interval = Duration::from_millis(20);
        options.limits = Limits { recheck_interval, untrusted_grace, ..Limits::default() };
    })
    .await
}

#[tokio::test]
async fn a_stream_outlasts_a_while_without_trust_and_is_cut_when_that_lasts() {
    let (upstream, permits) = events().await;
    let world = impatient(&upstream, Duration::from_millis(1_500)).await;
    let mut client = open(&world, &world.key()).await;
    world.verifier.untrust();
    tokio::time::sleep(Duration::from_millis(500)).await;
    permits.add_permits(1);
    assert!(client.chunk().await.is_some(), "cut although nothing is known to have changed");
    world.verifier.set_trust(Monotonic(u64::MAX));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    permits.add_permits(1);
    assert!(client.chunk().await.is_some(), "the time without trust is counted anew each time");
    world.verifier.untrust();
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_stream_is_judged_as_soon_as_trust_is_back() {
    let (upstream, permits) = events().await;
    let world = impatient(&upstream, Duration::from_secs(60)).await;
    let (gone, kept) = (world.key(), world.key());
    let (mut cut, mut goes_on) = (open(&world, &gone).await, open(&world, &kept).await);
    world.verifier.untrust();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The node hears of the change before it is trusted again, as it does when it catches up.
    world.revoke(&gone);
    world.verifier.set_trust(Monotonic(u64::MAX));
    let closed = tokio::time::timeout(Duration::from_secs(1), cut.is_closed()).await;
    assert_eq!(closed, Ok(true), "cut within a second of the change");
    permits.add_permits(3);
    assert!(goes_on.chunk().await.is_some());
}

#[tokio::test]
async fn a_change_ends_a_stream_within_a_second_although_nobody_can_tell_what_it_means() {
    let (upstream, _permits) = events().await;
    let world = impatient(&upstream, Duration::from_secs(60)).await;
    let key = world.key();
    let mut client = open(&world, &key).await;
    world.verifier.untrust();
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.revoke(&key);
    assert_eq!(tokio::time::timeout(Duration::from_secs(1), client.is_closed()).await, Ok(true));
}

#[tokio::test]
async fn a_node_that_has_forgotten_everything_reads_the_keys_of_its_streams_again() {
    let (upstream, permits) = events().await;
    let world = impatient(&upstream, Duration::from_secs(60)).await;
    let (gone, kept) = (world.key(), world.key());
    let (mut cut, mut goes_on) = (open(&world, &gone).await, open(&world, &kept).await);
    world.revoke_unheard(&gone);
    world.verifier.drop_everything();
    assert_eq!(tokio::time::timeout(Duration::from_secs(1), cut.is_closed()).await, Ok(true));
    permits.add_permits(3);
    assert!(goes_on.chunk().await.is_some());
}

#[tokio::test]
async fn a_stream_goes_on_while_its_key_cannot_be_looked_up_and_nothing_has_changed() {
    let (upstream, permits) = events().await;
    let small = VerifierOptions { cache_keys: 2, ..VerifierOptions::default() };
    let world = impatient_holding(small, &upstream, Duration::from_secs(60)).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let key = world.key();
        let client = open(&world, &key).await;
        streams.push((key, client));
    }
    world.source.failing.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    permits.add_permits(100);
    for (_, client) in &mut streams {
        assert!(client.chunk().await.is_some(), "cut although nothing is known to have changed");
    }
    let (key, mut client) = streams.pop().unwrap();
    assert!(world.verifier.cached_keys() <= 2, "most are not in memory any more");
    // A change that names the key is another matter: nobody can tell what it means.
    world.revoke(&key);
    assert!(tokio::time::timeout(Duration::from_secs(1), client.read_to_end()).await.is_ok());
}

#[tokio::test]
async fn when_all_streams_have_to_be_judged_anew_at_once_only_those_of_ended_keys_are_cut() {
    const STREAMS: usize = 200;
    let (upstream, permits) = events().await;
    let world = impatient(&upstream, Duration::from_secs(60)).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let key = world.key();
        let client = open(&world, &key).await;
        streams.push((key, client));
    }
    // The look-ups together take longer than one waits for its turn.
    world.source.delay_ms.store(100, Ordering::SeqCst);
    let (mut unheard, mut revoked) = (streams.split_off(STREAMS - 10), streams.split_off(STREAMS - 20));
    for (key, _) in &unheard {
        world.revoke_unheard(key);
    }
    world.verifier.drop_everything();
    for (key, _) in &revoked {
        world.revoke(key);
    }
    let named = async {
        for (_, client) in &mut revoked {
            assert!(client.is_closed().await);
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), named).await.is_ok(), "their end was applied");
    for (_, client) in &mut unheard {
        assert!(client.is_closed().await);
    }
    permits.add_permits(STREAMS * 5);
    for (_, client) in &mut streams {
        assert!(client.chunk().await.is_some(), "cut for want of a turn");
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_ended() {
    let (upstream, _permits) = events().await;
    let routes = vec![Route::new("/api/", upstream.uri())];
    let world = World::with(|options| {
        options.routes = routes;
        options.limits = Limits { stream_idle: Duration::from_millis(100), ..Limits::default() };
    })
    .await;
    let mut client = open(&world, &world.key()).await;
    assert!(client.is_closed().await);
}
