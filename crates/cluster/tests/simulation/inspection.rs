//! What may be found in the memory of a node, after any step.

use std::rc::Rc;
use std::time::Duration;

use crate::planted::Planted;
use crate::process::{Process, TRUST};
use crate::world::World;

/// For this long after commits were lost, nodes may hold what is lost and not know it.
const LOSS_FORGOTTEN: Duration = Duration::from_secs(8);

/// Looks into one process.
pub(crate) fn inspect(world: &World, process: &Rc<Process>) {
    if process.gate.has_ended()
        || world.oracle.lost_within(LOSS_FORGOTTEN)
        || world.shared.planted != Planted::None
    {
        return;
    }
    if process.verifier.is_trusted() {
        check_position(world, process);
        check_row(world, process);
    }
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
        "process {} trusts at {applied}, and {due:?} is older than its term",
        process.place.process
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
