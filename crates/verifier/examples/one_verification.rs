//! Verifications of keys that are in memory, and nothing else: for counting instructions.
//!
//! The number of instructions does not depend on how busy the machine is. Take the difference of two runs, so
//! that start and look-ups drop out, and divide by the difference of their numbers:
//!
//!     cargo build --release -p rndrkit-verifier --example one_verification
//!     for n in 10000 20000; do valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!         target/release/examples/one_verification $n 2>&1 | grep Collected; done
//!
//! valgrind knows no SHA instructions of the processor, so most of the count is SHA-256 in software. Prints
//! nothing. The first argument is the number of verifications (10,000).

use std::future::Future as _;
use std::task::{Context, Poll, Waker};

#[path = "../benches/made_up/mod.rs"]
mod made_up;

/// Keys in rotation.
const HOT_KEYS: usize = 1_000;
/// Keys of one account.
const KEYS_PER_ACCOUNT: usize = 10;

fn main() -> Result<(), made_up::Failed> {
    let count = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse::<usize>())?;
    let verifier = made_up::verifier(HOT_KEYS * 2, KEYS_PER_ACCOUNT)?;
    let secrets = made_up::secrets(HOT_KEYS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(made_up::warm(&verifier, &secrets));
    runtime.block_on(made_up::flusher(&verifier).flush())?;
    let mut context = Context::from_waker(Waker::noop());
    for secret in secrets.iter().cycle().take(count) {
        let ask = made_up::ask(secret, 1);
        let answer = std::pin::pin!(verifier.verify(&ask)).poll(&mut context);
        let Poll::Ready(answer) = answer else { return Err("a known key had to be waited for".into()) };
        if answer.watch.is_none() {
            return Err(format!("a good key was refused: {}", answer.decision.code()).into());
        }
    }
    Ok(())
}
