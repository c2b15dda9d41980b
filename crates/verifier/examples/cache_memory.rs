//! How much memory a full cache of good keys takes: the figures beside `cache_keys` in the defaults.
//!
//!     cargo run --release -p rndrkit-verifier --example cache_memory
//!
//! Linux alone: it reads the process's own resident memory.

use std::num::NonZeroU32;
use std::sync::Arc;

use parking_lot::Mutex;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Monotonic, SystemClock, Timestamp};
use rndrkit_verifier::{
    AccountFacts, Ask, BoxFuture, KeyFacts, KeySource, Loaded, LoadedTokens, SourceError, Verifier,
    VerifierOptions,
};

const KEYS: usize = 200_000;

/// Makes up a key for every secret; `keys_per_account` of them in a row share an account.
struct EverySecretIsGood {
    keys_per_account: usize,
    made: Mutex<(usize, AccountId)>,
    plan: PlanId,
}

fn new_account() -> AccountId {
    AccountId::generate(Timestamp::from_unix_ms(0), &OsEntropy)
}

impl KeySource for EverySecretIsGood {
    fn load(&self, _digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        let account = {
            let mut made = self.made.lock();
            if made.0.is_multiple_of(self.keys_per_account) {
                made.1 = new_account();
            }
            made.0 += 1;
            made.1
        };
        let account = AccountFacts {
            id: account,
            external_id: None,
            status: AccountStatus::Active,
            plan: self.plan.clone(),
            api_access: true,
            rate_limit: RateLimit { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN },
            revision: 1,
        };
        let key_id = KeyId::generate(Timestamp::from_unix_ms(0), &OsEntropy);
        let found = KeyFacts { key_id, expires_at: None, ends_at: None, revoked: false, account };
        Box::pin(async move { Ok(Loaded { head: 0, found: Some(found) }) })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async { Ok(LoadedTokens { head: 0, tokens: Vec::new() }) })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn resident_mib() -> Result<f64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib / 1024.0)
}

async fn fill(keys_per_account: usize) -> Result<(), Box<dyn std::error::Error>> {
    let prefix = KeyPrefix::parse("rk_live_")?;
    let plan = PlanId::parse("agency")?;
    let source = EverySecretIsGood { keys_per_account, made: Mutex::new((0, new_account())), plan };
    let before = resident_mib()?;
    let options = VerifierOptions { cache_keys: KEYS, ..VerifierOptions::default() };
    let verifier = Verifier::new(options, Arc::new(SystemClock::default()), Arc::new(source));
    verifier.set_prefixes(vec![prefix.clone()]);
    verifier.set_trust(Monotonic(u64::MAX));
    for _ in 0..KEYS {
        let minted = mint(&prefix, &OsEntropy);
        let ask = Ask { secret: minted.secret.reveal().as_bytes(), cost: 0, client: None };
        verifier.verify(&ask).await;
    }
    let after = resident_mib()?;
    println!(
        "{} keys held, {keys_per_account} to an account: {:.0} MiB",
        verifier.cached_keys(),
        after - before
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A process for each figure: memory that was given back is not given back to the system.
    if let Some(keys_per_account) = std::env::args().nth(1) {
        return fill(keys_per_account.parse()?).await;
    }
    for keys_per_account in ["5", "1"] {
        std::process::Command::new(std::env::current_exe()?).arg(keys_per_account).status()?;
    }
    Ok(())
}
