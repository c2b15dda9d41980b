//! A verification of what is in memory takes no place on the heap, whatever its outcome. In a program of its own,
//! because the allocator that counts is the whole process's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::future::Future as _;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, Secret, mint};
use rndrkit_domain::observation::Sighting;
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::text::ExternalId;
use rndrkit_domain::time::{Monotonic, SystemClock, Timestamp};
use rndrkit_domain::usage::StatusClass;
use rndrkit_verifier::{
    AccountFacts, Ask, BoxFuture, KeyFacts, KeySource, Loaded, LoadedTokens, Observations, SourceError,
    Verified, Verifier, VerifierOptions,
};

const VERIFICATIONS: usize = 10_000;

/// Knows one secret, or none.
struct OneKey(Option<KeyFacts>);

impl KeySource for OneKey {
    fn load(&self, _: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async { Ok(Loaded { head: 0, found: self.0.clone() }) })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async { Ok(LoadedTokens { head: 0, tokens: Vec::new() }) })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A good key with as much as a key can have, of an account with a budget that lasts.
fn good_key() -> KeyFacts {
    let now = Timestamp::from_unix_ms(0);
    let account = AccountFacts {
        id: AccountId::generate(now, &OsEntropy),
        external_id: Some(ExternalId::parse("cus_1").unwrap()),
        status: AccountStatus::Active,
        plan: PlanId::parse("agency").unwrap(),
        api_access: true,
        rate_limit: RateLimit { per_minute: NonZeroU32::MAX, burst: NonZeroU32::MAX },
        revision: 1,
    };
    // In the year 2100.
    let expires_at = Some(Timestamp::from_unix_ms(4_102_444_800_000));
    let key_id = KeyId::generate(now, &OsEntropy);
    KeyFacts { key_id, expires_at, ends_at: None, revoked: false, account }
}

fn at_once(verifier: &Verifier, secret: &[u8]) -> Verified {
    let ask = Ask { secret, cost: 1, client: "192.0.2.1".parse().ok() };
    match pin!(verifier.verify(&ask)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("what is in memory had to be waited for"),
    }
}

fn verifier_of(found: Option<KeyFacts>) -> Arc<Verifier> {
    let clock = Arc::new(SystemClock::default());
    let verifier = Verifier::new(VerifierOptions::default(), clock, Arc::new(OneKey(found)));
    verifier.add_prefixes(&[KeyPrefix::parse("rk_live_").unwrap()]);
    verifier.set_trust(Monotonic(u64::MAX));
    verifier
}

fn secret() -> Secret {
    mint(&KeyPrefix::parse("rk_live_").unwrap(), &OsEntropy).secret
}

/// Looks the secret up, and then counts what ten thousand verifications take.
fn none_is_taken(expected: &str, found: Option<KeyFacts>) {
    let (verifier, secret) = (verifier_of(found), secret());
    let text = secret.reveal().as_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ask = Ask { secret: text, cost: 1, client: None };
    runtime.block_on(verifier.verify(&ask));
    assert_eq!(at_once(&verifier, text).decision.code(), expected);
    let taken = measure(|| {
        for _ in 0..VERIFICATIONS {
            let answer = at_once(&verifier, text);
            if let Some(watch) = &answer.watch {
                verifier.answered(watch, StatusClass::Successful);
            }
        }
    });
    // A minute may turn meanwhile, and a row of use then be the first of another.
    assert!(taken.count_total <= 1, "{expected}: {taken:?}");
}

#[test]
fn an_admitted_request_takes_nothing_from_the_heap() {
    none_is_taken("valid", Some(good_key()));
}

#[test]
fn a_limited_request_takes_nothing_from_the_heap() {
    let mut key = good_key();
    key.account.rate_limit = RateLimit { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    none_is_taken("rate_limited", Some(key));
}

#[test]
fn a_request_refused_for_its_plan_or_a_suspension_takes_nothing_from_the_heap() {
    let mut key = good_key();
    key.account.api_access = false;
    none_is_taken("plan_required", Some(key.clone()));
    key.account.status = AccountStatus::Suspended;
    none_is_taken("account_suspended", Some(key));
}

#[test]
fn a_revoked_an_expired_and_an_unknown_key_take_nothing_from_the_heap() {
    none_is_taken("key_revoked", Some(KeyFacts { revoked: true, ..good_key() }));
    let end = Some(Timestamp::from_unix_ms(1));
    none_is_taken("key_expired", Some(KeyFacts { expires_at: end, ..good_key() }));
    none_is_taken("key_revoked", Some(KeyFacts { ends_at: end, ..good_key() }));
    none_is_taken("invalid_key", None);
}

#[test]
fn a_text_that_is_no_secret_takes_nothing_from_the_heap() {
    let verifier = verifier_of(None);
    for text in ["", "rk_live_", "something else", concat!("rk_live_", "0123456789ABCDEFGHIJKLMNOPQRSTUV")] {
        let taken = measure(|| {
            for _ in 0..VERIFICATIONS {
                assert_eq!(at_once(&verifier, text.as_bytes()).decision.code(), "invalid_key");
            }
        });
        assert_eq!(taken.count_total, 0, "{text}");
    }
}

#[test]
fn what_is_counted_here_is_counted() {
    assert_eq!(measure(|| drop(Box::new(1))).count_total, 1);
}

#[test]
fn noting_what_is_noted_already_takes_nothing_from_the_heap() {
    let observations = Observations::default();
    let (digest, ip) = (Digest::of("a secret"), "2001:db8::7".parse().ok());
    let account = good_key().account.id;
    let sighting = || Sighting {
        digest,
        key_id: KeyId::generate(Timestamp::from_unix_ms(0), &OsEntropy),
        account_id: account,
        at: Timestamp::from_unix_ms(0),
        ip,
        user_agent: Some("curl/8".to_owned()),
    };
    let now = Monotonic(1_000_000_000_000_000);
    observations.saw(&digest, ip, now, sighting);
    let taken = measure(|| {
        for _ in 0..VERIFICATIONS {
            observations.saw(&digest, ip, now, sighting);
        }
    });
    assert_eq!(taken.count_total, 0);
}
