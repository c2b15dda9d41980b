//! Judges a history by the promises, knowing nothing of how they are kept. Where a call's moment is not known
//! (it lies between its beginning and its end) the doubt is the product's, so that what is found is certain.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::budget;
use crate::history::{Act, Call, Fault, History, Hurts, Micros, Outcome};

/// What the product said about itself, as far as judgement needs it.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// How long it may wait after its commit, by its own account.
    pub longest_wait: Duration,
    /// How long a change may take at most when its node runs, with a margin for a busy machine.
    pub longest_change: Duration,
    /// How much longer when the database could not be reached meanwhile.
    pub longest_statement: Duration,
    /// The bucket of every account that spends.
    pub burst: f64,
    pub per_second: f64,
}

/// The verdict on a history.
#[derive(Debug, Default)]
pub struct Verdict {
    pub decisions: usize,
    pub accepted: usize,
    pub changes: usize,
    pub deletes: usize,
    pub faults: usize,
    /// Decisions about a key that was deleted, or whose account was narrowed, before they began.
    pub late: usize,
    /// Decisions that were not known.
    pub unavailable: usize,
    /// Milliseconds of the acknowledged deletes, in order.
    pub delete_ms: Vec<f64>,
    pub violations: Vec<String>,
}

impl Verdict {
    fn blame(&mut self, what: &str, call: &Call) {
        self.violations.push(format!("{what}: {call:?}"));
    }

    /// A quantile of the deletes' times.
    pub fn delete_quantile(&self, share: f64) -> f64 {
        quantile(&self.delete_ms, share)
    }
}

/// A quantile of sorted values.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(place.round() as usize).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "history: {} decisions ({} accepted, {} not known), {} changes, {} deletes \
             (median {:.1} ms, p99 {:.0} ms, longest {:.0} ms), {} faults, {} decisions sent after their end \
             was answered, {} violations",
            self.decisions,
            self.accepted,
            self.unavailable,
            self.changes,
            self.deletes,
            self.delete_quantile(0.5),
            self.delete_quantile(0.99),
            self.delete_quantile(1.0),
            self.faults,
            self.late,
            self.violations.len()
        )
    }
}

/// What was done to one account's access, in order of beginning.
#[derive(Debug, Default)]
struct Access {
    narrowed: Vec<Span>,
    widened: Vec<Span>,
}

/// From the beginning of a change to its answer; without an answer it may take effect at any later time.
#[derive(Debug, Clone, Copy)]
struct Span {
    begun: Micros,
    ended: Option<Micros>,
}

impl Span {
    fn of(call: &Call) -> Self {
        Self { begun: call.begun, ended: (call.outcome == Outcome::Done).then_some(call.ended) }
    }

    /// Whether it was certainly over before that moment.
    fn is_before(&self, moment: Micros) -> bool {
        self.ended.is_some_and(|ended| ended < moment)
    }
}

impl Access {
    /// Whether a decision must be a no: a narrowing was answered before it began, and no widening can have
    /// come after that and before the decision's end.
    fn must_refuse(&self, call: &Call) -> bool {
        self.narrowed.iter().any(|narrow| {
            narrow.is_before(call.begun)
                && !self
                    .widened
                    .iter()
                    .any(|widen| widen.begun < call.ended && !widen.is_before(narrow.begun))
        })
    }

    /// Whether a decision may be a no: a narrowing had begun before its end, and no widening that began after
    /// that narrowing's answer was answered before the decision began.
    fn may_refuse(&self, call: &Call) -> bool {
        self.narrowed.iter().any(|narrow| {
            narrow.begun < call.ended
                && !self
                    .widened
                    .iter()
                    .any(|widen| narrow.is_before(widen.begun) && widen.is_before(call.begun))
        })
    }
}

/// Judges everything that the calls alone tell.
pub fn judge(history: &History, contract: &Contract) -> Verdict {
    let mut verdict = Verdict { faults: history.faults.len(), ..Verdict::default() };
    let deletes = deletes(history);
    let access = access(history);
    let mut spent: BTreeMap<u32, Vec<(Micros, Micros)>> = BTreeMap::new();
    for call in &history.calls {
        match call.act {
            Act::Look | Act::Spend => {
                judge_decision(&mut verdict, call, deletes.get(&call.key), access.get(&call.account));
                if (call.act, call.outcome) == (Act::Spend, Outcome::Accepted) {
                    spent.entry(call.account).or_default().push((call.begun, call.ended));
                }
            }
            Act::Create | Act::Delete | Act::Narrow | Act::Widen => {
                judge_change(&mut verdict, call, history, contract);
            }
        }
    }
    for (account, calls) in spent {
        let worst = budget::worst_excess(&calls, contract.per_second) - contract.burst;
        if worst > 0.0 {
            verdict
                .violations
                .push(format!("account {account}: {worst:.1} admitted over burst + rate × time"));
        }
    }
    verdict.delete_ms.sort_by(f64::total_cmp);
    verdict
}

/// For each key, when the first call to delete it began, and when the first one was answered.
fn deletes(history: &History) -> BTreeMap<u32, Span> {
    let mut found: BTreeMap<u32, Span> = BTreeMap::new();
    for call in history.calls.iter().filter(|call| call.act == Act::Delete) {
        let span = Span::of(call);
        let known = found.entry(call.key).or_insert(span);
        known.begun = known.begun.min(span.begun);
        known.ended = match (known.ended, span.ended) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    found
}

fn access(history: &History) -> BTreeMap<u32, Access> {
    let mut found: BTreeMap<u32, Access> = BTreeMap::new();
    for call in &history.calls {
        let access = match call.act {
            Act::Narrow => &mut found.entry(call.account).or_default().narrowed,
            Act::Widen => &mut found.entry(call.account).or_default().widened,
            _ => continue,
        };
        access.push(Span::of(call));
    }
    found
}

fn judge_decision(verdict: &mut Verdict, call: &Call, deleted: Option<&Span>, access: Option<&Access>) {
    verdict.decisions += 1;
    verdict.accepted += usize::from(call.outcome == Outcome::Accepted);
    verdict.unavailable += usize::from(call.outcome == Outcome::Unavailable);
    let is_deleted = deleted.is_some_and(|deleted| deleted.is_before(call.begun));
    let is_narrowed = access.is_some_and(|access| access.must_refuse(call));
    verdict.late += usize::from(is_deleted || is_narrowed);
    match call.outcome {
        // 429 comes after every other question: whoever says it still believes the key.
        Outcome::Accepted | Outcome::Limited if is_deleted => {
            verdict.blame("believed after its delete", call);
        }
        Outcome::Accepted | Outcome::Limited if is_narrowed => {
            verdict.blame("believed after its account was narrowed", call);
        }
        Outcome::Revoked if deleted.is_none_or(|deleted| deleted.begun >= call.ended) => {
            verdict.blame("called revoked and was not", call);
        }
        Outcome::Invalid => verdict.blame("a key that exists was called invalid", call),
        Outcome::Forbidden if !access.is_some_and(|access| access.may_refuse(call)) => {
            verdict.blame("refused for its plan, which allows it", call);
        }
        Outcome::Odd(_) | Outcome::Done | Outcome::Declined => verdict.blame("no such answer", call),
        _ => {}
    }
}

fn judge_change(verdict: &mut Verdict, call: &Call, history: &History, contract: &Contract) {
    verdict.changes += 1;
    if matches!(call.outcome, Outcome::Odd(_)) {
        verdict.blame("no such answer", call);
    }
    if (call.act, call.outcome) == (Act::Delete, Outcome::Done) {
        verdict.deletes += 1;
        verdict.delete_ms.push(milliseconds(call.ended - call.begun));
    }
    let suffered = |hurts| {
        let concerns =
            |fault: &&Fault| fault.hurts == hurts && fault.node.is_none_or(|node| node == call.node);
        let overlaps = |fault: &Fault| fault.from < call.ended && call.begun < fault.to;
        history.faults.iter().filter(concerns).any(overlaps)
    };
    if suffered(Hurts::Running) {
        return;
    }
    if call.waited.is_some_and(|waited| Duration::from_micros(waited) > contract.longest_wait) {
        verdict.blame("waited longer after its commit than is promised", call);
    }
    let more = if suffered(Hurts::Reaching) { contract.longest_statement } else { Duration::ZERO };
    if Duration::from_micros(call.ended - call.begun) > contract.longest_change + more {
        verdict.blame("took longer than the longest wait", call);
    }
}

#[allow(clippy::cast_precision_loss)]
fn milliseconds(micros: Micros) -> f64 {
    micros as f64 / 1_000.0
}

/// Judges what is durable: every acknowledged create and delete, and five keys at most. `stored` says of each
/// key whether it is revoked, and of which account it is.
pub fn judge_stored(
    verdict: &mut Verdict,
    history: &History,
    stored: &BTreeMap<String, (String, bool)>,
    keys_allowed: usize,
) {
    let ends = deletes(history);
    for (number, (id, _)) in (0..).zip(&history.keys) {
        let end = ends.get(&number);
        match stored.get(id) {
            None => verdict.violations.push(format!("acknowledged and lost: {id}")),
            Some((_, false)) if end.is_some_and(|end| end.ended.is_some()) => {
                verdict.violations.push(format!("its acknowledged delete is lost: {id}"));
            }
            Some((_, true)) if end.is_none() => {
                verdict.violations.push(format!("revoked by nobody: {id}"));
            }
            Some(_) => {}
        }
    }
    let mut active: BTreeMap<&str, usize> = BTreeMap::new();
    for (account, _) in stored.values().filter(|(_, is_revoked)| !is_revoked) {
        *active.entry(account).or_default() += 1;
    }
    for (account, count) in active.into_iter().filter(|(_, count)| *count > keys_allowed) {
        verdict.violations.push(format!("{account} has {count} keys; {keys_allowed} are allowed"));
    }
}
