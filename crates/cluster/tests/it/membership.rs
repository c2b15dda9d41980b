//! Who is on the list, and how a node loses its place there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::node::BeatMark;
use rndrkit_domain::time::Clock as _;

use crate::database::Database;
use crate::line::{Call, FakeLine};
use crate::node::{Node, TRUST, pass, switch};

fn joins(node: &Node) -> usize {
    node.line.count(|call| matches!(call, Call::Register(_)))
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_taken_off_joins_anew_and_keeps_what_it_holds() {
    let database = Database::new();
    database.commit(FeedKind::Plans);
    let node = Node::settled(&database).await;
    let before = node.incarnation().unwrap();
    database.stored.lock().nodes.clear();
    let number = database.commit(FeedKind::Tokens);
    pass(1_500).await;
    let after = node.incarnation().unwrap();
    assert_ne!(before, after);
    assert!(node.verifier.is_trusted());
    assert_eq!(node.verifier.applied(), number);
    let read_from_its_place = node.line.count(|call| *call == Call::Entries(1));
    assert!(read_from_its_place > 0, "it follows on from where it was");
    assert_eq!(database.stored.lock().nodes.keys().copied().collect::<Vec<_>>(), [after]);
}

#[tokio::test(start_paused = true)]
async fn between_being_taken_off_and_joining_anew_nothing_is_believed() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    database.stored.lock().nodes.clear();
    *node.line.answer_takes.lock() = Duration::from_millis(400);
    // The beat is refused; then the node joins, which takes 400 ms, and beats once more.
    let mut refused_for = Duration::ZERO;
    for _ in 0..300 {
        pass(10).await;
        if !node.verifier.is_trusted() {
            refused_for += Duration::from_millis(10);
        }
    }
    assert!(refused_for >= Duration::from_millis(800), "{refused_for:?}");
    assert!(node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn of_two_that_run_under_one_incarnation_one_is_thrown_out() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let shared = node.incarnation().unwrap();
    // A copy of the process beats under the same incarnation.
    database.beat_row(shared, 0);
    pass(1_200).await;
    let own = node.incarnation().unwrap();
    assert_ne!(own, shared);
    let listed: Vec<_> = database.stored.lock().nodes.keys().copied().collect();
    assert!(listed.contains(&own) && listed.contains(&shared), "the copy's row is not this node's to take");
}

#[tokio::test(start_paused = true)]
async fn a_beat_whose_answer_was_lost_costs_nobody_his_place() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let before = node.incarnation();
    node.line.lost_answers.store(1, Ordering::SeqCst);
    pass(1_500).await;
    // One that was stored, and after it two that were not: the stored one is neither the last answered nor
    // the last sent.
    node.line.lost_answers.store(1, Ordering::SeqCst);
    while node.line.lost_answers.load(Ordering::SeqCst) > 0 {
        pass(1).await;
    }
    node.line.lost_calls.store(2, Ordering::SeqCst);
    pass(3_000).await;
    assert_eq!(node.incarnation(), before);
    assert_eq!(joins(&node), 1);
    assert!(node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn while_it_finds_out_whether_it_is_off_the_list_nothing_is_believed() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let before = node.incarnation();
    node.line.lost_calls.store(2, Ordering::SeqCst);
    while node.line.lost_calls.load(Ordering::SeqCst) > 0 {
        pass(1).await;
    }
    database.stored.lock().nodes.clear();
    *node.line.answer_takes.lock() = Duration::from_millis(400);
    // Refused after 400 ms; one of its beats that were lost may be the stored one, so it asks once more.
    pass(600).await;
    assert_eq!(node.incarnation(), before);
    assert!(!node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn a_repeated_beat_is_another_beat() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    node.line.lost_answers.store(3, Ordering::SeqCst);
    pass(3_000).await;
    let mut marks: Vec<BeatMark> = Vec::new();
    for (_, call) in &*node.line.calls.lock() {
        if let Call::Beat(beat) = call {
            assert!(!marks.contains(&beat.next), "to the others this would look like silence");
            marks.push(beat.next);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_taken_off_after_the_longest_wait_of_its_own_trust_and_not_before() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let short = database.add_row("short", TRUST, 0);
    let long = database.add_row("long", TRUST * 6, 0);
    let listed = |wanted| database.stored.lock().nodes.contains_key(&wanted);
    pass(6_990).await;
    assert!(listed(short));
    pass(1_020).await;
    assert!(!listed(short));
    pass(29_000).await;
    assert!(listed(long));
    pass(3_000).await;
    assert!(!listed(long));
    assert!(node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_beats_at_the_last_moment_stays() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = database.add_row("late", TRUST, 0);
    let late = database.clone();
    *node.line.before_reap.lock() = Some(Box::new(move || late.beat_row(other, 0)));
    pass(9_000).await;
    assert_eq!(node.line.count(|call| *call == Call::Reap(other, false)), 1);
    assert!(database.stored.lock().nodes.contains_key(&other));
    pass(8_100).await;
    assert!(!database.stored.lock().nodes.contains_key(&other), "silent again, and counted anew");
}

#[tokio::test(start_paused = true)]
async fn joining_that_nobody_answered_leaves_no_row_behind() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    line.lost_answers.store(3, Ordering::SeqCst);
    let node = Node::start_over(&database, line, TRUST);
    pass(1_000).await;
    assert_eq!(joins(&node), 4);
    assert_eq!(
        database.stored.lock().nodes.keys().copied().collect::<Vec<_>>(),
        [node.incarnation().unwrap()]
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_while_it_joins_leaves_no_row_behind() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    *line.answer_takes.lock() = Duration::from_millis(500);
    let node = Node::start_over(&database, line, TRUST);
    pass(100).await;
    assert_eq!(database.stored.lock().nodes.len(), 1);
    node.stop().await;
    assert!(database.stored.lock().nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_takes_away_the_rows_of_attempts_that_nobody_answered() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    line.lost_answers.store(100, Ordering::SeqCst);
    let node = Node::start_over(&database, line, TRUST);
    while database.copy().nodes.len() < 3 {
        pass(1).await;
    }
    node.line.lost_answers.store(0, Ordering::SeqCst);
    node.stop().await;
    assert_eq!(database.copy().nodes.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_does_not_tidy_up_for_long() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    line.lost_answers.store(100, Ordering::SeqCst);
    let node = Node::start_over(&database, line, TRUST);
    while database.copy().nodes.len() < 3 {
        pass(1).await;
    }
    node.line.lost_answers.store(0, Ordering::SeqCst);
    *node.line.answer_takes.lock() = Duration::from_millis(700);
    let before = database.clock.monotonic();
    node.stop().await;
    assert!(database.clock.monotonic().since(before) < Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_become_rarer_and_no_rarer_than_beats() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    switch(&node.line.cut, true);
    let before = node.beats();
    pass(10_000).await;
    let attempts = node.beats() - before;
    assert!((10..=16).contains(&attempts), "{attempts}");
}
