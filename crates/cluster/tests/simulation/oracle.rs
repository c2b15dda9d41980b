//! The checker: what each answer may be, given what was committed and what was answered to whom before.
//!
//! It knows nothing of trust, feed or slices. Every definite answer must follow from some version of the
//! database that is not older than what had been answered when the request began.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::time::{Clock as _, Timestamp};

use crate::database::{Plan, Version};
use crate::wire::{Shared, Wire};
use crate::world::HeldKey;

/// What binds one request: fixed when it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: Duration,
    database_time: Timestamp,
    floor: usize,
    branch: u64,
    ghosts: bool,
}

/// What binds one change: fixed when its commit is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) number: FeedNumber,
    pub(crate) branch: u64,
}

/// The exact bucket of one account.
struct Bucket {
    level: u128,
    at: Duration,
    plan: Plan,
}

/// A request in the bucket's unit: nanoseconds and requests a minute make no fractions of it.
const REQUEST: u128 = 60_000_000_000;
/// How long after its draw anything may be spent, by the node's own clock.
pub(crate) const LONGEST_SLICE: Duration = Duration::from_millis(500);
/// How far behind the database's clock a node may judge an end: what a slow clock loses between two beats.
const LATE_END: Duration = Duration::from_millis(500);
/// How far ahead: the longest round trip of a beat.
const EARLY_END: Duration = Duration::from_millis(1_600);

fn full(limit: RateLimit) -> u128 {
    u128::from(limit.burst.get()) * REQUEST
}

impl Bucket {
    fn new(plan: Plan, at: Duration) -> Self {
        Self { level: full(plan.rate_limit()), at, plan }
    }

    /// Takes one request out; `false` when the bucket holds less. `plan` may have been in force since `since`.
    fn take(&mut self, plan: Plan, since: Duration, now: Duration) -> bool {
        if plan != self.plan {
            // Up: from the moment of the commit on. Down: it has been so for some time, and is sure only now.
            self.settle(if plan == Plan::AgencyPlus { since } else { now });
            self.plan = plan;
        }
        self.settle(now);
        self.level.checked_sub(REQUEST).is_some_and(|left| {
            self.level = left;
            true
        })
    }

    fn settle(&mut self, until: Duration) {
        let limit = self.plan.rate_limit();
        let back = until.saturating_sub(self.at).as_nanos() * u128::from(limit.per_minute.get());
        self.level = (self.level + back).min(full(limit));
        self.at = self.at.max(until);
    }
}

/// Knows what was answered.
pub(crate) struct Oracle {
    shared: Arc<Shared>,
    /// Place in the path of versions that everything begun from now on must follow from, or from later.
    floor: Cell<usize>,
    /// Raised whenever commits are lost.
    branch: Cell<u64>,
    cut: Cell<usize>,
    lost_at: Cell<Option<Duration>>,
    /// Versions that were lost and may still be believed, until the first answer after the loss.
    ghosts: RefCell<Vec<Arc<Version>>>,
    ghosts_allowed: Cell<bool>,
    /// Secrets whose key was ended by a commit that was lost: a node that saw it refuses them all the same.
    ended_and_lost: RefCell<BTreeSet<Digest>>,
    created: RefCell<BTreeMap<Digest, usize>>,
    buckets: RefCell<BTreeMap<AccountId, Bucket>>,
}

impl Oracle {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            floor: Cell::new(0),
            branch: Cell::new(0),
            cut: Cell::new(0),
            lost_at: Cell::new(None),
            ghosts: RefCell::default(),
            ghosts_allowed: Cell::new(false),
            ended_and_lost: RefCell::default(),
            created: RefCell::default(),
            buckets: RefCell::default(),
        }
    }

    /// A request with this secret is sent now.
    pub(crate) fn begin(&self, digest: &Digest) -> Begun {
        let created = self.created.borrow().get(digest).copied().unwrap_or(0);
        Begun {
            at: self.shared.real.now(),
            database_time: self.shared.database_clock.now(),
            floor: self.floor.get().max(created),
            branch: self.branch.get(),
            ghosts: self.ghosts_allowed.get(),
        }
    }

    /// Whether commits were lost within the last `span`.
    pub(crate) fn lost_within(&self, span: Duration) -> bool {
        self.lost_at.get().is_some_and(|at| self.shared.real.since(at) < span)
    }

    fn place_of(&self, known: Known) -> Option<usize> {
        let server = self.shared.server.lock();
        let place = server.state.path.iter().position(|version| version.number == known.number)?;
        (known.branch == self.branch.get() || place <= self.cut.get()).then_some(place)
    }

    /// A change was answered as being in force everywhere.
    pub(crate) fn answered(&self, known: Known) {
        let Some(place) = self.place_of(known) else { return };
        self.floor.set(self.floor.get().max(place));
        if known.branch == self.branch.get() && place > self.cut.get() {
            self.ghosts_allowed.set(false);
        }
    }

    /// A create was answered: the key exists for its holder.
    pub(crate) fn created(&self, known: Known, digests: &[Digest]) {
        if self.place_of(known).is_none() {
            return;
        }
        // Not the place of the answer's number: a repeated create may name a later change, and waits for none.
        let made = |version: &Arc<Version>| version.by_digest.contains_key(&digests[0]);
        let Some(place) = self.shared.server.lock().state.path.iter().position(made) else { return };
        self.created.borrow_mut().extend(digests.iter().map(|digest| (*digest, place)));
    }

    /// The database came back as it was at `cut`; all after that is lost.
    pub(crate) fn lost(&self, cut: usize, lost: &[Arc<Version>]) {
        self.branch.set(self.branch.get() + 1);
        self.cut.set(cut);
        self.floor.set(self.floor.get().min(cut));
        self.lost_at.set(Some(self.shared.real.now()));
        let ended = lost.iter().flat_map(|version| {
            version.by_digest.keys().filter(|digest| version.key_code(digest) == "key_revoked")
        });
        self.ended_and_lost.borrow_mut().extend(ended);
        let mut ghosts = self.ghosts.borrow_mut();
        if !self.ghosts_allowed.replace(true) {
            ghosts.clear();
        }
        ghosts.extend(lost.iter().cloned());
        self.created.borrow_mut().values_mut().for_each(|place| *place = (*place).min(cut));
        self.buckets.borrow_mut().clear();
    }

    /// Whether a node may remember the end of this secret's key although the database does not.
    pub(crate) fn may_remember_the_end_of(&self, digest: &Digest) -> bool {
        self.ended_and_lost.borrow().contains(digest)
    }

    /// Runs `test` on every version that something which began then may follow from.
    fn any_version(&self, begun: &Begun, mut test: impl FnMut(&Version) -> bool) -> bool {
        let other_branch = begun.branch != self.branch.get();
        let floor = if other_branch { begun.floor.min(self.cut.get()) } else { begun.floor };
        let server = self.shared.server.lock();
        let mut candidates = server.state.path[floor..].iter().rev();
        candidates.any(|version| test(version))
            || ((begun.ghosts || other_branch) && self.ghosts.borrow().iter().any(|version| test(version)))
    }

    /// Holds an answer against what is known. Called at the very moment of the answer.
    ///
    /// Key and account may follow from different versions, as long as neither is too old: a node may have
    /// read the account anew for another key.
    pub(crate) fn judge(&self, begun: &Begun, key: &HeldKey, (code, cost): (&'static str, u32), wire: &Wire) {
        let (key_code, account_code) = match code {
            "unavailable" => return,
            // An end is looked at only for keys that are active.
            "key_expired" => return self.judge_end(&key.digest, begun),
            "invalid_key" | "key_revoked" => (code, None),
            // A budget is looked at only for keys that would pass.
            "valid" | "rate_limited" => ("valid", Some("valid")),
            other => ("valid", Some(other)),
        };
        let explained = self.any_version(begun, |version| version.key_code(&key.digest) == key_code)
            && account_code.is_none_or(|wanted| {
                self.any_version(begun, |version| version.account_code(&key.account) == wanted)
            })
            || (code == "key_revoked" && self.may_remember_the_end_of(&key.digest));
        assert!(
            explained,
            "answered {code}, which nothing since place {} explains; asked at {:?}; answered by process {}",
            begun.floor, begun.at, wire.process
        );
        if code == "valid" {
            self.check_end(begun, key);
            if cost > 0 {
                self.admit(key, wire);
            }
        }
    }

    fn judge_end(&self, digest: &Digest, begun: &Begun) {
        let now = self.shared.database_clock.now();
        let ends = |version: &Version| version.facts(digest).is_some_and(|facts| facts.expires_at.is_some());
        let is_early = |version: &Version| {
            version
                .facts(digest)
                .and_then(|facts| facts.expires_at)
                .is_none_or(|end| end > now.plus(EARLY_END))
        };
        assert!(
            self.any_version(begun, |version| ends(version) && !is_early(version)),
            "ended before its end"
        );
    }

    fn check_end(&self, begun: &Begun, key: &HeldKey) {
        let mut end = None;
        self.any_version(begun, |version| {
            end = version.facts(&key.digest).and_then(|facts| facts.expires_at);
            end.is_some()
        });
        assert!(
            end.is_none_or(|end| begun.database_time < end.plus(LATE_END)),
            "accepted after its end at {end:?}, asked at {:?}",
            begun.database_time
        );
    }

    fn admit(&self, key: &HeldKey, wire: &Wire) {
        let (now, account) = (self.shared.real.now(), key.account);
        let (plan, since) = self.widest_plan(account);
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets.entry(account).or_insert_with(|| Bucket::new(plan, now));
        assert!(bucket.take(plan, since, now), "more was let through than burst and rate allow");
        drop(buckets);
        spend(wire, account);
    }

    /// The widest limit that anybody may still go by, and since when.
    fn widest_plan(&self, account: AccountId) -> (Plan, Duration) {
        let begun = Begun {
            at: Duration::ZERO,
            database_time: Timestamp::from_unix_ms(0),
            floor: self.floor.get(),
            branch: self.branch.get(),
            ghosts: self.ghosts_allowed.get(),
        };
        let mut since = None;
        // From the newest back, and never satisfied: what is left is the oldest.
        self.any_version(&begun, |version| {
            if version.accounts.get(&account).is_some_and(|account| account.plan == Plan::AgencyPlus) {
                since = Some(version.committed_at);
            }
            false
        });
        since.map_or((Plan::Agency, Duration::ZERO), |since| (Plan::AgencyPlus, since))
    }
}

/// Takes one request out of what the process has drawn and may still spend.
fn spend(wire: &Wire, account: AccountId) {
    let now = wire.clock.monotonic();
    let mut drawn = wire.drawn.lock();
    let drawn = drawn.entry(account).or_default();
    drawn.retain(|(sent, left)| *left > 0 && now.since(*sent) < LONGEST_SLICE);
    let oldest = drawn.front_mut();
    assert!(oldest.is_some(), "process {} spent what it had not drawn, or what had lapsed", wire.process);
    if let Some((_, left)) = oldest {
        *left -= 1;
    }
}
