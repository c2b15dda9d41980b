//! A running data plane: real listeners, a real verifier, and a source of keys that tests write to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::client::ClientInfo;
use rndrkit_domain::decision::Decision;
use rndrkit_domain::feed::{FeedEntry, FeedKind};
use rndrkit_domain::id::{AccountId, KeyId, RequestId, TokenId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::text::{ExternalId, Name};
use rndrkit_domain::time::{Clock, ManualClock, Monotonic, Timestamp};
use rndrkit_domain::token::Scope;
use rndrkit_edge::{Edge, EdgeBody, EdgeOptions, Fallback, Limits, Listener, Route, Service, Workers, serve};
use rndrkit_verifier::{
    AccountFacts, BoxFuture, KeyFacts, KeySource, Loaded, LoadedTokens, SourceError, TokenFacts, Verifier,
    VerifierOptions,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::upstream::Upstream;

/// Requests that an account may make at once; the clock of a world stands still, so nothing flows back.
pub(crate) const BURST: u32 = 20;
/// The operator token of every world.
pub(crate) const OPERATOR_TOKEN: &str = "rkop_of_the_test";

/// A key as its holder knows it.
#[derive(Clone)]
pub(crate) struct TestKey {
    pub(crate) text: String,
    pub(crate) digest: Digest,
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
}

impl TestKey {
    /// The header line.
    pub(crate) fn line(&self) -> String {
        format!("X-Api-Key: {}", self.text)
    }
}

#[derive(Default)]
struct Stored {
    keys: HashMap<Digest, KeyFacts>,
    tokens: Vec<TokenFacts>,
}

/// The database.
#[derive(Default)]
pub(crate) struct Source {
    stored: Mutex<Stored>,
    head: AtomicU64,
    pub(crate) failing: AtomicBool,
    /// How long a look-up takes.
    pub(crate) delay_ms: AtomicU64,
}

impl Source {
    fn head(&self) -> i64 {
        i64::try_from(self.head.load(Ordering::SeqCst)).unwrap()
    }

    fn answer<T>(&self, value: T) -> Result<T, SourceError> {
        if self.failing.load(Ordering::SeqCst) {
            Err(SourceError::new("the test says so"))
        } else {
            Ok(value)
        }
    }
}

impl KeySource for Source {
    fn load(&self, digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async move {
            match self.delay_ms.load(Ordering::SeqCst) {
                0 => {}
                delay => tokio::time::sleep(Duration::from_millis(delay)).await,
            }
            let stored = self.stored.lock();
            self.answer(Loaded { head: self.head(), found: stored.keys.get(&digest).cloned() })
        })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async move {
            let stored = self.stored.lock();
            self.answer(LoadedTokens { head: self.head(), tokens: stored.tokens.clone() })
        })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async move { self.answer(Vec::new()) })
    }
}

/// A request that reached the opaque service.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub(crate) line: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) client: Option<ClientInfo>,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) decision: Option<Decision>,
}

/// A listener that is being served.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

impl Serving {
    /// Begins to shut down.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

pub(crate) struct World {
    pub(crate) source: Arc<Source>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) public: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) internal: SocketAddr,
    passed: Arc<Mutex<Vec<Passed>>>,
    pub(crate) listeners: Vec<Serving>,
}

impl World {
    /// One route, `/api/`, to this upstream.
    pub(crate) async fn over(upstream: &Upstream) -> Self {
        let routes = vec![Route::new("/api/", upstream.uri())];
        Self::with(|options| options.routes = routes).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut EdgeOptions)) -> Self {
        Self::holding(VerifierOptions::default(), change).await
    }

    /// With a verifier that holds as much as this.
    pub(crate) async fn holding(options: VerifierOptions, change: impl FnOnce(&mut EdgeOptions)) -> Self {
        Self::knowing(&["rk_live_"], options, change).await
    }

    /// With a verifier that knows these prefixes.
    pub(crate) async fn knowing(
        prefixes: &[&str],
        options: VerifierOptions,
        change: impl FnOnce(&mut EdgeOptions),
    ) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_800_000_000_000)));
        let source = Arc::new(Source::default());
        let verifier = Verifier::new(options, clock.clone(), source.clone());
        for prefix in prefixes {
            verifier.add_prefixes(&[KeyPrefix::parse(prefix).unwrap()]);
        }
        verifier.set_trust(Monotonic(u64::MAX));

        let mut options = EdgeOptions::new("https://rndrkit.example", Digest::of(OPERATOR_TOKEN));
        options.limits = Limits { shutdown: Duration::from_secs(5), ..Limits::default() };
        options.only_general_upstream = crate::ONLY_GENERAL_UPSTREAM;
        change(&mut options);
        let edge = Edge::new(options, verifier.clone(), clock.clone(), Arc::new(OsEntropy)).unwrap();
        let passed = Arc::new(Mutex::new(Vec::new()));
        let fallback = recording_fallback(passed.clone());
        let listeners = vec![
            start(edge.public(fallback.clone())).await,
            start(edge.gateway()).await,
            start(edge.internal(fallback)).await,
        ];
        Self {
            source,
            verifier,
            edge,
            clock,
            public: listeners[0].address,
            gateway: listeners[1].address,
            internal: listeners[2].address,
            passed,
            listeners,
        }
    }

    /// A good key of a new account on Agency.
    pub(crate) fn key(&self) -> TestKey {
        self.key_of(AccountId::generate(self.clock.now(), &OsEntropy))
    }

    /// A good key of this account.
    pub(crate) fn key_of(&self, account: AccountId) -> TestKey {
        let minted = mint(&KeyPrefix::parse("rk_live_").unwrap(), &OsEntropy);
        let key = TestKey {
            text: minted.secret.reveal().to_owned(),
            digest: minted.digest,
            id: KeyId::generate(self.clock.now(), &OsEntropy),
            account,
        };
        let facts = KeyFacts {
            key_id: key.id,
            expires_at: None,
            ends_at: None,
            revoked: false,
            account: AccountFacts {
                id: account,
                external_id: None,
                status: AccountStatus::Active,
                plan: PlanId::parse("agency").unwrap(),
                api_access: true,
                rate_limit: RateLimit {
                    per_minute: NonZeroU32::new(60).unwrap(),
                    burst: NonZeroU32::new(BURST).unwrap(),
                },
                revision: 1,
            },
        };
        self.source.stored.lock().keys.insert(key.digest, facts);
        key
    }

    /// Another secret of the same key, as a rotation makes it.
    pub(crate) fn other_secret_of(&self, key: &TestKey) -> TestKey {
        let other = TestKey { id: key.id, ..self.key_of(key.account) };
        self.source.stored.lock().keys.get_mut(&other.digest).unwrap().key_id = key.id;
        other
    }

    /// Changes what is stored about a key, and says so in the feed.
    pub(crate) fn change(&self, key: &TestKey, change: impl FnOnce(&mut KeyFacts)) {
        let number = {
            let mut stored = self.source.stored.lock();
            let facts = stored.keys.get_mut(&key.digest).unwrap();
            change(facts);
            facts.account.revision += 1;
            self.source.head.fetch_add(1, Ordering::SeqCst) + 1
        };
        let entry = |kind, number| FeedEntry {
            number: i64::try_from(number).unwrap(),
            tag: 1,
            kind,
            account_id: Some(key.account),
            key_id: Some(key.id),
            digests: vec![key.digest],
        };
        self.source.head.fetch_add(1, Ordering::SeqCst);
        self.verifier.apply(&[entry(FeedKind::Key, number), entry(FeedKind::Account, number + 1)]);
    }

    pub(crate) fn revoke(&self, key: &TestKey) {
        self.change(key, |facts| facts.revoked = true);
    }

    /// Revokes a key where nobody hears of it: the entry is lost with the history that it was in.
    pub(crate) fn revoke_unheard(&self, key: &TestKey) {
        self.source.stored.lock().keys.get_mut(&key.digest).unwrap().revoked = true;
    }

    pub(crate) fn suspend(&self, key: &TestKey) {
        self.change(key, |facts| facts.account.status = AccountStatus::Suspended);
    }

    pub(crate) fn downgrade(&self, key: &TestKey) {
        self.change(key, |facts| facts.account.api_access = false);
    }

    pub(crate) fn name_externally(&self, key: &TestKey, id: &str) {
        self.change(key, |facts| facts.account.external_id = Some(ExternalId::parse(id).unwrap()));
    }

    /// A token of the operator API.
    pub(crate) fn token(&self, text: &str, scope: Scope) {
        self.source.stored.lock().tokens.push(TokenFacts {
            digest: Digest::of(text),
            id: TokenId::generate(self.clock.now(), &OsEntropy),
            name: Name::parse("test").unwrap(),
            scope,
            expires_at: None,
        });
    }

    /// Requests that reached the opaque service.
    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.passed.lock().clone()
    }
}

/// Serves on a free port.
pub(crate) async fn start(service: Service) -> Serving {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    start_on(listener, service)
}

pub(crate) fn start_on(listener: Listener, service: Service) -> Serving {
    let address = listener.local_address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, service, Workers::here(), async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Serving { address, stop: Some(stop), task }
}

/// Answers `passed on`, and remembers.
pub(crate) fn recording_fallback(passed: Arc<Mutex<Vec<Passed>>>) -> Fallback {
    Fallback::new(tower::service_fn(move |request: Request<Incoming>| {
        let extensions = request.extensions();
        passed.lock().push(Passed {
            line: format!("{} {}", request.method(), request.uri()),
            headers: request.headers().clone(),
            client: extensions.get::<ClientInfo>().copied(),
            request_id: extensions.get::<RequestId>().copied(),
            decision: extensions.get::<Decision>().cloned(),
        });
        std::future::ready(Ok(Response::new(EdgeBody::full("passed on"))))
    }))
}

/// The address that tests connect from.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
