//! What befalls the nodes and the database of a world, by seed.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::adapters::set_cut;
use crate::database::State;
use crate::people;
use crate::planted::Planted;
use crate::process::{Process, TRUST};
use crate::wire::Topic;
use crate::world::{SLOTS, World};

/// Starts a process on a node, with somebody who ends again what the database lost.
pub(crate) fn start(world: &Rc<World>, slot: usize) -> Rc<Process> {
    let process = world.start(slot);
    spawn_local(people::replay(Rc::clone(world), Rc::clone(&process)));
    process
}

/// Mostly short, sometimes longer than trust, sometimes longer than anybody waits.
fn span(world: &World) -> Duration {
    let most = match world.random.below(10) {
        0..=4 => Duration::from_millis(600),
        5..=7 => TRUST * 3 / 2,
        _ => TRUST * 3,
    };
    world.random.between(Duration::from_millis(20), most)
}

/// What befalls processes. Each kind has a task of its own, so that they overlap.
pub(crate) async fn stop(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(5)).await;
        let Some(process) = world.any_process().filter(|process| process.runs()) else { continue };
        world.note(process.place.process, "stopped");
        process.stop();
        sleep(span(&world)).await;
        process.go_on();
    }
}

pub(crate) async fn crash(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(14)).await;
        let Some(process) = world.any_process() else { continue };
        if world.random.once_in(4) {
            world.note(process.place.process, "left");
            process.leave();
            world.pause(Duration::from_secs(2)).await;
        } else {
            world.note(process.place.process, "killed");
        }
        process.kill();
        world.pause(Duration::from_secs(3)).await;
        start(&world, process.place.slot);
    }
}

/// A process stops; another takes its place; the first goes on for a while.
pub(crate) async fn replace(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(18)).await;
        let Some(process) = world.any_process().filter(|process| process.runs()) else { continue };
        world.note(process.place.process, "replaced");
        process.stop();
        world.pause(Duration::from_millis(900)).await;
        start(&world, process.place.slot);
        world.pause(Duration::from_secs(2)).await;
        process.go_on();
        world.pause(Duration::from_secs(3)).await;
        process.kill();
    }
}

pub(crate) async fn cut(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(6)).await;
        let Some(process) = world.any_process() else { continue };
        world.note(process.place.process, "cut off");
        set_cut(&process.wire, true);
        sleep(span(&world)).await;
        set_cut(&process.wire, false);
        // The line is found again, and says so.
        process.wire.listener.news.notify_one();
    }
}

/// The part that reads the feed is stuck; beats are fine.
pub(crate) async fn wedge(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(8)).await;
        let Some(process) = world.any_process() else { continue };
        world.note(process.place.process, "stuck");
        process.wire.hold_entries.hold();
        sleep(span(&world)).await;
        process.wire.hold_entries.release();
    }
}

pub(crate) async fn evict(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(3)).await;
        if let Some(process) = world.any_process() {
            process.verifier.drop_everything();
        }
    }
}

/// A standby lags behind, and entries of the feed are removed.
pub(crate) async fn tend(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(2)).await;
        let mut server = world.shared.server.lock();
        let copy = Box::new(server.state.clone());
        server.standby = Some(copy);
        drop(server);
        if world.random.once_in(5) {
            let keep = 1 + world.random.index(6);
            world.shared.server.lock().prune(keep);
        }
    }
}

/// The database restarts, or another takes over: with everything, or without the last commits.
pub(crate) async fn restart(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(16)).await;
        let kind = world.random.below(3);
        let stays_back = (kind == 2).then(|| world.shared.server.lock().state.clone());
        if stays_back.is_some() {
            world.pause(Duration::from_millis(1_500)).await;
        }
        world.shared.server.lock().go_down();
        let down = if world.random.once_in(3) { span(&world) } else { Duration::from_millis(150) };
        sleep(down).await;
        match (kind, stays_back) {
            (_, Some(state)) => lose(&world, state),
            (1, None) => {
                world.note(SLOTS, "failed over");
                let mut server = world.shared.server.lock();
                let state = server.state.clone();
                server.fail_over_to(state);
            }
            _ => forget_draws(&world),
        }
        world.shared.server.lock().come_up();
        world.shared.notify(Topic::News);
    }
}

/// A restart. Draws are not flushed with their commit; a planted fault makes the database forget them all.
fn forget_draws(world: &World) {
    world.note(SLOTS, "restarted");
    if world.shared.planted == Planted::AuthorityForgets {
        world.shared.server.lock().state.budgets.clear();
    }
}

/// A standby takes over that has not received the last commits.
pub(crate) fn lose(world: &World, state: State) {
    world.note(SLOTS, "failed over with loss");
    let mut server = world.shared.server.lock();
    let cut = state.path.len() - 1;
    let lost = server.state.path[cut + 1..].to_vec();
    server.fail_over_to(state);
    server.branch += 1;
    let prefixes = server.state.prefixes.clone();
    drop(server);
    // Whoever mints with a prefix makes sure that it is stored; here they go back to the first.
    if !prefixes.contains(&world.prefix.borrow()) {
        world.prefix.borrow_mut().clone_from(&prefixes[0]);
    }
    world.oracle.lost(cut, &lost);
    world.revisions.borrow_mut().clear();
    world.keys.borrow_mut().retain(|key| {
        let known = |version: &crate::database::Version| version.by_digest.contains_key(&key.digest);
        known(&world.shared.server.lock().state.now) || lost.iter().any(|version| known(version))
    });
}

/// The planted stepping clock.
pub(crate) async fn step_database_clock(world: Rc<World>) {
    loop {
        world.pause(Duration::from_secs(8)).await;
        world.shared.database_clock.step(5_000);
        world.pause(Duration::from_secs(3)).await;
        world.shared.database_clock.step(-5_000);
    }
}
