//! Good keys while a flood runs: always answered, never pushed out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::wire::Wire;
use crate::world::{World, client, question, unknown};

/// Look-ups at once: few, so that a flood reaches the bound.
const LOOKUPS: f64 = 4.0;
/// Connections that ask about unknown keys without a pause.
const ATTACKERS: usize = 48;
/// How long they do.
const FLOOD: Duration = Duration::from_secs(4);
/// Refused secrets that a server holds, with what its cache may hold beside while it makes room.
const REFUSED_HELD: f64 = 16_384.0 * 1.1;
/// Good keys that nobody has asked about before the flood.
const COLD: usize = 30;
/// Memory that the flood may take: refused secrets, addresses, look-ups under way; and what an allocator keeps.
const MEMORY_KIB: u64 = 64 * 1024;

/// What a flood was answered.
#[derive(Default)]
struct Answers {
    refused: AtomicUsize,
    told_to_wait: AtomicUsize,
    unavailable: AtomicUsize,
}

/// One connection of the flood: another unknown key and another address each time.
async fn attack(server: SocketAddr, number: usize, answers: Arc<Answers>, over: Arc<AtomicBool>) {
    let mut wire = Wire::open(server).await.unwrap();
    let mut count = number;
    while !over.load(Ordering::Relaxed) {
        let answer = wire.ask(&question(client(count % 65_536), &unknown())).await.unwrap();
        let code = answer.text("code");
        let counter = match (answer.status, code.as_deref()) {
            (401, Some("invalid_key")) => &answers.refused,
            (429, Some("too_many_failures")) => &answers.told_to_wait,
            (503, Some("unavailable")) => &answers.unavailable,
            other => panic!("{other:?}"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        count += ATTACKERS;
    }
}

/// Asks about good keys in turn until the flood is over; how often.
async fn ask_about_good_ones(server: SocketAddr, secrets: Arc<Vec<String>>, over: Arc<AtomicBool>) -> usize {
    let mut wire = Wire::open(server).await.unwrap();
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let secret = &secrets[count % secrets.len()];
        let answer = wire.ask(&question(client(count % 7), secret)).await.unwrap();
        assert_eq!(answer.status, 200, "a good key was refused: {:?}", answer.text("code"));
        count += 1;
    }
    count
}

/// Memory of a process that is in use, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_many_addresses_takes_nothing_from_good_keys() {
    let settings = [("RNDRKIT_LOOKUP_CONCURRENCY", "4"), ("RNDRKIT_CACHE_KEYS", "200")];
    let world = Arc::new(World::start(&settings, 10, 0).await);
    let mut cold = Vec::new();
    for number in 0..COLD {
        cold.push(world.cold_key(&format!("cold {number}")).await);
    }
    let server = world.server.internal;
    let (answers, over) = (Arc::new(Answers::default()), Arc::new(AtomicBool::new(false)));
    let memory = resident(world.server.pid());
    let mut flood = JoinSet::new();
    for number in 0..ATTACKERS {
        flood.spawn(attack(server, number, answers.clone(), over.clone()));
    }
    let hot = tokio::spawn(ask_about_good_ones(server, world.good.clone(), over.clone()));
    let begun = Instant::now();
    let mut most_running = 0.0_f64;
    let mut wire = Wire::open(server).await.unwrap();
    let mut cold_late = 0;
    for (number, secret) in cold.iter().enumerate() {
        most_running = most_running.max(world.server.metric("rndrkit_lookups_running").await);
        // An address that has caused no failure: its look-up has its turn before those of the flood.
        let from = format!("203.0.113.{number}").parse().unwrap();
        let answer = wire.ask(&question(from, secret)).await.unwrap();
        let code = answer.text("code");
        assert_ne!(answer.status, 401, "a good key was called bad: {code:?}");
        cold_late += usize::from(answer.status != 200);
    }
    tokio::time::sleep(FLOOD.saturating_sub(begun.elapsed())).await;
    over.store(true, Ordering::Relaxed);
    while let Some(attacker) = flood.join_next().await {
        attacker.unwrap();
    }
    let asked = hot.await.unwrap();

    assert!(asked > 100, "good keys were hardly asked about: {asked}");
    assert_eq!(cold_late, 0, "good keys of other addresses did not get their turn");
    assert!(most_running > 0.0 && most_running <= LOOKUPS, "{most_running} look-ups at once");
    assert!(answers.refused.load(Ordering::Relaxed) > 1_000, "that was no flood");
    let entries =
        async |cache: &str| world.server.metric(&format!("rndrkit_cache_entries{{cache=\"{cache}\"}}")).await;
    assert_eq!(entries("good").await, f64::from(10 + u8::try_from(COLD).unwrap()));
    assert!(entries("refused").await <= REFUSED_HELD);
    assert_eq!(world.server.metric("rndrkit_cache_evictions_total").await, 0.0);
    assert_eq!(world.server.metric("rndrkit_lookups_running").await, 0.0);
    let grown = resident(world.server.pid()).saturating_sub(memory);
    assert!(grown < MEMORY_KIB, "the flood took {grown} KiB");
}
