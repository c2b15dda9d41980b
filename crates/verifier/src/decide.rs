//! The verdict on one request, readable from top to bottom: memory, or a look-up; then the order of the
//! contract; the budget; the use.

use std::sync::Arc;

use parking_lot::RwLockReadGuard;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::decision::{Caller, Decision, Denial};
use rndrkit_domain::key_text::{self, Digest};
use rndrkit_domain::time::{Monotonic, Timestamp};

use crate::account::AccountView;
use crate::entry::{Held, KeyEntry};
use crate::limiter::Taken;
use crate::slices::share::Asking;
use crate::slices::waiting::{Settled, Waiting};
use crate::usage::Use;
use crate::verifier::{Ask, Resolved, Verified, Verifier};
use crate::watch::Watch;

/// Rounds of decision and draw before giving up, when the account keeps changing.
const BUDGET_ATTEMPTS: u32 = 4;

/// A request, as far as the verdict on a good key needs it.
struct Asked {
    digest: Digest,
    cost: u32,
    /// The account's counter of changes, read before the key was known to be current.
    seen: u64,
    now: Monotonic,
}

/// What came of looking at a request once.
enum Step {
    Decided,
    /// Only a draw from the shared budget can tell.
    Wait(Waiting),
    /// The account changed meanwhile.
    Again,
    /// Too many requests wait for draws.
    Crowded,
}

impl Verifier {
    /// Decides on one request. What is in memory is decided upon at the first poll, without a place on the
    /// heap; the rest is in a future of its own, so that this one stays small.
    pub async fn verify(&self, ask: &Ask<'_>) -> Verified {
        let mut answer = None;
        let waiting = match self.decide_from_memory(ask, &mut answer) {
            Some(Step::Wait(waiting)) => Some(waiting),
            Some(Step::Crowded) => return Verified::denied(Denial::Unavailable),
            Some(Step::Decided | Step::Again) | None => None,
        };
        match answer {
            Some(verified) => verified,
            None => Box::pin(self.check(ask, waiting)).await.unwrap_or_else(Verified::denied),
        }
    }

    /// The steady state. `None`: something is missing, and [`Self::check`] finds out what that means.
    #[inline]
    fn decide_from_memory(&self, ask: &Ask<'_>, answer: &mut Option<Verified>) -> Option<Step> {
        if ask.secret.len() > key_text::MAX_SECRET_BYTES {
            return None;
        }
        // Prefix and checksum are not looked at: a text whose SHA-256 is that of a good key is that key.
        let digest = Digest::of_bytes(ask.secret);
        let now = self.trusted_now()?;
        if let Some(found) = self.good().find(&digest) {
            let entry = found.entry()?;
            // Before the entry is found current: see `recall`.
            let seen = entry.account.changes();
            if !entry.is_current() {
                return None;
            }
            let asked = Asked { digest, cost: ask.cost, seen, now };
            let (step, used) = self.decide(&asked, entry, None, answer);
            found.used(&digest, used.map(|used| (self.date(now), used)));
            return Some(step);
        }
        let prefixes = self.prefix_set();
        if prefixes.is_empty() {
            return None;
        }
        if key_text::check(ask.secret, prefixes).is_err() {
            *answer = Some(Verified::denied(Denial::InvalidKey));
        } else {
            let held = self.recall_refused(&digest, now)?;
            self.meters().hits.increment(1);
            *answer = Some(refuse_held(&held));
        }
        Some(Step::Decided)
    }

    async fn check(&self, ask: &Ask<'_>, mut waiting: Option<Waiting>) -> Result<Verified, Denial> {
        let digest = self.read(ask.secret)?;
        for _ in 0..BUDGET_ATTEMPTS {
            let settled = match waiting.take() {
                Some(waiting) => waiting.settled().await?,
                None => None,
            };
            // After a wait for the budget as well: trust, key and account are looked at again.
            let resolved = self.resolve(digest, ask.client).await?;
            let mut answer = None;
            match self.decide_resolved(digest, ask.cost, &resolved, settled.as_ref(), &mut answer) {
                Step::Decided => return answer.ok_or(Denial::Unavailable),
                Step::Wait(wait) => waiting = Some(wait),
                Step::Again => {}
                Step::Crowded => return Err(Denial::Unavailable),
            }
        }
        Err(Denial::Unavailable)
    }

    fn decide_resolved(
        &self,
        digest: Digest,
        cost: u32,
        resolved: &Resolved,
        settled: Option<&Settled>,
        answer: &mut Option<Verified>,
    ) -> Step {
        let Held::Good(entry) = &resolved.held else {
            *answer = Some(refuse_held(&resolved.held));
            return Step::Decided;
        };
        let asked = Asked { digest, cost, seen: resolved.seen, now: resolved.now };
        let (step, used) = self.decide(&asked, entry, settled, answer);
        if let Some(used) = used {
            self.good().count(&digest, entry, self.date(asked.now), used);
        }
        step
    }

    /// The verdict on a good key, and what is to be counted. The answer is written where it is wanted: it is
    /// large, and would otherwise be moved from hand to hand.
    #[inline]
    fn decide(
        &self,
        asked: &Asked,
        entry: &KeyEntry,
        settled: Option<&Settled>,
        answer: &mut Option<Verified>,
    ) -> (Step, Option<Use>) {
        // Read before the view is locked: these are the other end of the account's lines, see its fields.
        let (key_id, account_id) = entry.owner();
        let view = entry.account.view();
        let used = match verdict(entry, &view, || self.wall_at(asked.now)) {
            // Neither active nor unexpired: such a request moves nothing.
            Some(denial @ (Denial::SecretReplaced | Denial::KeyExpired)) => {
                *answer = Some(refuse(entry, &view, denial));
                return (Step::Decided, None);
            }
            Some(denial) => {
                *answer = Some(refuse(entry, &view, denial));
                Use::Refused
            }
            None => match pay(entry, &view, asked.cost, asked.now, settled) {
                Asking::Done(Taken::Admitted(budget)) => {
                    let (external_id, plan) = (view.external_id.clone(), view.plan.clone());
                    let caller = Caller { key_id, account_id, external_id, plan };
                    let account = Arc::clone(&entry.account);
                    let watch = Some(Watch { digest: asked.digest, key_id, account, seen: asked.seen });
                    *answer = Some(Verified { decision: Decision::Allowed { caller, budget }, watch });
                    Use::Allowed
                }
                Asking::Done(Taken::Refused(budget)) => {
                    let (denial, caller) = (Denial::RateLimited, Some(entry.caller(&view)));
                    let decision = Decision::Denied { denial, caller, budget: Some(budget) };
                    *answer = Some(Verified { decision, watch: None });
                    Use::Limited
                }
                Asking::Wait(waiting) => return (Step::Wait(waiting), None),
                Asking::Changed => return (Step::Again, None),
                Asking::Crowded => return (Step::Crowded, None),
            },
        };
        (Step::Decided, Some(if asked.cost == 0 { Use::Looked } else { used }))
    }
}

/// Why a known secret that is not revoked is refused, the budget aside. In the order of the contract.
/// The clock that ends are judged by is read only for a secret that has an end.
#[inline]
pub(crate) fn verdict(
    entry: &KeyEntry,
    view: &AccountView,
    wall: impl FnOnce() -> Timestamp,
) -> Option<Denial> {
    if entry.ends_at().is_some_and(|end| end <= wall()) {
        Some(entry.end_denial())
    } else if view.status == AccountStatus::Suspended {
        Some(Denial::AccountSuspended)
    } else if view.api_access {
        None
    } else {
        Some(Denial::PlanRequired)
    }
}

/// Takes from the budget, unless a draw that the request waited for has settled that.
#[inline]
fn pay(
    entry: &KeyEntry,
    view: &RwLockReadGuard<'_, AccountView>,
    cost: u32,
    now: Monotonic,
    settled: Option<&Settled>,
) -> Asking {
    match settled.and_then(|settled| settled.at(now, entry.generation())) {
        Some(taken) => Asking::Done(taken),
        None => entry.account.take(view, cost, now),
    }
}

/// What is said about a secret that is not good.
fn refuse_held(held: &Held) -> Verified {
    match held {
        Held::Good(entry) | Held::Revoked(entry) => refuse(entry, &entry.account.view(), Denial::KeyRevoked),
        Held::Unknown => Verified::denied(Denial::InvalidKey),
    }
}

fn refuse(entry: &KeyEntry, view: &AccountView, denial: Denial) -> Verified {
    let decision = Decision::Denied { denial, caller: Some(entry.caller(view)), budget: None };
    Verified { decision, watch: None }
}
