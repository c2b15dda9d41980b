//! What may be found in the memory of a node, after any step.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::time::Clock as _;
use rndrkit_verifier::{HeldAccount, HeldKey};

use crate::database::Version;
use crate::oracle::LONGEST_SLICE;
use crate::planted::Planted;
use crate::process::{Process, TRUST};
use crate::world::World;

/// For this long after commits were lost, nodes may hold what is lost and not know it.
const LOSS_FORGOTTEN: Duration = Duration::from_secs(8);

/// Looks into one process that believes what it holds.
pub(crate) fn inspect(world: &World, process: &Rc<Process>) {
    let gone = process.gate.has_ended() || !process.verifier.is_trusted();
    if gone || world.oracle.lost_within(LOSS_FORGOTTEN) || world.shared.planted != Planted::None {
        return;
    }
    check_position(world, process);
    check_row(world, process);
    check_memory(world, process);
    world.count("looks into memory", 1);
}

/// I2: whoever trusts has applied everything that was committed before its term.
fn check_position(world: &World, process: &Process) {
    let term = process.clock.real_span(TRUST);
    let Some(before) = world.shared.real.now().checked_sub(term) else { return };
    let server = world.shared.server.lock();
    let due = server.state.path.iter().rev().find(|version| version.committed_at < before);
    let applied = process.verifier.applied();
    assert!(
        due.is_none_or(|version| version.number <= applied),
        "process {} trusts at {applied}, and {:?} is older than its term",
        process.place.process,
        due.map(|version| version.number)
    );
}

/// I3: whoever trusts is on the list.
fn check_row(world: &World, process: &Process) {
    let Some(incarnation) = process.handle.status().incarnation else {
        panic!("process {} trusts and is on no list", process.place.process);
    };
    assert!(
        world.shared.server.lock().state.nodes.contains_key(&incarnation),
        "process {} trusts and is not on the list",
        process.place.process
    );
}

/// I5, I6, I9: nothing held is older than what was applied, an account has one state, which never goes back,
/// and no slice is held for longer than it may be.
fn check_memory(world: &World, process: &Process) {
    let applied = process.verifier.applied();
    let accounts: BTreeMap<AccountId, HeldAccount> =
        process.verifier.held_accounts().into_iter().map(|account| (account.id, account)).collect();
    let since = versions_since(world, applied);
    for key in process.verifier.held_keys() {
        assert!(key.has_the_one_account, "an account has two states");
        let is_remembered = key.revoked && world.oracle.may_remember_the_end_of(&key.digest);
        assert!(
            is_remembered || since.iter().any(|version| is_so(version, &key)),
            "process {} holds {key:?}, which is not so at {applied} or later",
            process.place.process
        );
        if let Some((_, account)) = key.owner {
            check_account(world, process, &since, &accounts[&account]);
        }
    }
    let now = process.clock.monotonic();
    for (_, lapses) in accounts.values().flat_map(|account| &account.slices) {
        assert!(*lapses <= now.plus(LONGEST_SLICE), "a slice is held for too long");
    }
}

/// Facts of an account that a live key refers to.
fn check_account(world: &World, process: &Process, since: &[Arc<Version>], held: &HeldAccount) {
    let matches = |version: &Arc<Version>| {
        version.accounts.get(&held.id).is_some_and(|stored| {
            stored.status == held.status
                && stored.plan.id() == held.plan
                && stored.plan.has_access() == held.api_access
                && stored.plan.rate_limit() == held.rate_limit
        })
    };
    assert!(since.iter().any(matches), "process {} holds {held:?}, too old", process.place.process);
    let mut revisions = world.revisions.borrow_mut();
    // What was forgotten may be read again as it was before, if that is not too old.
    let now = (held.generation, held.revision);
    let before = revisions.insert((process.place.process, held.id), now).unwrap_or(now);
    assert!(before.0 < now.0 || before.1 <= now.1, "an account went back from {} to {}", before.1, now.1);
}

fn versions_since(world: &World, applied: FeedNumber) -> Vec<Arc<Version>> {
    let server = world.shared.server.lock();
    server.state.path.iter().filter(|version| version.number >= applied).cloned().collect()
}

fn is_so(version: &Version, held: &HeldKey) -> bool {
    let facts = version.facts(&held.digest);
    match (&held.owner, facts) {
        (None, facts) => facts.is_none(),
        (Some((key, account)), Some(facts)) => {
            facts.key_id == *key
                && facts.account.id == *account
                && facts.revoked == held.revoked
                && facts.expires_at == held.ends_at
        }
        (Some(_), None) => false,
    }
}
