//! What all who make load share: where the nodes are, which keys there are, and one call with its record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::history::{Act, Call, NO_KEY, Outcome, Recorder};
use crate::wire::{Wire, call, question};

/// How long anybody waits for an answer: longer than any stop of a node, so that what is sent to a stopped
/// one is answered by it when it goes on.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Keys that are asked about, those deleted lately among them.
const RING: usize = 192;
/// Questions of one kind under way beside those of the steady askers.
const PROBES: usize = 400;

/// A key that somebody holds.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: Arc<str>,
    pub secret: Arc<str>,
    pub number: u32,
    pub account: u32,
}

/// Where the load goes.
pub struct World {
    pub recorder: Recorder,
    nodes: Vec<SocketAddr>,
    idle: Vec<Mutex<Vec<Wire>>>,
    ring: Mutex<(usize, Vec<Held>)>,
    accounts: AtomicU32,
    pub probes: Arc<Semaphore>,
    over: AtomicBool,
}

/// An account by its id and its number in the history.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: Arc<str>,
    pub number: u32,
}

impl World {
    /// No keys yet.
    pub fn on(nodes: Vec<SocketAddr>) -> Arc<Self> {
        let idle = nodes.iter().map(|_| Mutex::default()).collect();
        Arc::new(Self {
            recorder: Recorder::new(),
            nodes,
            idle,
            ring: Mutex::default(),
            accounts: AtomicU32::new(0),
            probes: Arc::new(Semaphore::new(PROBES)),
            over: AtomicBool::new(false),
        })
    }

    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Whoever makes load ends.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Adds to the keys that are asked about; the oldest is forgotten.
    pub fn hold(&self, key: Held) {
        let (next, ring) = &mut *self.ring.lock().unwrap();
        if ring.len() < RING {
            ring.push(key);
        } else {
            ring[*next] = key;
        }
        *next = (*next + 1) % RING;
    }

    /// Any of the keys that are asked about.
    pub fn any(&self, random: &mut Random) -> Option<Held> {
        let ring = &self.ring.lock().unwrap().1;
        if ring.is_empty() { None } else { Some(ring[random.below(ring.len())].clone()) }
    }

    /// One exchange with a node over a connection that is kept.
    async fn exchange<T>(
        &self,
        node: usize,
        request: &[u8],
        read: impl FnOnce(&crate::wire::Answer<'_>) -> T,
    ) -> Option<T> {
        let idle = self.idle[node].lock().unwrap().pop();
        let exchange = async {
            let mut wire = match idle {
                Some(wire) => wire,
                None => Wire::open(self.nodes[node]).await.ok()?,
            };
            let read = read(&wire.ask(request).await.ok()?);
            Some((read, wire))
        };
        let (read, wire) = tokio::time::timeout(PATIENCE, exchange).await.ok()??;
        self.idle[node].lock().unwrap().push(wire);
        Some(read)
    }

    /// A decision, recorded.
    pub async fn decide(&self, act: Act, node: usize, key: &Held) -> Outcome {
        let request = question(&key.secret, u32::from(act == Act::Spend));
        let begun = self.recorder.now();
        let outcome = self.exchange(node, &request, |answer| match answer.status {
            200 => match answer.text("code").as_deref() {
                Some("valid") => Outcome::Accepted,
                Some("rate_limited") => Outcome::Limited,
                Some("key_revoked") => Outcome::Revoked,
                Some("plan_required" | "account_suspended") => Outcome::Forbidden,
                _ => Outcome::Invalid,
            },
            503 => Outcome::Unavailable,
            other => Outcome::Odd(other),
        });
        let outcome = outcome.await.unwrap_or(Outcome::NoAnswer);
        self.recorder.call(act, node, (key.account, key.number), begun, outcome);
        outcome
    }

    /// A change: what came of it, and the answer.
    async fn change(&self, node: usize, request: &[u8]) -> (Outcome, String) {
        let read = |answer: &crate::wire::Answer<'_>| {
            let outcome = match answer.status {
                200 | 201 => Outcome::Done,
                403 | 404 | 409 => Outcome::Declined,
                503 => Outcome::Unavailable,
                other => Outcome::Odd(other),
            };
            (outcome, String::from_utf8_lossy(answer.body).into_owned())
        };
        self.exchange(node, request, read).await.unwrap_or((Outcome::NoAnswer, String::new()))
    }

    /// A new account on a plan, through any node that makes one.
    pub async fn account(&self, plan: &str, random: &mut Random) -> Option<Account> {
        while !self.is_over() {
            let number = self.accounts.fetch_add(1, Ordering::SeqCst);
            let body = format!("{{\"email\":\"load{number}@example.com\",\"plan\":\"{plan}\"}}");
            let request = call("POST", "/v1/accounts", &body);
            if let (Outcome::Done, answer) = self.change(random.below(self.nodes()), &request).await {
                return Some(Account { id: member(&answer, "id").into(), number });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    /// A new key of an account, recorded.
    pub async fn create(&self, node: usize, account: &Account) -> Result<Held, Outcome> {
        let request = call("POST", &format!("/v1/accounts/{}/keys", account.id), "{\"name\":\"load\"}");
        let begun = self.recorder.now();
        let (outcome, answer) = self.change(node, &request).await;
        let mut held = Err(outcome);
        let mut number = NO_KEY;
        if outcome == Outcome::Done {
            let id = member(&answer, "id");
            number = self.recorder.key(id.clone(), account.number);
            let secret = member(&answer, "secret").into();
            held = Ok(Held { id: id.into(), secret, number, account: account.number });
        }
        self.recorder.call(Act::Create, node, (account.number, number), begun, outcome);
        held
    }

    /// The end of a key, recorded.
    pub async fn delete(&self, node: usize, key: &Held) -> Outcome {
        let begun = self.recorder.now();
        let (outcome, answer) = self.change(node, &call("DELETE", &format!("/v1/keys/{}", key.id), "")).await;
        let waited = (outcome == Outcome::Done).then(|| json(&answer)["took_ms"].as_u64().unwrap() * 1_000);
        let (account, number, node) = (key.account, key.number, u8::try_from(node).unwrap());
        let ended = self.recorder.now();
        self.recorder.write(Call {
            act: Act::Delete,
            node,
            account,
            key: number,
            begun,
            ended,
            outcome,
            waited,
        });
        outcome
    }

    /// A change of an account's plan or status, recorded.
    pub async fn set_account(&self, act: Act, node: usize, account: &Account, body: &str) -> Outcome {
        let begun = self.recorder.now();
        let request = call("PATCH", &format!("/v1/accounts/{}", account.id), body);
        let (outcome, _) = self.change(node, &request).await;
        self.recorder.call(act, node, (account.number, NO_KEY), begun, outcome);
        outcome
    }

    /// Asks every node about a key, at once and beside whatever else goes on.
    pub fn probe(self: &Arc<Self>, key: &Held) {
        for node in 0..self.nodes() {
            let Ok(permit) = self.probes.clone().try_acquire_owned() else { return };
            let (world, key) = (self.clone(), key.clone());
            tokio::spawn(async move {
                world.decide(Act::Look, node, &key).await;
                drop(permit);
            });
        }
    }

    /// Waits until no probe is under way.
    pub async fn probes_are_over(&self) {
        let all = u32::try_from(PROBES).unwrap();
        drop(self.probes.acquire_many(all).await.unwrap());
    }
}

fn member(answer: &str, name: &str) -> String {
    json(answer)[name].as_str().unwrap().to_owned()
}

fn json(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer).unwrap()
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// A time up to another.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.next() % u64::try_from(longest.as_micros()).unwrap().max(1))
    }
}
