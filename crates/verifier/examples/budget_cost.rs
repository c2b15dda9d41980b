//! What a decision costs with a budget of the node's own and with one that nodes share:
//! `cargo run --release -p rndrkit-verifier --example budget_cost`.
#![expect(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "it measures real time")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock, Monotonic, SystemClock};
use rndrkit_verifier::{
    AccountFacts, Ask, BoxFuture, BudgetAuthority, Budgets, Draw, Drawer, Grant, KeyFacts, KeySource, Loaded,
    LoadedTokens, SourceError, Verifier, VerifierOptions,
};

const ROUNDS: usize = 9;
const REQUESTS: u32 = 1_000_000;

/// One key for every secret, and an authority that gives what is asked for.
struct Plenty(KeyFacts);

impl KeySource for Plenty {
    fn load(&self, _digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async { Ok(Loaded { head: 0, found: Some(self.0.clone()) }) })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async { Ok(LoadedTokens { head: 0, tokens: Vec::new() }) })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl BudgetAuthority for Plenty {
    fn draw<'a>(&'a self, draws: &'a [Draw]) -> BoxFuture<'a, Result<Vec<Grant>, SourceError>> {
        let grant = |draw: &Draw| Grant::Drawn { granted: draw.want, left_micros: draw.burst_micros };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(draws.iter().map(grant).collect())
        })
    }
}

fn plenty(clock: &dyn Clock) -> Result<Plenty, Box<dyn std::error::Error>> {
    let most = NonZeroU32::MAX;
    let account = AccountFacts {
        id: AccountId::generate(clock.now(), &OsEntropy),
        external_id: None,
        status: AccountStatus::Active,
        plan: PlanId::parse("agency")?,
        api_access: true,
        rate_limit: RateLimit { per_minute: most, burst: most },
        revision: 1,
    };
    let key_id = KeyId::generate(clock.now(), &OsEntropy);
    Ok(Plenty(KeyFacts { key_id, expires_at: None, ends_at: None, revoked: false, account }))
}

/// Nanoseconds a decision, the median of some rounds; and how many of a million waited.
async fn measure(budgets: Budgets) -> Result<f64, Box<dyn std::error::Error>> {
    let clock = Arc::new(SystemClock::default());
    let source = Arc::new(plenty(&*clock)?);
    let options = VerifierOptions::default();
    let verifier = Verifier::with_budgets(budgets, options, clock, Arc::clone(&source) as Arc<dyn KeySource>);
    let prefix = KeyPrefix::parse("example_")?;
    verifier.add_prefixes(std::slice::from_ref(&prefix));
    verifier.set_trust(Monotonic(u64::MAX));
    let drawer = Drawer::new(Arc::clone(&verifier), source, Arc::new(OsEntropy));
    let drawing = tokio::spawn(drawer.run(std::future::pending()));
    let minted = mint(&prefix, &OsEntropy);
    let ask = Ask { secret: minted.secret.reveal().as_bytes(), cost: 1, client: None };
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let began = Instant::now();
        for _ in 0..REQUESTS {
            let code = verifier.verify(&ask).await.decision.code();
            if code != "valid" {
                return Err(code.into());
            }
        }
        rounds.push(began.elapsed().as_nanos() as f64 / f64::from(REQUESTS));
    }
    drawing.abort();
    // The first warms up.
    rounds.remove(0);
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().ok_or_else(|| "no rounds".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own = measure(Budgets::Own).await?;
    let shared = measure(Budgets::Shared).await?;
    println!("own budget {own:.0} ns, shared budget {shared:.0} ns a decision; {:.2} times", shared / own);
    Ok(())
}
