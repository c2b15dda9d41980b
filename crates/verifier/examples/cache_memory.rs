//! How much memory a full cache of good keys takes: the figures beside `cache_keys` in the defaults.
//!
//!     cargo run --release -p rndrkit-verifier --example cache_memory
//!
//! Keys are looked up as they are in a server, and their use is flushed from time to time. What a key takes while
//! its use waits for a flush comes on top, and is shown apart: no more than 262,144 of those are kept.
//!
//! Linux alone: it reads the process's own resident memory.

#[path = "../benches/made_up/mod.rs"]
mod made_up;

use made_up::Failed;

const KEYS: usize = 200_000;
/// Look-ups between two flushes.
const FLUSHED_AFTER: usize = 2_000;

fn resident_bytes() -> Result<f64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib * 1024.0)
}

async fn fill(keys_per_account: usize) -> Result<(), Failed> {
    let secrets = made_up::secrets(KEYS)?;
    let before = resident_bytes()?;
    let verifier = made_up::verifier(KEYS, keys_per_account)?;
    let flusher = made_up::flusher(&verifier);
    for some in secrets.chunks(FLUSHED_AFTER) {
        made_up::warm(&verifier, some).await;
        flusher.flush().await?;
    }
    let held = resident_bytes()? - before;
    made_up::warm(&verifier, &secrets).await;
    let used = resident_bytes()? - before - held;
    let keys = u32::try_from(verifier.cached_keys())?;
    let each = |bytes: f64| bytes / f64::from(keys);
    println!(
        "{keys} keys held, {keys_per_account} to an account: {:.0} MiB, {:.0} bytes a key; {:.0} more each while \
         all have use that waits for a flush",
        held / 1_048_576.0,
        each(held),
        each(used),
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    // A process for each figure: memory that was given back is not given back to the system.
    if let Some(keys_per_account) = std::env::args().nth(1) {
        return fill(keys_per_account.parse()?).await;
    }
    for keys_per_account in ["5", "1"] {
        std::process::Command::new(std::env::current_exe()?).arg(keys_per_account).status()?;
    }
    Ok(())
}
