//! One verification in process beside the floor: the least that any check of a key costs on this machine.
//!
//!     cargo bench -p rndrkit-verifier --bench verification
//!
//! The floor is a table laid out by hand for nothing but this: one cache line a key, one an account, no lock, no
//! change ever, the clock given; it takes the SHA-256 of the text, finds it, compares it whole, takes from the
//! budget, counts, and notes the last use. One reading of the clock is added to it, because a verifier cannot
//! do without. Each figure is the median of rounds that take strict turns, one thread, each verification fed by the
//! answer of the one before (which the processor may guess). Lines that begin with `result` are for programs: name, nanoseconds, floor, ratio.
//!
//! Pages of 2 MiB come from the C library's allocator, which is told to ask for them by an environment variable;
//! each size of page is therefore a process of its own, which this one starts and gives its turns. Where the
//! system has no such pages both floors are the same.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "whoever measures looks at the figures, and a wrong index ends the program"
)]

use std::future::Future as _;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rndrkit_domain::time::{Clock as _, SystemClock};
use rndrkit_verifier::Verifier;

mod floor;
mod made_up;

use floor::Floor;
use made_up::{Failed, SECRET_BYTES};

const KEYS: usize = 1_000_000;
const HOT_KEYS: usize = 1_000;
const KEYS_PER_ACCOUNT: usize = 10;
const ROUNDS: usize = 15;
/// Verifications of a round, over which its time is divided.
const HOT_OPERATIONS: usize = 500_000;
const UNIFORM_OPERATIONS: usize = 200_000;
/// Parts of a round, of which the fastest counts.
const STRETCHES: usize = 20;
const HUGE_PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

type Secrets = [[u8; SECRET_BYTES]];

fn main() -> Result<(), Failed> {
    if std::env::args().any(|argument| argument == "--contestant") { contestant() } else { measure() }
}

/// A process that measures what it is told to, one round at a time.
struct Contestant {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contestant {
    fn start(pages: Option<(&str, &str)>) -> Result<Self, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--contestant").stdin(Stdio::piped()).stdout(Stdio::piped()).envs(pages);
        let mut child = command.spawn()?;
        let orders = child.stdin.take().ok_or("no pipe to the contestant")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe from the contestant")?);
        Ok(Self { child, orders, answers })
    }

    /// Nanoseconds of one operation of the case.
    fn round(&mut self, case: &str) -> Result<f64, Failed> {
        writeln!(self.orders, "{case}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    fn end(self) -> Result<(), Failed> {
        let Self { mut child, orders, answers: _ } = self;
        drop(orders);
        child.wait()?;
        Ok(())
    }
}

fn measure() -> Result<(), Failed> {
    eprintln!("filling {KEYS} keys in two processes ...");
    let mut small = Contestant::start(None)?;
    let mut huge = Contestant::start(Some(HUGE_PAGES))?;
    let cases = ["clock", "floor hot", "floor uniform", "verifier hot", "verifier uniform"];
    // One turn each to touch everything; not counted.
    for case in cases {
        small.round(case)?;
        huge.round(case)?;
    }
    let mut rounds: [[Vec<f64>; 5]; 2] = Default::default();
    for round in 1..=ROUNDS {
        for (index, case) in cases.iter().enumerate() {
            rounds[0][index].push(small.round(case)?);
            rounds[1][index].push(huge.round(case)?);
        }
        eprintln!("round {round} of {ROUNDS}");
    }
    small.end()?;
    huge.end()?;
    show(&rounds);
    Ok(())
}

fn show(rounds: &[[Vec<f64>; 5]; 2]) {
    let [small, huge] = rounds;
    let clock = median(&small[0]);
    println!("one reading of the clock: {clock:.1} ns");
    let floors = [
        ("table64B-hugepages/hot", &huge[1]),
        ("table64B/hot", &small[1]),
        ("table64B-hugepages/uniform", &huge[2]),
        ("table64B/uniform", &small[2]),
    ];
    for (name, ns) in floors {
        println!("floor {name}: {:.1} ns", median(ns));
    }
    let rows = [
        ("1,000 hot keys", &small[3], &huge[1], &small[0]),
        ("1,000,000 keys, uniform", &small[4], &small[2], &small[0]),
        ("1,000 hot keys, 2 MiB pages", &huge[3], &huge[1], &huge[0]),
        ("1,000,000 keys, uniform, 2 MiB pages", &huge[4], &huge[2], &huge[0]),
    ];
    for (name, ours, floor, clock) in rows {
        // The ratio is taken within each round: what disturbs the machine disturbs both.
        let base: Vec<f64> = floor.iter().zip(clock).map(|(floor, clock)| floor + clock).collect();
        let ratios: Vec<f64> = ours.iter().zip(&base).map(|(ours, base)| ours / base).collect();
        let (ours, base, ratio) = (median(ours), median(&base), median(&ratios));
        println!("{name}: {ours:.1} ns, floor and clock {base:.1} ns, ratio {ratio:.2}");
        println!("result\t{name}\t{ours:.1}\t{base:.1}\t{ratio:.3}");
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn contestant() -> Result<(), Failed> {
    let secrets = made_up::secrets(KEYS)?;
    // In the order of the keys' making, neighbours would share an account: those come apart.
    let hot: Vec<[u8; SECRET_BYTES]> = secrets.iter().step_by(KEYS / HOT_KEYS).copied().collect();
    let uniform = shuffled(&secrets);
    let verifier = made_up::verifier(KEYS + KEYS / 50, KEYS_PER_ACCOUNT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(made_up::warm(&verifier, &secrets));
    let floor = Floor::new(&secrets, KEYS_PER_ACCOUNT);
    let flusher = made_up::flusher(&verifier);
    let mut turn = 0_usize;
    for order in std::io::stdin().lines() {
        turn += 1;
        // As the server does every ten seconds, which is about what a round of its keys would be.
        runtime.block_on(flusher.flush())?;
        let ns = match order?.as_str() {
            "clock" => clock_ns(),
            "floor hot" => floor_ns(&floor, &hot, HOT_OPERATIONS, 0),
            "floor uniform" => floor_ns(&floor, &uniform, UNIFORM_OPERATIONS, turn),
            "verifier hot" => verifier_ns(&verifier, &hot, HOT_OPERATIONS, 0)?,
            "verifier uniform" => verifier_ns(&verifier, &uniform, UNIFORM_OPERATIONS, turn)?,
            other => return Err(format!("no such case: {other}").into()),
        };
        println!("{ns}");
    }
    Ok(())
}

/// A fixed shuffle (a multiplicative generator): what is asked next is not what lies next in memory.
fn shuffled(secrets: &Secrets) -> Vec<[u8; SECRET_BYTES]> {
    let mut shuffled = secrets.to_vec();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..shuffled.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        shuffled.swap(last, (state >> 33) as usize % (last + 1));
    }
    shuffled
}

/// Time of one of `operations` calls, each fed by the answer of the one before: that of the fastest stretch of
/// them, because what others on the machine take from a stretch is not what is measured.
fn timed(
    secrets: &Secrets,
    operations: usize,
    turn: usize,
    mut one: impl FnMut(&[u8; SECRET_BYTES]) -> u64,
) -> f64 {
    let start = turn * 7_919 * 13;
    let mut fed = 0_u64;
    let mut fastest = f64::INFINITY;
    let stretch = operations / STRETCHES;
    for begin in (start..).step_by(stretch).take(STRETCHES) {
        #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
        let began = Instant::now();
        for index in begin..begin + stretch {
            let next = (index + (black_box(fed) >> 63) as usize) % secrets.len();
            fed = (fed ^ one(black_box(&secrets[next]))) & (u64::MAX >> 1);
        }
        fastest = fastest.min(began.elapsed().as_secs_f64());
    }
    black_box(fed);
    fastest * 1e9 / stretch as f64
}

fn clock_ns() -> f64 {
    let clock = SystemClock::default();
    let any = [[0; SECRET_BYTES]];
    timed(&any, HOT_OPERATIONS, 0, |_| clock.monotonic().0)
}

fn floor_ns(floor: &Floor, secrets: &Secrets, operations: usize, turn: usize) -> f64 {
    let mut now = 0_u64;
    timed(secrets, operations, turn, |secret| {
        now += 1_000;
        u64::from(floor.verify(secret, now))
    })
}

fn verifier_ns(
    verifier: &Arc<Verifier>,
    secrets: &Secrets,
    operations: usize,
    turn: usize,
) -> Result<f64, Failed> {
    let mut refused = 0_u64;
    let ns = timed(secrets, operations, turn, |secret| {
        let ask = made_up::ask(secret, 1);
        let mut context = Context::from_waker(Waker::noop());
        let allowed = match std::pin::pin!(verifier.verify(&ask)).poll(&mut context) {
            Poll::Ready(answer) => black_box(answer).watch.is_some(),
            Poll::Pending => false,
        };
        refused += u64::from(!allowed);
        u64::from(allowed)
    });
    if refused == 0 { Ok(ns) } else { Err(format!("{refused} verifications were not admitted").into()) }
}
