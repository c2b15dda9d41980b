//! A source in which every secret is good, for measuring: nothing here waits or reads a disk.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Monotonic, SystemClock, Timestamp};
use rndrkit_domain::usage::{LastUse, UsageDelta};
use rndrkit_verifier::{
    AccountFacts, Ask, BoxFuture, Flusher, KeyFacts, KeySource, Loaded, LoadedTokens, SourceError, UsageSink,
    Verifier, VerifierOptions,
};

/// Length of a secret that begins with `rk_live_`.
pub(crate) const SECRET_BYTES: usize = 40;

/// What goes wrong here ends the program.
pub(crate) type Failed = Box<dyn Error>;

/// Makes up a key for every secret; `keys_per_account` of them in a row share an account. Budgets never run
/// out: what is measured is the path of an admitted request.
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
        let id = {
            let mut made = self.made.lock();
            if made.0.is_multiple_of(self.keys_per_account) {
                made.1 = new_account();
            }
            made.0 += 1;
            made.1
        };
        let account = AccountFacts {
            id,
            external_id: None,
            status: AccountStatus::Active,
            plan: self.plan.clone(),
            api_access: true,
            rate_limit: RateLimit { per_minute: NonZeroU32::MAX, burst: NonZeroU32::MAX },
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

/// A verifier with room for `cache_keys`, to which every secret is good.
pub(crate) fn verifier(cache_keys: usize, keys_per_account: usize) -> Result<Arc<Verifier>, Failed> {
    let plan = PlanId::parse("agency")?;
    let source = EverySecretIsGood { keys_per_account, made: Mutex::new((0, new_account())), plan };
    let options = VerifierOptions { cache_keys, ..VerifierOptions::default() };
    let verifier = Verifier::new(options, Arc::new(SystemClock::default()), Arc::new(source));
    verifier.add_prefixes(&[KeyPrefix::parse("rk_live_")?]);
    verifier.set_trust(Monotonic(u64::MAX));
    Ok(verifier)
}

/// New secrets.
pub(crate) fn secrets(count: usize) -> Result<Vec<[u8; SECRET_BYTES]>, Failed> {
    let prefix = KeyPrefix::parse("rk_live_")?;
    let mint_one = || mint(&prefix, &OsEntropy).secret.reveal().as_bytes().try_into();
    Ok((0..count).map(|_| mint_one()).collect::<Result<_, _>>()?)
}

/// The question about one secret.
pub(crate) const fn ask(secret: &[u8], cost: u32) -> Ask<'_> {
    Ask { secret, cost, client: None }
}

/// Looks every secret up once.
pub(crate) async fn warm(verifier: &Verifier, secrets: &[[u8; SECRET_BYTES]]) {
    for secret in secrets {
        verifier.verify(&ask(secret, 0)).await;
    }
}

/// Takes all use and keeps none.
struct Anywhere;

impl UsageSink for Anywhere {
    fn record<'a>(&'a self, _: &'a [UsageDelta], _: &'a [LastUse]) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Takes the counts out of memory when it is told to.
pub(crate) fn flusher(verifier: &Verifier) -> Flusher {
    Flusher::new(Arc::clone(verifier.usage()), Arc::new(Anywhere), Duration::from_secs(10))
}
