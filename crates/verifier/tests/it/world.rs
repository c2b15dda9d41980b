//! A small world for tests: a source that can be slow, failing or late, and a verifier over it.
#![allow(dead_code, reason = "the simulation inside the crate uses a part of this")]

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::decision::{BudgetState, Decision, Denial};
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::{AccountId, KeyId, TokenId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::Entropy;
use rndrkit_domain::text::Name;
use rndrkit_domain::time::{Clock, ManualClock, Monotonic, Timestamp};
use rndrkit_domain::token::Scope;
use rndrkit_verifier::{
    AccountFacts, Ask, BoxFuture, ChangeFeed, KeyFacts, KeySource, Loaded, LoadedTokens, SourceError,
    TokenFacts, Verified, Verifier, VerifierOptions,
};
use tokio::sync::Semaphore;

/// When every world begins: the start of a minute.
pub(crate) fn beginning() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

/// Randomness that a seed repeats (splitmix64). Not for secrets of real installations.
pub(crate) struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut z =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A key as its holder knows it.
#[derive(Clone)]
pub(crate) struct TestKey {
    pub(crate) text: String,
    pub(crate) digest: Digest,
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
}

/// What is stored about a key.
#[derive(Clone)]
pub(crate) struct StoredKey {
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) revoked: bool,
}

/// The database.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) accounts: HashMap<AccountId, AccountFacts>,
    pub(crate) keys: HashMap<Digest, StoredKey>,
    pub(crate) tokens: Vec<TokenFacts>,
    pub(crate) feed: Vec<FeedEntry>,
    pub(crate) oldest: FeedNumber,
    pub(crate) tags: i64,
    pub(crate) prefixes: Vec<KeyPrefix>,
}

impl Database {
    pub(crate) fn head(&self) -> FeedNumber {
        self.feed.last().map_or(0, |entry| entry.number)
    }

    /// What a look-up in this state finds.
    pub(crate) fn find(&self, digest: &Digest) -> Option<KeyFacts> {
        let key = self.keys.get(digest)?;
        Some(KeyFacts {
            key_id: key.id,
            expires_at: key.expires_at,
            ends_at: key.ends_at,
            revoked: key.revoked,
            account: self.accounts[&key.account].clone(),
        })
    }

    fn commit(
        &mut self,
        kind: FeedKind,
        account_id: Option<AccountId>,
        key_id: Option<KeyId>,
        digests: Vec<Digest>,
    ) -> FeedNumber {
        let number = self.head() + 1;
        self.tags += 1;
        self.feed.push(FeedEntry { number, tag: self.tags * 31, kind, account_id, key_id, digests });
        number
    }
}

/// A source of keys and changes whose every answer can be held back.
#[derive(Default)]
pub(crate) struct FakeSource {
    pub(crate) database: Mutex<Database>,
    /// Look-ups that have read the database.
    pub(crate) loads: AtomicUsize,
    pub(crate) token_loads: AtomicUsize,
    pub(crate) feed_reads: AtomicUsize,
    pub(crate) failing: AtomicBool,
    pub(crate) feed_failing: AtomicBool,
    /// The head can be read, the entries cannot.
    pub(crate) entries_failing: AtomicBool,
    /// When set, an answer that was read waits here before it travels.
    pub(crate) gate: Mutex<Option<Arc<Semaphore>>>,
    /// The same for the head of the feed.
    pub(crate) head_gate: Mutex<Option<Arc<Semaphore>>>,
}

impl FakeSource {
    /// From now on, answers wait for a permit each.
    pub(crate) fn hold_answers(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock() = Some(Arc::clone(&gate));
        gate
    }

    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    async fn travel(gate: &Mutex<Option<Arc<Semaphore>>>) {
        let gate = gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
    }

    fn check(flag: &AtomicBool) -> Result<(), SourceError> {
        if flag.load(Ordering::SeqCst) { Err(SourceError::new("switched off")) } else { Ok(()) }
    }
}

impl KeySource for FakeSource {
    fn load(&self, digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async move {
            Self::check(&self.failing)?;
            let loaded = {
                let database = self.database.lock();
                Loaded { head: database.head(), found: database.find(&digest) }
            };
            self.loads.fetch_add(1, Ordering::SeqCst);
            Self::travel(&self.gate).await;
            Ok(loaded)
        })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async move {
            Self::check(&self.failing)?;
            let loaded = {
                let database = self.database.lock();
                LoadedTokens { head: database.head(), tokens: database.tokens.clone() }
            };
            self.token_loads.fetch_add(1, Ordering::SeqCst);
            Self::travel(&self.gate).await;
            Ok(loaded)
        })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async move {
            Self::check(&self.failing)?;
            Ok(self.database.lock().prefixes.clone())
        })
    }
}

impl ChangeFeed for FakeSource {
    fn head(&self) -> BoxFuture<'_, Result<FeedHead, SourceError>> {
        Box::pin(async move {
            self.feed_reads.fetch_add(1, Ordering::SeqCst);
            Self::check(&self.feed_failing)?;
            let head = {
                let database = self.database.lock();
                let tag = database.feed.last().map_or(0, |entry| entry.tag);
                FeedHead { number: database.head(), tag, oldest: database.oldest }
            };
            Self::travel(&self.head_gate).await;
            Ok(head)
        })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        Box::pin(async move {
            Self::check(&self.feed_failing)?;
            Self::check(&self.entries_failing)?;
            let database = self.database.lock();
            let first = from.max(database.oldest);
            Ok(database
                .feed
                .iter()
                .filter(|entry| entry.number >= first)
                .take(limit as usize)
                .cloned()
                .collect())
        })
    }
}

pub(crate) fn plan_id(text: &str) -> PlanId {
    PlanId::parse(text).unwrap()
}

pub(crate) fn rate_limit(per_minute: u32, burst: u32) -> RateLimit {
    RateLimit { per_minute: NonZeroU32::new(per_minute).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
}

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) source: Arc<FakeSource>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) entropy: SeededEntropy,
    pub(crate) prefix: KeyPrefix,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(VerifierOptions::default())
    }

    pub(crate) fn with(options: VerifierOptions) -> Self {
        let clock = Arc::new(ManualClock::at(beginning()));
        Self::on(options, Arc::clone(&clock), clock)
    }

    /// With a clock of the test's own for the verifier; `clock` is for moving.
    pub(crate) fn on(options: VerifierOptions, clock: Arc<ManualClock>, seen: Arc<dyn Clock>) -> Self {
        let source = Arc::new(FakeSource::default());
        source.database.lock().oldest = 1;
        let verifier = Verifier::new(options, seen, Arc::clone(&source) as Arc<dyn KeySource>);
        let prefix = KeyPrefix::parse("rk_live_").unwrap();
        verifier.add_prefixes(std::slice::from_ref(&prefix));
        verifier.set_trust(Monotonic(u64::MAX));
        Self { clock, source, verifier, entropy: SeededEntropy::new(7), prefix }
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// An account on Agency: 600 a minute, burst 100.
    pub(crate) fn account(&self) -> AccountId {
        self.account_with(rate_limit(600, 100))
    }

    pub(crate) fn account_with(&self, rate_limit: RateLimit) -> AccountId {
        let id = AccountId::generate(beginning(), &self.entropy);
        let facts = AccountFacts {
            id,
            external_id: None,
            status: AccountStatus::Active,
            plan: plan_id("agency"),
            api_access: true,
            rate_limit,
            revision: 1,
        };
        self.source.database.lock().accounts.insert(id, facts);
        id
    }

    /// A secret that nothing is stored about.
    pub(crate) fn unknown_key(&self) -> TestKey {
        let minted = mint(&self.prefix, &self.entropy);
        TestKey {
            text: minted.secret.reveal().to_owned(),
            digest: minted.digest,
            id: KeyId::generate(beginning(), &self.entropy),
            account: AccountId::generate(beginning(), &self.entropy),
        }
    }

    /// A key made without a word in the feed: as if it had been there before the world began.
    pub(crate) fn old_key(&self, account: AccountId) -> TestKey {
        let key = TestKey { account, ..self.unknown_key() };
        self.store_key(&key);
        key
    }

    pub(crate) fn store_key(&self, key: &TestKey) {
        let stored =
            StoredKey { id: key.id, account: key.account, expires_at: None, ends_at: None, revoked: false };
        self.source.database.lock().keys.insert(key.digest, stored);
    }

    pub(crate) fn edit_key(&self, key: &TestKey, edit: impl FnOnce(&mut StoredKey)) {
        edit(self.source.database.lock().keys.get_mut(&key.digest).unwrap());
    }

    /// Commits a key's creation.
    pub(crate) fn create(&self, key: &TestKey) -> FeedNumber {
        self.store_key(key);
        self.commit_key(key)
    }

    /// Commits a revocation. Nothing is applied yet.
    pub(crate) fn revoke(&self, key: &TestKey) -> FeedNumber {
        self.edit_key(key, |stored| stored.revoked = true);
        self.commit_key(key)
    }

    /// Commits whatever was edited about a key, and applies it.
    pub(crate) fn create_anew(&self, key: &TestKey) {
        self.commit_key(key);
        self.apply();
    }

    fn commit_key(&self, key: &TestKey) -> FeedNumber {
        let mut database = self.source.database.lock();
        if let Some(account) = database.accounts.get_mut(&key.account) {
            account.revision += 1;
        }
        database.commit(FeedKind::Key, Some(key.account), Some(key.id), vec![key.digest])
    }

    /// Commits a change of an account.
    pub(crate) fn change_account(&self, id: AccountId, edit: impl FnOnce(&mut AccountFacts)) -> FeedNumber {
        let mut database = self.source.database.lock();
        let account = database.accounts.get_mut(&id).unwrap();
        edit(account);
        account.revision += 1;
        database.commit(FeedKind::Account, Some(id), None, Vec::new())
    }

    /// Commits an entry that is about nothing in particular.
    pub(crate) fn commit(&self, kind: FeedKind) -> FeedNumber {
        self.source.database.lock().commit(kind, None, None, Vec::new())
    }

    /// Applies everything that is committed.
    pub(crate) fn apply(&self) {
        let after = self.verifier.applied();
        let entries: Vec<FeedEntry> =
            self.source.database.lock().feed.iter().filter(|entry| entry.number > after).cloned().collect();
        self.verifier.apply(&entries);
    }

    pub(crate) fn add_token(&self, text: &str, scope: Scope, expires_at: Option<Timestamp>) -> TokenId {
        let id = TokenId::generate(beginning(), &self.entropy);
        let name = Name::parse("test").unwrap();
        let facts = TokenFacts { digest: Digest::of(text), id, name, scope, expires_at };
        self.source.database.lock().tokens.push(facts);
        self.commit(FeedKind::Tokens);
        id
    }

    pub(crate) fn delete_token(&self, id: TokenId) {
        self.source.database.lock().tokens.retain(|token| token.id != id);
        self.commit(FeedKind::Tokens);
    }

    pub(crate) async fn ask(&self, key: &TestKey) -> Verified {
        self.ask_for(key, 1).await
    }

    pub(crate) async fn ask_for(&self, key: &TestKey, cost: u32) -> Verified {
        self.verifier.verify(&Ask { secret: key.text.as_bytes(), cost, client: None }).await
    }

    pub(crate) async fn ask_from(&self, key: &TestKey, client: &str) -> Verified {
        let client = Some(client.parse().unwrap());
        self.verifier.verify(&Ask { secret: key.text.as_bytes(), cost: 1, client }).await
    }

    /// The code of the decision on one request.
    pub(crate) async fn code(&self, key: &TestKey) -> &'static str {
        self.ask(key).await.decision.code()
    }

    pub(crate) async fn budget(&self, key: &TestKey) -> BudgetState {
        match self.ask_for(key, 0).await.decision {
            Decision::Allowed { budget, .. } => budget,
            Decision::Denied { denial, .. } => panic!("denied: {denial:?}"),
        }
    }

    /// Asks for many other keys, each often enough to be worth keeping, so that those before them go.
    pub(crate) async fn push_out(&self, count: usize) {
        for _ in 0..count {
            let other = self.old_key(self.account());
            for _ in 0..4 {
                self.budget(&other).await;
            }
        }
    }

    /// Asks in a task of its own.
    pub(crate) fn ask_later(&self, key: &TestKey) -> tokio::task::JoinHandle<&'static str> {
        let (verifier, text) = (Arc::clone(&self.verifier), key.text.clone());
        tokio::spawn(async move {
            verifier.verify(&Ask { secret: text.as_bytes(), cost: 1, client: None }).await.decision.code()
        })
    }
}

pub(crate) fn denial(decision: &Decision) -> Option<Denial> {
    match decision {
        Decision::Allowed { .. } => None,
        Decision::Denied { denial, .. } => Some(*denial),
    }
}

/// Lets everything else run until `condition` holds. Bounded, so that a broken test fails and does not hang.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("this never came true");
}

/// Whether a future is ready without waiting; polls it once.
pub(crate) fn is_ready<T>(future: impl Future<Output = T>) -> bool {
    matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}
