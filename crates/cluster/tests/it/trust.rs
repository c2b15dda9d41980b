//! How long a node believes what it holds.

use std::time::Duration;

use rndrkit_domain::feed::FeedKind;

use crate::database::Database;
use crate::line::{Call, FakeLine};
use crate::node::{BEAT, Node, TRUST, pass, switch};

#[tokio::test(start_paused = true)]
async fn nothing_is_believed_before_the_row_is_stored_and_a_beat_after_that_answered() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    *line.answer_takes.lock() = Duration::from_millis(300);
    let node = Node::start_over(&database, line, TRUST);
    pass(590).await;
    assert!(!node.verifier.is_trusted(), "the row is stored, and no beat was answered since");
    pass(20).await;
    assert!(node.verifier.is_trusted());
    let calls = node.line.calls.lock().clone();
    assert!(matches!(calls[0].1, Call::Register(_)));
    assert!(matches!(calls[1].1, Call::Beat(_)));
}

#[tokio::test(start_paused = true)]
async fn trust_counts_from_the_question_and_not_from_the_answer() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    *line.answer_takes.lock() = Duration::from_millis(700);
    let node = Node::start_over(&database, line, TRUST);
    // Joined after 700 ms; the first beat is sent then and answered 700 ms later.
    pass(1_410).await;
    switch(&node.line.cut, true);
    assert!(node.verifier.is_trusted());
    pass(700 + 5_000 - 1_410 - 5).await;
    assert!(node.verifier.is_trusted(), "just before the end of what the first beat is worth");
    pass(10).await;
    assert!(!node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn a_beat_is_worth_nothing_until_what_it_saw_is_applied() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    switch(&node.line.wedged, true);
    database.commit(FeedKind::Plans);
    let beats = node.beats();
    pass(3_900).await;
    assert!(node.verifier.is_trusted(), "the beats before the change are still worth something");
    pass(1_200).await;
    assert!(!node.verifier.is_trusted());
    pass(5_000).await;
    assert!(node.beats() - beats >= 9, "it goes on beating, so that nobody takes it off the list");
    assert!(!node.verifier.is_trusted());
    switch(&node.line.wedged, false);
    pass(1_100).await;
    assert_eq!(node.verifier.applied(), 1);
    assert!(node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn cut_off_it_believes_for_the_term_and_on_its_return_catches_up_first() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    switch(&node.line.cut, true);
    let number = database.commit(FeedKind::Plans);
    pass(5_100).await;
    assert!(!node.verifier.is_trusted());
    let before = node.incarnation();
    switch(&node.line.cut, false);
    while !node.verifier.is_trusted() {
        pass(1).await;
    }
    assert_eq!(node.verifier.applied(), number);
    assert_eq!(node.incarnation(), before, "it was gone for less than others wait");
}

#[tokio::test(start_paused = true)]
async fn news_are_applied_and_said_at_once_and_lost_news_cost_a_beat() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let number = database.commit(FeedKind::Plans);
    pass(5).await;
    assert_eq!(node.verifier.applied(), number);
    let said =
        |number| move |call: &Call| matches!(call, Call::Beat(beat) if beat.applied == number && beat.wakes);
    assert_eq!(node.line.count(said(number)), 1);

    switch(&database.silent, true);
    let number = database.commit(FeedKind::Plans);
    tokio::time::sleep(BEAT + Duration::from_millis(10)).await;
    assert_eq!(node.verifier.applied(), number);
    assert_eq!(node.line.count(said(number)), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_sends_one_statement_for_each_beat() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let before = node.line.calls.lock().len();
    pass(60_000).await;
    let sent = node.line.calls.lock().len() - before;
    assert!((59..=61).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_long_way_to_catch_up_costs_neither_trust_nor_the_place_on_the_list() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let before = node.incarnation();
    // Six batches of 700 ms each; while they are read, more is committed.
    *node.line.entries_take.lock() = Duration::from_millis(700);
    for _ in 0..512 * 6 {
        database.write(FeedKind::Prefixes, None);
    }
    database.tell();
    for _ in 0..100 {
        database.write(FeedKind::Tokens, None);
        pass(100).await;
        assert!(node.handle.status().last_beat.unwrap() < BEAT * 2);
        let at_end = node.verifier.applied() >= 512 * 6;
        assert!(node.verifier.is_trusted() || !at_end);
    }
    assert!(node.verifier.is_trusted());
    assert_eq!(node.incarnation(), before);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_always_a_few_seconds_behind_believes_from_the_beats_that_it_has_caught_up_with() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    // More than two seconds behind, and little faster than what is added.
    *node.line.entries_take.lock() = Duration::from_millis(750);
    let add = |count| (0..count).for_each(|_| _ = database.write(FeedKind::Tokens, None));
    add(1_500);
    database.tell();
    for _ in 0..100 {
        add(60);
        pass(100).await;
        assert!(node.verifier.is_trusted());
    }
    let head = database.stored.lock().head().number;
    assert!(head - node.verifier.applied() > 600, "it is still behind");
}

#[tokio::test(start_paused = true)]
async fn a_longer_trust_is_used_only_once_all_others_know_how_long_to_wait() {
    let database = Database::new();
    let other = database.add_row("short", TRUST, 0);
    let node = Node::start_with(&database, TRUST * 6);
    pass(100).await;
    let left = node.handle.status().trust_left;
    assert!(left <= TRUST && left > Duration::ZERO, "{left:?}");
    for _ in 0..2 {
        database.beat_row(other, 0);
        pass(6_050).await;
    }
    pass(6_050).await;
    assert!(node.handle.status().trust_left > TRUST);
}

#[tokio::test(start_paused = true)]
async fn on_shutdown_it_stops_deciding_before_it_leaves_the_list() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let (line, verifier) = (node.line.clone(), node.verifier.clone());
    node.stop().await;
    assert_eq!(line.calls.lock().last().map(|(_, call)| call.clone()), Some(Call::Leave(false)));
    assert!(!verifier.is_trusted());
    assert!(database.stored.lock().nodes.is_empty());
}
