//! Measures what the server spends on the pages of somebody who is signed in, beside a page of the same server that
//! holds nothing and asks nobody: CPU time of its process, in turns, so that what else the machine does hits both alike.
//! Prints a table; judges nothing.
//!
//! `cargo bench -p rndrkit --bench dashboard`, or with addresses of pages (`-- /settings`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot be made ends, and real servers need the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a program without users in code")]

#[path = "../../tests/it/harness.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod harness;
#[path = "../../tests/it/people.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod people;

use std::time::{Duration, Instant};

use harness::Server;
use reqwest::header::{ACCEPT_ENCODING, COOKIE};
use serde_json::json;

const ROUNDS: usize = 9;
/// Requests of one page in one round: the empty one takes some fifty of the kernel's hundredths of a second.
const REQUESTS: u32 = 2_000;
const PAST_KEYS: usize = 20;
/// Drawn without asking the database, also for somebody who is signed in.
const EMPTY: &str = "/no-such-page";
const PAGES: [&str; 5] = ["/settings", "/", "/usage", "/activity", "/billing"];

/// What a page took, each request.
#[derive(Clone, Copy)]
struct Turn {
    cpu: Duration,
    wall: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    for n in 0..PAST_KEYS {
        let (key, _) = server.key(&account, &format!("Nightly export {n}")).await;
        assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await.0, 200);
    }
    for n in 0..5 {
        let (_, secret) = server.key(&account, &format!("Production render farm {n}")).await;
        assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    }
    let cookie = server.session(&account).await;

    println!("| page | CPU time, µs | beside an empty page [quartiles] | with waiting, µs |");
    println!("|---|--:|--:|--:|");
    // Cargo adds `--bench`.
    let wished: Vec<String> = std::env::args().skip(1).filter(|word| word.starts_with('/')).collect();
    for page in PAGES.into_iter().filter(|page| wished.is_empty() || wished.iter().any(|wish| wish == page)) {
        let (mut empty, mut full) = (Vec::new(), Vec::new());
        turn(&server, page, &cookie).await;
        for _ in 0..ROUNDS {
            empty.push(turn(&server, EMPTY, &cookie).await);
            full.push(turn(&server, page, &cookie).await);
        }
        let ratios =
            full.iter().zip(&empty).map(|(full, empty)| full.cpu.as_secs_f64() / empty.cpu.as_secs_f64());
        let [low, ratio, high] = quartiles(ratios.collect());
        let [_, cpu, _] = quartiles(full.iter().map(|turn| turn.cpu.as_secs_f64() * 1e6).collect());
        let [_, wall, _] = quartiles(full.iter().map(|turn| turn.wall.as_secs_f64() * 1e6).collect());
        println!("| `{page}` | {cpu:.0} | {ratio:.2} [{low:.2}–{high:.2}] | {wall:.0} |");
    }
}

async fn turn(server: &Server, page: &str, cookie: &str) -> Turn {
    let (before, started) = (cpu_time(server.pid()), Instant::now());
    for _ in 0..REQUESTS {
        let request =
            server.http.get(server.public_url(page)).header(COOKIE, cookie).header(ACCEPT_ENCODING, "gzip");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status() == 200, page != EMPTY, "{page}: {}", answer.status());
        answer.bytes().await.unwrap();
    }
    let cpu = cpu_time(server.pid()).checked_sub(before).unwrap();
    Turn { cpu: cpu / REQUESTS, wall: started.elapsed() / REQUESTS }
}

/// What the kernel counted for the process, in its hundredths of a second.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in brackets may hold spaces; user and system time are the 12th and 13th word after it.
    let words: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = words[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| numbers[(numbers.len() - 1) * quarter / 4])
}
