//! A world under a seed: a database, three nodes, those who ask, those who change things, and a trace of all
//! that happened.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::time::Timestamp;
use tokio::time::sleep;

use crate::clocks::beginning;
use crate::database::{Plan, StoredAccount, StoredKey, Version};
use crate::oracle::Oracle;
use crate::planted::Planted;
use crate::process::{Place, Process};
use crate::random::Random;
use crate::wire::Shared;

pub(crate) const SLOTS: usize = 3;
pub(crate) const ACCOUNTS: usize = 4;
const KEYS_EACH: usize = 3;
/// Clock rates of the nodes' machines.
const RATES_PERCENT: [u32; SLOTS] = [90, 100, 110];

/// A secret as its holder knows it.
#[derive(Debug, Clone)]
pub(crate) struct HeldKey {
    pub(crate) text: String,
    pub(crate) digest: Digest,
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
}

/// The world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) oracle: Oracle,
    pub(crate) random: Random,
    pub(crate) processes: RefCell<Vec<Rc<Process>>>,
    started: Cell<usize>,
    pub(crate) accounts: Vec<AccountId>,
    /// Secrets whose create was answered.
    pub(crate) keys: RefCell<Vec<HeldKey>>,
    /// The prefix that new keys get.
    pub(crate) prefix: RefCell<KeyPrefix>,
    /// Generation and revision of accounts as last seen in the memory of each process.
    pub(crate) revisions: RefCell<BTreeMap<(usize, AccountId), (u64, i64)>>,
    trace: RefCell<DefaultHasher>,
    tally: RefCell<BTreeMap<&'static str, u64>>,
}

impl World {
    /// A database with accounts and keys, and no node.
    pub(crate) fn new(seed: u64, planted: Planted, stormy: bool) -> Rc<Self> {
        let shared = Shared::new(seed, planted, stormy);
        let random = Random::new(seed, 2);
        let accounts = (0..ACCOUNTS).map(|_| AccountId::generate(beginning(), &random)).collect();
        let world = Rc::new(Self {
            seed,
            oracle: Oracle::new(&shared),
            shared,
            random,
            processes: RefCell::default(),
            started: Cell::new(0),
            accounts,
            keys: RefCell::default(),
            prefix: RefCell::new(KeyPrefix::parse("rk_live_").unwrap()),
            revisions: RefCell::default(),
            trace: RefCell::default(),
            tally: RefCell::default(),
        });
        world.furnish();
        world
    }

    fn furnish(&self) {
        let mut server = self.shared.server.lock();
        server.state.prefixes.push(self.prefix.borrow().clone());
        let mut version: Version = server.state.now.clone();
        for (place, account) in self.accounts.iter().enumerate() {
            let plan = if place % 2 == 0 { Plan::Agency } else { Plan::AgencyPlus };
            let stored = StoredAccount { status: AccountStatus::Active, plan, revision: 1, state_number: 0 };
            Arc::make_mut(&mut version.accounts).insert(*account, stored);
            for _ in 0..KEYS_EACH {
                let (held, stored) = self.new_key(*account, 1, None);
                Arc::make_mut(&mut version.by_digest).insert(held[0].digest, held[0].id);
                Arc::make_mut(&mut version.keys).insert(held[0].id, stored);
                self.keys.borrow_mut().extend(held);
            }
        }
        server.state.path = vec![Arc::new(version.clone())];
        server.state.now = version;
    }

    /// A key that nobody has stored, with so many secrets.
    pub(crate) fn new_key(
        &self,
        account: AccountId,
        secrets: usize,
        expires_at: Option<Timestamp>,
    ) -> (Vec<HeldKey>, StoredKey) {
        let id = KeyId::generate(beginning(), &self.random);
        let held: Vec<HeldKey> = (0..secrets)
            .map(|_| {
                let minted = mint(&self.prefix.borrow(), &self.random);
                let text = minted.secret.reveal().to_owned();
                HeldKey { text, digest: minted.digest, id, account }
            })
            .collect();
        let digests = held.iter().map(|key| key.digest).collect();
        let prefix = self.prefix.borrow().clone();
        (held, StoredKey { account, digests, prefix, expires_at, revoked: false, state_number: 0 })
    }

    /// Starts a process on a node.
    pub(crate) fn start(&self, slot: usize) -> Rc<Process> {
        let process = self.started.get();
        self.started.set(process + 1);
        // Wall clocks are wrong by up to three minutes.
        let wall_offset_ms = i64::try_from(self.random.below(360_000)).unwrap() - 180_000;
        let place = Place { slot, process, rate_percent: RATES_PERCENT[slot], wall_offset_ms };
        let process = Process::start(&self.shared, self.seed, place);
        self.processes.borrow_mut().push(Rc::clone(&process));
        process
    }

    /// The processes of a node that have not ended.
    pub(crate) fn on(&self, slot: usize) -> Vec<Rc<Process>> {
        let processes = self.processes.borrow();
        let alive =
            processes.iter().filter(|process| process.place.slot == slot && !process.gate.has_ended());
        alive.cloned().collect()
    }

    /// Any process that has not ended; stopped ones included.
    pub(crate) fn any_process(&self) -> Option<Rc<Process>> {
        let alive: Vec<Rc<Process>> = (0..SLOTS).flat_map(|slot| self.on(slot)).collect();
        (!alive.is_empty()).then(|| Rc::clone(&alive[self.random.index(alive.len())]))
    }

    /// A secret whose holder asks; one of the newest more often, and one that was deleted just now too.
    pub(crate) fn any_key(&self) -> HeldKey {
        let keys = self.keys.borrow();
        let newest = keys.len().min(6);
        if self.random.once_in(3) {
            keys[keys.len() - 1 - self.random.index(newest)].clone()
        } else {
            keys[self.random.index(keys.len())].clone()
        }
    }

    pub(crate) fn any_account(&self) -> AccountId {
        self.accounts[self.random.index(self.accounts.len())]
    }

    pub(crate) async fn pause(&self, at_most: Duration) {
        sleep(self.random.between(Duration::from_micros(300), at_most)).await;
    }

    /// Something happened.
    pub(crate) fn note(&self, actor: usize, what: &'static str) {
        let mut trace = self.trace.borrow_mut();
        trace.write_u128(self.shared.real.now().as_nanos());
        trace.write_usize(actor);
        trace.write(what.as_bytes());
        drop(trace);
        self.count(what, 1);
    }

    pub(crate) fn count(&self, what: &'static str, by: u64) {
        *self.tally.borrow_mut().entry(what).or_default() += by;
    }

    pub(crate) fn report(&self) -> Report {
        Report { trace: self.trace.borrow().finish(), tally: self.tally.borrow().clone() }
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) trace: u64,
    pub(crate) tally: BTreeMap<&'static str, u64>,
}
