//! Schedules for what seeds meet too rarely, and for single rules. Lines are steady here: a millisecond each way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::node::longest_wait;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::adapters::set_cut;
use crate::database::{Change, Plan};
use crate::people::{self, carry_out};
use crate::planted::Planted;
use crate::process::{BEAT, Process, TRUST};
use crate::storms;
use crate::world::{HeldKey, World};
use crate::{in_a_world, inspection};

const SHORT: Duration = Duration::from_millis(20);

async fn steady(nodes: usize) -> (Rc<World>, Vec<Rc<Process>>) {
    let world = World::new(7, Planted::wished(), false);
    let processes: Vec<Rc<Process>> = (0..nodes).map(|slot| storms::start(&world, slot)).collect();
    // Until nothing is left of the wait that follows a start.
    sleep(longest_wait(TRUST) * 2).await;
    for process in &processes {
        assert!(process.verifier.is_trusted(), "process {} does not trust", process.place.process);
    }
    (world, processes)
}

fn key(world: &World, place: usize) -> HeldKey {
    world.keys.borrow()[place].clone()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..200_000 {
        if condition() {
            return;
        }
        sleep(Duration::from_micros(200)).await;
    }
    panic!("this never came true: {what}");
}

async fn revoke(world: &Rc<World>, process: &Rc<Process>, key: &HeldKey) {
    let done = carry_out(Rc::clone(world), Rc::clone(process), Change::Revoke(key.id), Vec::new()).await;
    assert!(done, "the revocation was not answered");
}

/// Looks without spending: what has been drawn or not shall not hide what would pass.
async fn ask(world: &Rc<World>, process: &Rc<Process>, key: &HeldKey) -> Option<&'static str> {
    people::ask(world, process, key, 0).await
}

fn ask_later(world: &Rc<World>, process: &Rc<Process>, key: &HeldKey) -> JoinHandle<Option<&'static str>> {
    let (world, process, key) = (Rc::clone(world), Rc::clone(process), key.clone());
    spawn_local(async move { ask(&world, &process, &key).await })
}

#[test]
fn a_request_that_joins_a_look_up_from_before_the_revocation_is_refused() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        nodes[1].wire.hold_loads.hold();
        let early = ask_later(&world, &nodes[1], &held);
        sleep(SHORT).await;
        revoke(&world, &nodes[0], &held).await;
        let late = ask_later(&world, &nodes[1], &held);
        sleep(SHORT).await;
        nodes[1].wire.hold_loads.release();
        assert_eq!(late.await.unwrap(), Some("key_revoked"));
        early.await.unwrap();
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("key_revoked"));
    });
}

#[test]
fn a_process_that_was_replaced_while_stopped_accepts_nothing_that_was_deleted_meanwhile() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("valid"));
        nodes[1].stop();
        let twin = storms::start(&world, 1);
        until("the twin trusts", || twin.verifier.is_trusted()).await;
        revoke(&world, &nodes[0], &held).await;
        nodes[1].go_on();
        let code = ask(&world, &nodes[1], &held).await;
        assert!(matches!(code, Some("unavailable" | "key_revoked")), "{code:?}");
    });
}

#[test]
fn a_row_whose_node_has_come_back_is_not_taken_away() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        nodes[0].wire.hold_reaps.hold();
        set_cut(&nodes[1].wire, true);
        until("the other would take the row away", || nodes[0].wire.hold_reaps.has_held()).await;
        set_cut(&nodes[1].wire, false);
        until("it trusts again", || nodes[1].verifier.is_trusted()).await;
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("valid"));
        nodes[0].wire.hold_reaps.release();
        sleep(SHORT / 4).await;
        set_cut(&nodes[1].wire, true);
        revoke(&world, &nodes[0], &held).await;
        let code = ask(&world, &nodes[1], &held).await;
        assert_ne!(code, Some("valid"));
    });
}

#[test]
fn a_node_that_is_cut_off_is_waited_out_and_then_accepts_nothing() {
    in_a_world(async {
        let (world, nodes) = steady(3).await;
        let held = key(&world, 0);
        assert_eq!(ask(&world, &nodes[2], &held).await, Some("valid"));
        set_cut(&nodes[2].wire, true);
        let began = world.shared.real.now();
        revoke(&world, &nodes[1], &held).await;
        assert!(world.shared.real.since(began) > TRUST, "nobody can know that after so short a time");
        assert_eq!(ask(&world, &nodes[2], &held).await, Some("unavailable"));
        set_cut(&nodes[2].wire, false);
        until("it trusts again", || nodes[2].verifier.is_trusted()).await;
        assert_eq!(ask(&world, &nodes[2], &held).await, Some("key_revoked"));
    });
}

#[test]
fn a_repeated_revocation_waits_for_the_node_that_the_first_one_waits_for() {
    in_a_world(async {
        let (world, nodes) = steady(3).await;
        let held = key(&world, 0);
        assert_eq!(ask(&world, &nodes[2], &held).await, Some("valid"));
        set_cut(&nodes[2].wire, true);
        let first = spawn_local(carry_out(
            Rc::clone(&world),
            Rc::clone(&nodes[0]),
            Change::Revoke(held.id),
            Vec::new(),
        ));
        sleep(SHORT).await;
        // It dies between its commit and its answer.
        nodes[0].kill();
        assert!(!first.await.unwrap());
        revoke(&world, &nodes[1], &held).await;
        assert_ne!(ask(&world, &nodes[2], &held).await, Some("valid"));
    });
}

#[test]
fn a_node_that_joins_after_the_commit_is_not_waited_for() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        nodes[1].wire.hold_entries.hold();
        let change = Change::Revoke(held.id);
        let deleting = spawn_local(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), change, Vec::new()));
        sleep(SHORT).await;
        let rows = || world.shared.server.lock().state.nodes.len();
        let joined = storms::start(&world, 2);
        until("the new node is on the list", || rows() == 3).await;
        joined.stop();
        // Long enough for the list to be read again.
        sleep(SHORT * 20).await;
        let began = world.shared.real.now();
        nodes[1].wire.hold_entries.release();
        assert!(deleting.await.unwrap());
        assert!(world.shared.real.since(began) < BEAT * 2, "the new node was waited for");
    });
}

#[test]
fn a_delete_is_answered_although_the_database_goes_right_after_its_commit() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("valid"));
        set_cut(&nodes[1].wire, true);
        let deleting = spawn_local(carry_out(
            Rc::clone(&world),
            Rc::clone(&nodes[0]),
            Change::Revoke(held.id),
            Vec::new(),
        ));
        sleep(SHORT).await;
        world.shared.server.lock().go_down();
        assert!(deleting.await.unwrap(), "a known commit is answered without the database");
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("unavailable"));
    });
}

/// Goes back to a state without what was committed since, on a timeline of its own.
fn lose_since(world: &World, state: crate::database::State) {
    world.shared.server.lock().go_down();
    storms::lose(world, state);
    world.shared.server.lock().come_up();
}

#[test]
fn after_commits_were_lost_a_number_that_comes_back_confirms_nothing() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let (held, other) = (key(&world, 0), key(&world, 5));
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("valid"));
        let before = world.shared.server.lock().state.clone();
        let lost = Change::Revoke(other.id);
        // The deleting node never hears of what is lost: it has no reason of its own to be careful.
        nodes[0].wire.hold_entries.hold();
        spawn_local(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), lost, Vec::new()));
        // It is lost when it was applied, and before anybody could say so: the rows still know the last beats.
        until("the other has applied it", || nodes[1].verifier.applied() == 1).await;
        lose_since(&world, before);
        nodes[0].wire.hold_entries.release();
        // The other says that it has applied the number that comes back, and does not hear the answer.
        let says_so = || {
            let server = world.shared.server.lock();
            server.state.nodes.values().any(|row| row.name == "node-1" && row.applied == 1)
        };
        until("a beat of the other arrives", says_so).await;
        set_cut(&nodes[1].wire, true);
        assert_eq!(world.shared.server.lock().state.head().number, 0, "nothing has been committed since");
        revoke(&world, &nodes[0], &held).await;
        assert_ne!(ask(&world, &nodes[1], &held).await, Some("valid"));
    });
}

#[test]
fn what_was_read_of_lost_commits_is_not_believed_for_ever() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        let suspend = Change::SetStatus(held.account, AccountStatus::Suspended);
        assert!(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), suspend, Vec::new()).await);
        let before = world.shared.server.lock().state.clone();
        // It is taken back; one node reads that before it has applied it; and then it never was.
        nodes[1].wire.hold_entries.hold();
        let resume = Change::SetStatus(held.account, AccountStatus::Active);
        let resuming = spawn_local(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), resume, Vec::new()));
        sleep(SHORT).await;
        nodes[1].verifier.drop_everything();
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("valid"));
        lose_since(&world, before);
        nodes[1].wire.hold_entries.release();
        resuming.await.unwrap();
        until("it trusts again", || nodes.iter().all(|node| node.verifier.is_trusted())).await;
        revoke(&world, &nodes[0], &key(&world, 5)).await;
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("account_suspended"));
    });
}

#[test]
fn a_look_up_under_way_while_commits_are_lost_is_not_kept() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        let suspend = Change::SetStatus(held.account, AccountStatus::Suspended);
        assert!(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), suspend, Vec::new()).await);
        let before = world.shared.server.lock().state.clone();
        let resume = Change::SetStatus(held.account, AccountStatus::Active);
        let resuming = spawn_local(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), resume, Vec::new()));
        sleep(SHORT).await;
        nodes[1].verifier.drop_everything();
        nodes[1].wire.hold_loads.hold();
        let early = ask_later(&world, &nodes[1], &held);
        sleep(SHORT).await;
        lose_since(&world, before);
        // Long enough to hear of it, and not so long that the look-up is given up.
        sleep(BEAT * 2).await;
        nodes[1].wire.hold_loads.release();
        early.await.unwrap();
        resuming.await.unwrap();
        revoke(&world, &nodes[0], &key(&world, 5)).await;
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("account_suspended"));
    });
}

#[test]
fn revocations_that_the_database_lost_are_made_again() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        let before = world.shared.server.lock().state.clone();
        revoke(&world, &nodes[0], &held).await;
        lose_since(&world, before);
        let revoked = || world.shared.server.lock().state.now.key_code(&held.digest) == "key_revoked";
        assert!(!revoked());
        until("it is revoked again", revoked).await;
    });
}

#[test]
fn a_draw_by_a_lost_history_keeps_nobody_from_drawing() {
    in_a_world(async {
        let (world, nodes) = steady(2).await;
        let held = key(&world, 0);
        let before = world.shared.server.lock().state.clone();
        let larger = Change::SetPlan(held.account, Plan::AgencyPlus);
        assert!(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), larger, Vec::new()).await);
        assert_eq!(ask(&world, &nodes[1], &held).await, Some("valid"));
        let revision = || world.shared.server.lock().state.budget_revision(held.account);
        lose_since(&world, before);
        assert_eq!(revision(), None);
        // It has not heard of it yet.
        people::ask(&world, &nodes[1], &held, 1).await;
        assert_eq!(revision(), Some(2), "if it draws as what is stored is, this proves nothing");
        until("it trusts again", || nodes.iter().all(|node| node.verifier.is_trusted())).await;
        sleep(longest_wait(TRUST)).await;
        for node in &nodes {
            assert_eq!(people::ask(&world, node, &held, 1).await, Some("valid"));
        }
    });
}

#[test]
fn a_new_prefix_is_known_everywhere_once_its_change_was_answered() {
    in_a_world(async {
        let (world, nodes) = steady(3).await;
        let prefix = KeyPrefix::parse("other_").unwrap();
        let change = Change::AddPrefix(prefix);
        assert!(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), change, Vec::new()).await);
        let (held, stored) = world.new_key(world.accounts[0], 1, None);
        let create = Change::Create(held[0].id, stored);
        assert!(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), create, held.clone()).await);
        for node in &nodes {
            assert_eq!(ask(&world, node, &held[0]).await, Some("valid"));
        }
    });
}

#[test]
fn a_smaller_plan_leaves_nothing_of_the_larger_ones_budget_to_spend() {
    in_a_world(async {
        let (world, nodes) = steady(3).await;
        // The second account is on the larger plan.
        let keys: Vec<HeldKey> = (3..6).map(|place| key(&world, place)).collect();
        assert!(keys.iter().all(|held| held.account == world.accounts[1]));
        for _ in 0..20 {
            for (node, held) in nodes.iter().zip(&keys) {
                people::ask(&world, node, held, 1).await;
            }
            sleep(SHORT).await;
        }
        sleep(Duration::from_secs(2)).await;
        for (node, held) in nodes.iter().zip(&keys) {
            for _ in 0..8 {
                people::ask(&world, node, held, 1).await;
            }
        }
        let smaller = Change::SetPlan(world.accounts[1], Plan::Agency);
        assert!(carry_out(Rc::clone(&world), Rc::clone(&nodes[0]), smaller, Vec::new()).await);
        for _ in 0..60 {
            for (node, held) in nodes.iter().zip(&keys) {
                people::ask(&world, node, held, 1).await;
            }
        }
    });
}

#[test]
fn three_idle_nodes_send_one_statement_a_beat_each() {
    in_a_world(async {
        let (world, nodes) = steady(3).await;
        let sent = || world.shared.server.lock().statements.clone();
        let before = sent();
        let span = Duration::from_secs(70);
        sleep(span).await;
        let after = sent();
        for node in &nodes {
            let statements = after[&node.place.process] - before[&node.place.process];
            let beats = u64::try_from(span.as_millis() / node.clock.real_span(BEAT).as_millis()).unwrap();
            assert!(statements <= beats + 1, "{statements} statements in the time of {beats} beats");
        }
        for node in &nodes {
            inspection::inspect(&world, node);
        }
        drop(Arc::clone(&world.shared));
    });
}
