//! Those who use the nodes: callers with a secret, and people who change things and believe what they are told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::node::longest_wait;
use rndrkit_verifier::Ask;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::database::{Change, Changed, Plan};
use crate::inspection;
use crate::oracle::Known;
use crate::planted::Planted;
use crate::process::{Process, TRUST};
use crate::wire::Topic;
use crate::world::{HeldKey, World};

/// How long a change waits for the database at each attempt.
const CHANGE_DEADLINE: Duration = Duration::from_secs(2);
/// Attempts to learn what became of a change.
const CHANGE_ATTEMPTS: u32 = 3;
/// Requests between two looks into the memory of a node.
const REQUESTS_PER_INSPECTION: u64 = 4;

/// Asks for ever, each time a process of this node.
pub(crate) async fn call(world: Rc<World>, slot: usize) {
    loop {
        world.pause(Duration::from_millis(70)).await;
        let on = world.on(slot);
        if on.is_empty() {
            continue;
        }
        let process = Rc::clone(&on[world.random.index(on.len())]);
        let key = world.any_key();
        // Half of them only look: when nothing can be drawn, those show what would pass.
        let cost = u32::from(world.random.once_in(2));
        ask(&world, &process, &key, cost).await;
        if world.random.once_in(REQUESTS_PER_INSPECTION) {
            inspection::inspect(&world, &process);
        }
    }
}

/// One request, judged at the moment of its answer.
pub(crate) async fn ask(
    world: &Rc<World>,
    process: &Rc<Process>,
    key: &HeldKey,
    cost: u32,
) -> Option<&'static str> {
    let begun = world.oracle.begin(&key.digest);
    let answer = process.gate.run(async {
        let ask = Ask { secret: key.text.as_bytes(), cost, client: None };
        let code = process.verifier.verify(&ask).await.decision.code();
        world.oracle.judge(&begun, key, (code, cost), &process.wire);
        code
    });
    let code = answer.await;
    world.note(process.place.process, code.unwrap_or("ended"));
    code
}

/// Changes things for ever.
pub(crate) async fn change(world: Rc<World>, actor: usize) {
    loop {
        world.pause(Duration::from_millis(1_600)).await;
        let Some(process) = world.any_process() else { continue };
        let (change, held) = any_change(&world, actor);
        if world.random.once_in(6) {
            // The same, somewhere else, at the same time.
            if let Some(other) = world.any_process() {
                spawn_local(carry_out(Rc::clone(&world), other, change.clone(), held.clone()));
            }
        }
        let done = carry_out(Rc::clone(&world), process, change.clone(), held.clone()).await;
        // Whoever got no answer asks again; and some do who got one.
        if (!done || world.random.once_in(4))
            && let Some(other) = world.any_process()
        {
            carry_out(Rc::clone(&world), other, change, held).await;
        }
    }
}

fn any_change(world: &World, actor: usize) -> (Change, Vec<HeldKey>) {
    let account = world.any_account();
    match world.random.below(20) {
        0..=7 => (Change::Revoke(world.any_key().id), Vec::new()),
        8..=12 => {
            let secrets = 1 + world.random.index(2);
            let in_ms = 500 + world.random.below(6_000);
            let ends = world.random.once_in(4);
            let end = ends.then(|| world.shared.database_clock.now().plus(Duration::from_millis(in_ms)));
            let (held, stored) = world.new_key(account, secrets, end);
            (Change::Create(held[0].id, stored), held)
        }
        13 => (Change::SetStatus(account, AccountStatus::Suspended), Vec::new()),
        14 => (Change::SetStatus(account, AccountStatus::Active), Vec::new()),
        15 => (Change::SetPlan(account, Plan::Starter), Vec::new()),
        16 | 17 => (Change::SetPlan(account, Plan::Agency), Vec::new()),
        18 => (Change::SetPlan(account, Plan::AgencyPlus), Vec::new()),
        _ => {
            let text = format!("p{actor}x{}_", world.random.below(1_000));
            (Change::AddPrefix(KeyPrefix::parse(&text).unwrap()), Vec::new())
        }
    }
}

/// One call of the operator API on one process; whether it was answered.
pub(crate) async fn carry_out(
    world: Rc<World>,
    process: Rc<Process>,
    change: Change,
    held: Vec<HeldKey>,
) -> bool {
    let answered = process.gate.run(answer(&world, &process, &change)).await.flatten();
    let Some(known) = answered else {
        world.note(process.place.process, "change not answered");
        return false;
    };
    match &change {
        Change::Create(_, stored) => {
            world.oracle.created(known, &stored.digests);
            let mut keys = world.keys.borrow_mut();
            if !keys.iter().any(|key| key.id == held[0].id) {
                keys.extend(held);
            }
        }
        Change::AddPrefix(prefix) => {
            let is_there = world.shared.server.lock().state.prefixes.contains(prefix);
            if is_there {
                *world.prefix.borrow_mut() = prefix.clone();
            }
            world.oracle.answered(known);
        }
        Change::Revoke(_) => {
            world.oracle.answered(known);
            world.count("revocations answered", 1);
        }
        _ => world.oracle.answered(known),
    }
    world.note(process.place.process, "change answered");
    true
}

/// Commits and waits, as the operations of the product do.
async fn answer(world: &Rc<World>, process: &Rc<Process>, change: &Change) -> Option<Known> {
    let (known, repeated) = commit(world, process, change).await?;
    let known_at = world.shared.real.now();
    // A new random secret is in nobody's memory: its create waits for nobody.
    if matches!(change, Change::Create(..)) {
        process.handle.nudge();
        return Some(known);
    }
    if repeated && world.shared.planted == Planted::RepeatAnswersAtOnce {
        return Some(known);
    }
    let confirmed = process.waiter.confirm(known.number).await.ok()?;
    let took = world.shared.real.since(known_at);
    if confirmed.nodes_expired > 0 {
        world.count("nodes waited out", u64::from(confirmed.nodes_expired));
    }
    world.count("confirmations by nodes", u64::from(confirmed.nodes_confirmed));
    // I7: a known commit is answered within the longest wait, by the clock of a process that ran all the time.
    let most = process.clock.real_span(longest_wait(TRUST)) + Duration::from_millis(300);
    let ran = process.last_stop.get().is_none_or(|at| at < known_at);
    assert!(!ran || took <= most, "a change waited {took:?}, at most {most:?} are allowed");
    Some(known)
}

/// The number that the change is in force from, and whether nothing was left to do.
async fn commit(world: &Rc<World>, process: &Rc<Process>, change: &Change) -> Option<(Known, bool)> {
    for _ in 0..CHANGE_ATTEMPTS {
        // All of these may be asked for twice: what was done is found done.
        match commit_once(world, process, change).await {
            Ok((Changed::At { number, repeated }, branch)) => {
                return Some((Known { number, branch }, repeated));
            }
            Ok((Changed::Refused, _)) => return None,
            Err(()) => sleep(Duration::from_millis(100)).await,
        }
    }
    None
}

async fn commit_once(
    world: &Rc<World>,
    process: &Rc<Process>,
    change: &Change,
) -> Result<(Changed, u64), ()> {
    let (asked, shared) = (change.clone(), Arc::clone(&world.shared));
    if world.shared.planted == Planted::NumbersFromASequence {
        return commit_in_two_steps(world, process, change).await;
    }
    let wire = &process.wire;
    let changed = wire
        .ask(CHANGE_DEADLINE, move |server| {
            let changed = server.change(&asked, shared.real.now());
            Ok((changed, server.branch))
        })
        .await;
    world.shared.notify(Topic::News);
    changed.map_err(|_| ())
}

/// The planted way: the number first, and the commit some time later.
async fn commit_in_two_steps(
    world: &Rc<World>,
    process: &Rc<Process>,
    change: &Change,
) -> Result<(Changed, u64), ()> {
    let (asked, shared) = (change.clone(), Arc::clone(&world.shared));
    let begin = process.wire.ask(CHANGE_DEADLINE, |server| Ok(server.take_number()));
    let number = begin.await.map_err(|_| ())?;
    world.pause(Duration::from_millis(400)).await;
    let commit = process.wire.ask(CHANGE_DEADLINE, move |server| {
        if let Some(already) = server.state.as_it_is(&asked) {
            return Ok((already, server.branch));
        }
        server.commit(&asked, number, shared.real.now());
        Ok((Changed::At { number, repeated: false }, server.branch))
    });
    let changed = commit.await;
    world.shared.notify(Topic::News);
    changed.map_err(|_| ())
}

/// Ends again the keys whose end a process remembers when the database has lost it.
pub(crate) async fn replay(world: Rc<World>, process: Rc<Process>) {
    loop {
        let Some(lost) = process.gate.run(process.handle.lost_history()).await else { return };
        world.note(process.place.process, "history lost");
        for key in lost.revoked {
            carry_out(Rc::clone(&world), Rc::clone(&process), Change::Revoke(key), Vec::new()).await;
        }
    }
}
