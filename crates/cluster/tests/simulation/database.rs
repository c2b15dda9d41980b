//! The simulated PostgreSQL: one writer, statements that happen at one instant each, and what it forgets.
//!
//! Keys, accounts and the feed; nodes and budgets are in modules of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::node::{Incarnation, NodeRow, Timeline};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::time::Timestamp;
use rndrkit_verifier::{AccountFacts, KeyFacts, Loaded};

use crate::budgets::Budget;
use crate::random::Random;

/// What is stored about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) account: AccountId,
    pub(crate) digests: Vec<Digest>,
    pub(crate) prefix: KeyPrefix,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked: bool,
    pub(crate) state_number: FeedNumber,
}

/// What is stored about one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAccount {
    pub(crate) status: AccountStatus,
    pub(crate) plan: Plan,
    pub(crate) revision: i64,
    pub(crate) state_number: FeedNumber,
}

/// The plans there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Starter,
    Agency,
    AgencyPlus,
}

impl Plan {
    pub(crate) fn id(self) -> PlanId {
        let text = match self {
            Self::Starter => "starter",
            Self::Agency => "agency",
            Self::AgencyPlus => "agency_plus",
        };
        PlanId::parse(text).unwrap()
    }

    pub(crate) fn has_access(self) -> bool {
        self != Self::Starter
    }

    /// Requests a minute and burst; small, so that budgets are always contended.
    pub(crate) fn rate_limit(self) -> RateLimit {
        let (per_minute, burst) = if self == Self::AgencyPlus { (1_200, 40) } else { (300, 12) };
        RateLimit { per_minute: per_minute.try_into().unwrap(), burst: burst.try_into().unwrap() }
    }
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Revoke(KeyId),
    Create(KeyId, StoredKey),
    SetStatus(AccountId, AccountStatus),
    SetPlan(AccountId, Plan),
    AddPrefix(KeyPrefix),
}

/// What came of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Committed, or so already: in force everywhere once this number is.
    At { number: FeedNumber, repeated: bool },
    /// There is no such thing, or there may not be.
    Refused,
}

/// The facts that decisions follow from, after one commit.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) number: FeedNumber,
    pub(crate) committed_at: Duration,
    pub(crate) keys: Arc<BTreeMap<KeyId, StoredKey>>,
    pub(crate) by_digest: Arc<BTreeMap<Digest, KeyId>>,
    pub(crate) accounts: Arc<BTreeMap<AccountId, StoredAccount>>,
}

/// Everything that a fail-over may lose.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) now: Version,
    /// Every version, in the order in which they became visible.
    pub(crate) path: Vec<Arc<Version>>,
    pub(crate) feed: Vec<FeedEntry>,
    pub(crate) oldest: FeedNumber,
    /// The last number handed out. The same as the head's, unless numbers come from a sequence.
    pub(crate) sequence: FeedNumber,
    pub(crate) prefixes: Vec<KeyPrefix>,
    pub(crate) nodes: BTreeMap<Incarnation, NodeRow>,
    pub(crate) longest_trust: Duration,
    pub(crate) timeline: Timeline,
    pub(crate) budgets: BTreeMap<AccountId, Budget>,
}

impl State {
    pub(crate) fn empty() -> Self {
        let now = Version {
            number: 0,
            committed_at: Duration::ZERO,
            keys: Arc::default(),
            by_digest: Arc::default(),
            accounts: Arc::default(),
        };
        Self {
            path: vec![Arc::new(now.clone())],
            now,
            feed: Vec::new(),
            oldest: 1,
            sequence: 0,
            prefixes: Vec::new(),
            nodes: BTreeMap::new(),
            longest_trust: Duration::ZERO,
            timeline: Timeline { system: 7, number: 1 },
            budgets: BTreeMap::new(),
        }
    }

    pub(crate) fn head(&self) -> FeedHead {
        let (number, tag) = self.feed.last().map_or((0, 0), |entry| (entry.number, entry.tag));
        FeedHead { number, tag, oldest: self.oldest }
    }

    /// One look-up, head and data from one snapshot.
    pub(crate) fn load(&self, digest: &Digest) -> Loaded {
        Loaded { head: self.head().number, found: self.now.facts(digest) }
    }

    pub(crate) fn entries(&self, from: FeedNumber, limit: u32) -> Vec<FeedEntry> {
        let first = from.max(self.oldest);
        self.feed.iter().filter(|entry| entry.number >= first).take(limit as usize).cloned().collect()
    }

    /// What a change would find before it begins: `None` = there is something to do.
    pub(crate) fn as_it_is(&self, change: &Change) -> Option<Changed> {
        let at = |number| Some(Changed::At { number, repeated: true });
        match change {
            Change::Revoke(key) => match self.now.keys.get(key) {
                None => Some(Changed::Refused),
                Some(stored) if stored.revoked => at(stored.state_number),
                Some(_) => None,
            },
            Change::Create(key, wanted) => {
                if let Some(stored) = self.now.keys.get(key) {
                    return at(stored.state_number);
                }
                let account = &self.now.accounts[&wanted.account];
                let open = account.status == AccountStatus::Active && account.plan.has_access();
                // Its prefix may have been lost since it was minted.
                (!open || !self.prefixes.contains(&wanted.prefix)).then_some(Changed::Refused)
            }
            Change::SetStatus(id, status) => {
                let account = &self.now.accounts[id];
                if account.status == *status { at(account.state_number) } else { None }
            }
            Change::SetPlan(id, plan) => {
                let account = &self.now.accounts[id];
                if account.plan == *plan { at(account.state_number) } else { None }
            }
            Change::AddPrefix(prefix) => {
                if self.prefixes.contains(prefix) {
                    at(self.head().number)
                } else {
                    None
                }
            }
        }
    }

    /// Commits a change under a number that was handed out for it.
    pub(crate) fn commit(&mut self, change: &Change, number: FeedNumber, tag: i64, real_now: Duration) {
        let mut entry = FeedEntry {
            number,
            tag,
            kind: FeedKind::Key,
            account_id: None,
            key_id: None,
            digests: Vec::new(),
        };
        self.write(change, number, &mut entry);
        let at = self.feed.partition_point(|before| before.number < number);
        self.feed.insert(at, entry);
        self.now.number = number;
        self.now.committed_at = real_now;
        self.path.push(Arc::new(self.now.clone()));
    }

    fn write(&mut self, change: &Change, number: FeedNumber, entry: &mut FeedEntry) {
        match change {
            Change::Revoke(key) => {
                let stored = Arc::make_mut(&mut self.now.keys).get_mut(key).unwrap();
                stored.revoked = true;
                stored.state_number = number;
                let (account, digests) = (stored.account, stored.digests.clone());
                self.touch(account);
                entry.kind = FeedKind::KeyRevoked;
                (entry.account_id, entry.key_id, entry.digests) = (Some(account), Some(*key), digests);
            }
            Change::Create(key, wanted) => {
                let by_digest = Arc::make_mut(&mut self.now.by_digest);
                by_digest.extend(wanted.digests.iter().map(|digest| (*digest, *key)));
                let stored = StoredKey { state_number: number, ..wanted.clone() };
                Arc::make_mut(&mut self.now.keys).insert(*key, stored);
                self.touch(wanted.account);
                (entry.account_id, entry.key_id) = (Some(wanted.account), Some(*key));
                entry.digests.clone_from(&wanted.digests);
            }
            Change::SetStatus(id, status) => {
                let account = self.touch(*id);
                (account.status, account.state_number) = (*status, number);
                (entry.kind, entry.account_id) = (FeedKind::Account, Some(*id));
            }
            Change::SetPlan(id, plan) => {
                let account = self.touch(*id);
                (account.plan, account.state_number) = (*plan, number);
                (entry.kind, entry.account_id) = (FeedKind::Account, Some(*id));
            }
            Change::AddPrefix(prefix) => {
                self.prefixes.push(prefix.clone());
                entry.kind = FeedKind::Prefixes;
            }
        }
    }

    fn touch(&mut self, id: AccountId) -> &mut StoredAccount {
        let account = Arc::make_mut(&mut self.now.accounts).get_mut(&id).unwrap();
        account.revision += 1;
        account
    }
}

impl Version {
    /// What a look-up in this version finds.
    pub(crate) fn facts(&self, digest: &Digest) -> Option<KeyFacts> {
        let key_id = *self.by_digest.get(digest)?;
        let key = &self.keys[&key_id];
        let account = &self.accounts[&key.account];
        Some(KeyFacts {
            key_id,
            expires_at: key.expires_at,
            ends_at: None,
            revoked: key.revoked,
            account: AccountFacts {
                id: key.account,
                external_id: None,
                status: account.status,
                plan: account.plan.id(),
                api_access: account.plan.has_access(),
                rate_limit: account.plan.rate_limit(),
                revision: account.revision,
            },
        })
    }

    /// Whether a secret is unknown, its key revoked, or good.
    pub(crate) fn key_code(&self, digest: &Digest) -> &'static str {
        match self.by_digest.get(digest).map(|id| &self.keys[id]) {
            None => "invalid_key",
            Some(key) if key.revoked => "key_revoked",
            Some(_) => "valid",
        }
    }

    /// What an account's good keys deserve.
    pub(crate) fn account_code(&self, id: &AccountId) -> &'static str {
        match self.accounts.get(id) {
            Some(account) if account.status == AccountStatus::Suspended => "account_suspended",
            Some(account) if !account.plan.has_access() => "plan_required",
            _ => "valid",
        }
    }
}

/// The server: its state, and what a restart or a fail-over does to it.
pub(crate) struct Server {
    pub(crate) state: State,
    pub(crate) is_down: bool,
    /// Raised whenever commits are lost.
    pub(crate) branch: u64,
    /// Raised whenever all connections break.
    pub(crate) connections: u64,
    /// A standby that lags behind and answers a few look-ups, as a stale connection of a pool would.
    pub(crate) standby: Option<Box<State>>,
    pub(crate) random: Random,
    /// Keys that were ever made. A lost one is not made again: its secret may be remembered as unknown.
    made: BTreeSet<KeyId>,
    /// Statements by process.
    pub(crate) statements: BTreeMap<usize, u64>,
}

impl Server {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: State::empty(),
            is_down: false,
            branch: 0,
            connections: 0,
            standby: None,
            random: Random::new(seed, 1),
            made: BTreeSet::new(),
            statements: BTreeMap::new(),
        }
    }

    /// Hands out the next number, and commits at once.
    pub(crate) fn change(&mut self, change: &Change, real_now: Duration) -> Changed {
        if let Some(already) = self.state.as_it_is(change) {
            return already;
        }
        if let Change::Create(key, _) = change
            && !self.made.insert(*key)
        {
            return Changed::Refused;
        }
        let number = self.take_number();
        self.commit(change, number, real_now);
        Changed::At { number, repeated: false }
    }

    pub(crate) fn take_number(&mut self) -> FeedNumber {
        self.state.sequence += 1;
        self.state.sequence
    }

    pub(crate) fn commit(&mut self, change: &Change, number: FeedNumber, real_now: Duration) {
        let tag = i64::from_le_bytes(self.random.next().to_le_bytes());
        self.state.commit(change, number, tag, real_now);
    }

    /// Takes away the entries of the feed up to the last few.
    pub(crate) fn prune(&mut self, keep: usize) {
        let gone = self.state.feed.len().saturating_sub(keep);
        self.state.feed.drain(..gone);
        if let Some(first) = self.state.feed.first() {
            self.state.oldest = first.number;
        }
    }

    /// All connections break; nothing is answered until it is up again.
    pub(crate) fn go_down(&mut self) {
        self.is_down = true;
        self.connections += 1;
    }

    pub(crate) fn come_up(&mut self) {
        self.is_down = false;
    }

    /// Another server takes over with `state`, on a timeline of its own.
    pub(crate) fn fail_over_to(&mut self, state: State) {
        let number = self.state.timeline.number + 1;
        self.state = State { timeline: Timeline { number, ..state.timeline }, ..state };
        self.standby = None;
        self.connections += 1;
    }
}
