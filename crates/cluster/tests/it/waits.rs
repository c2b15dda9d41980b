//! How long a change waits, and for whom.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_cluster::{Confirmed, WaitError};
use rndrkit_domain::feed::FeedKind;

use crate::database::Database;
use crate::line::FakeLine;
use crate::node::{Node, TRUST, WAIT, pass, switch};

fn counts(confirmed: Confirmed) -> (u32, u32) {
    (confirmed.nodes_confirmed, confirmed.nodes_expired)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[tokio::test(start_paused = true)]
async fn healthy_nodes_confirm_at_once() {
    let database = Database::new();
    let nodes = [Node::start(&database), Node::start(&database), Node::settled(&database).await];
    let number = database.commit(FeedKind::Plans);
    let confirmed = nodes[0].confirm(number).await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (3, 0));
    assert!(confirmed.took < ms(20), "{:?}", confirmed.took);
    assert!(nodes.iter().all(|node| node.verifier.applied() >= number));
}

#[tokio::test(start_paused = true)]
async fn the_own_node_counts_only_once_it_has_applied_the_change() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    switch(&node.line.wedged, true);
    let number = database.commit(FeedKind::Plans);
    let wait = node.confirm(number);
    pass(3_000).await;
    // Its row says so (as one of another history could), its verifier has not.
    database.beat_row(node.incarnation().unwrap(), number);
    pass(500).await;
    assert!(!wait.is_finished());
    switch(&node.line.wedged, false);
    let confirmed = wait.await.unwrap().unwrap();
    assert!(confirmed.took < WAIT && confirmed.took >= ms(3_500));
    assert!(node.verifier.applied() >= number);
}

#[tokio::test(start_paused = true)]
async fn with_a_dead_database_it_answers_after_the_longest_wait_and_not_before() {
    let database = Database::new();
    let nodes = [Node::start(&database), Node::settled(&database).await];
    switch(&database.silent, true);
    let number = database.commit(FeedKind::Plans);
    switch(&database.dead, true);
    let confirmed = nodes[0].confirm(number).await.unwrap().unwrap();
    assert!(confirmed.took >= WAIT && confirmed.took < WAIT + ms(20), "{:?}", confirmed.took);
    assert_eq!(counts(confirmed), (0, 2));
    assert!(nodes.iter().all(|node| !node.verifier.is_trusted()));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_dies_after_the_list_was_read_changes_nothing_about_that() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    database.add_row("other", TRUST, 0);
    let number = database.commit(FeedKind::Plans);
    let wait = node.confirm(number);
    pass(100).await;
    switch(&database.dead, true);
    let confirmed = wait.await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (1, 1));
    assert!(confirmed.took >= WAIT && confirmed.took < WAIT + ms(20), "{:?}", confirmed.took);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_fails_is_tried_again() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let number = database.commit(FeedKind::Plans);
    database.roster_failures.store(5, Ordering::SeqCst);
    let confirmed = node.confirm(number).await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (1, 0));
    assert!(confirmed.took < ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_waited_for_until_it_speaks() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = database.add_row("other", TRUST, 0);
    let number = database.commit(FeedKind::Plans);
    let wait = node.confirm(number);
    pass(2_000).await;
    database.beat_row(other, number - 1);
    pass(1_000).await;
    assert!(!wait.is_finished(), "alive is not applied");
    database.beat_row(other, number);
    let confirmed = wait.await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (2, 0));
    assert!(confirmed.took < ms(3_020), "{:?}", confirmed.took);
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_waited_out_once_and_later_changes_do_not_wait_for_it() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = Node::start(&database);
    pass(1_000).await;
    other.kill();
    pass(3_000).await;
    let confirmed = node.confirm(database.commit(FeedKind::Plans)).await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (1, 1));
    assert!(confirmed.took >= ms(3_000) && confirmed.took < ms(6_000), "{:?}", confirmed.took);
    let confirmed = node.confirm(database.commit(FeedKind::Plans)).await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (1, 0));
    assert!(confirmed.took < ms(50));
}

#[tokio::test(start_paused = true)]
async fn a_beat_that_is_under_way_for_long_is_not_mistaken_for_a_dead_node() {
    let database = Database::new();
    let line = FakeLine::new(&database);
    let node = Node::start_over(&database, line, TRUST);
    pass(8_000).await;
    let other = database.add_row("other", TRUST, 0);
    // Nobody can take the row off the list.
    pass(6_900).await;
    switch(&node.line.cut, true);
    let number = database.write(FeedKind::Plans, None);
    let wait = node.confirm(number);
    // Unchanged for longer than the longest wait; yet the node may have sent a beat just before the commit,
    // which the database answers only now and which is worth five seconds.
    pass(2_000).await;
    assert!(!wait.is_finished());
    database.beat_row(other, 0);
    pass(4_000).await;
    assert!(!wait.is_finished());
    let confirmed = wait.await.unwrap().unwrap();
    assert!(confirmed.took >= WAIT);
}

#[tokio::test(start_paused = true)]
async fn who_joins_after_the_commit_is_not_waited_for() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    switch(&node.line.wedged, true);
    let number = database.commit(FeedKind::Plans);
    let wait = node.confirm(number);
    pass(500).await;
    database.add_row("late", TRUST, 0);
    switch(&node.line.wedged, false);
    let confirmed = wait.await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (1, 0));
    assert!(confirmed.took < ms(2_500), "{:?}", confirmed.took);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_waits_for_the_change_that_it_finds() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = database.add_row("other", TRUST, 0);
    let number = database.commit(FeedKind::Plans);
    pass(1_000).await;
    let wait = node.confirm(number);
    pass(1_000).await;
    assert!(!wait.is_finished());
    database.beat_row(other, number);
    assert_eq!(counts(wait.await.unwrap().unwrap()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn in_a_history_that_is_new_to_it_a_process_waits_for_nodes_that_the_list_has_lost() {
    let database = Database::new();
    let node = Node::start(&database);
    pass(1_000).await;
    let confirmed = node.confirm(database.commit(FeedKind::Plans)).await.unwrap().unwrap();
    assert!(confirmed.took > ms(5_900) && confirmed.took <= ms(6_010), "{:?}", confirmed.took);
    assert_eq!(counts(confirmed), (1, 0));

    database.stored.lock().timeline.number += 1;
    let confirmed = node.confirm(database.commit(FeedKind::Plans)).await.unwrap().unwrap();
    assert!(confirmed.took >= ms(6_900) && confirmed.took <= ms(7_010), "{:?}", confirmed.took);
    let confirmed = node.confirm(database.commit(FeedKind::Plans)).await.unwrap().unwrap();
    assert!(confirmed.took < ms(50));
}

#[tokio::test(start_paused = true)]
async fn after_changes_were_lost_it_waits_for_nodes_that_the_list_has_lost() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let copy = database.copy();
    database.commit(FeedKind::Plans);
    pass(50).await;
    database.restore(copy);
    node.handle.lost_history().await;
    pass(500).await;
    let confirmed = node.confirm(database.commit(FeedKind::Plans)).await.unwrap().unwrap();
    assert!(confirmed.took > ms(6_000), "{:?}", confirmed.took);
}

#[tokio::test(start_paused = true)]
async fn a_list_without_the_own_row_is_not_believed() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    for _ in 0..5 {
        database.commit(FeedKind::Plans);
    }
    pass(100).await;
    // A copy from before this node joined takes the place of the database, and the node cannot see it yet.
    // A change there has a number that was applied here long ago.
    switch(&node.line.cut, true);
    let mut copy = database.copy();
    copy.nodes.clear();
    copy.feed.truncate(2);
    database.restore(copy);
    let number = database.write(FeedKind::Plans, None);
    assert!(node.verifier.applied() >= number && node.verifier.is_trusted());
    let wait = node.confirm(number);
    pass(3_000).await;
    assert!(!wait.is_finished());
    wait.await.unwrap().unwrap();
    assert!(!node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn the_longest_trust_of_all_decides_how_long() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    database.add_row("long", TRUST * 6, 0);
    pass(1_100).await;
    switch(&database.dead, true);
    let confirmed = node.confirm(1).await.unwrap().unwrap();
    assert!(confirmed.took >= ms(38_000) && confirmed.took < ms(38_050), "{:?}", confirmed.took);
}

#[tokio::test(start_paused = true)]
async fn who_has_never_read_the_list_says_that_he_does_not_know() {
    let database = Database::new();
    switch(&database.dead, true);
    let node = Node::start(&database);
    assert_eq!(node.confirm(1).await.unwrap(), Err(WaitError::NodesUnknown));
}

#[tokio::test(start_paused = true)]
async fn who_was_off_the_list_and_cannot_read_it_does_not_know_who_came_meanwhile() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = Node::settled(&database).await;
    // This node's own line is broken, the way to change something is not.
    switch(&node.line.cut, true);
    pass(8_000).await;
    assert!(!database.stored.lock().nodes.contains_key(&node.incarnation().unwrap()));
    let patient = Node::start_with(&database, TRUST * 6);
    // By its second beat the other knows how long to wait for it. This one does not.
    pass(20_000).await;
    assert!(patient.verifier.is_trusted());
    switch(&patient.line.cut, true);
    let number = database.commit(FeedKind::Plans);
    database.roster_failures.store(1_000_000, Ordering::SeqCst);
    assert_eq!(node.confirm(number).await.unwrap(), Err(WaitError::NodesUnknown));
    assert!(patient.verifier.is_trusted(), "what was waited for is over");
    database.roster_failures.store(0, Ordering::SeqCst);
    let confirmed = node.confirm(number).await.unwrap().unwrap();
    assert_eq!(counts(confirmed), (1, 1));
    assert!(!patient.verifier.is_trusted());
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn many_waits_at_once_share_what_they_read() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = database.add_row("other", TRUST, 0);
    let number = database.commit(FeedKind::Plans);
    pass(50).await;
    let before = database.roster_reads.load(Ordering::SeqCst);
    let waits: Vec<_> = (0..500).map(|_| node.confirm(number)).collect();
    pass(5_000).await;
    let reads = database.roster_reads.load(Ordering::SeqCst) - before;
    assert!(reads <= 50, "{reads}");
    database.beat_row(other, number);
    for wait in waits {
        let confirmed = wait.await.unwrap().unwrap();
        assert_eq!(counts(confirmed), (2, 0));
        assert!(confirmed.took < ms(5_300), "{:?}", confirmed.took);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_that_need_the_list_no_more_keep_nobody_from_reading_it() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let earlier = database.commit(FeedKind::Plans);
    pass(100).await;
    switch(&node.line.wedged, true);
    let number = database.commit(FeedKind::Plans);
    // The list says that all have applied it; the own verifier has not. One of these reads, the others queue.
    database.beat_row(node.incarnation().unwrap(), number);
    let waits: Vec<_> = (0..5).map(|_| node.confirm(number)).collect();
    pass(20).await;
    let repeated = node.confirm(earlier).await.unwrap().unwrap();
    assert!(repeated.took < ms(20), "{:?}", repeated.took);
    assert!(waits.iter().all(|wait| !wait.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_holds_nobody_up() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let other = database.add_row("other", TRUST, 0);
    let number = database.commit(FeedKind::Plans);
    let dropped = node.confirm(number);
    let kept = node.confirm(number);
    pass(100).await;
    dropped.abort();
    pass(100).await;
    database.beat_row(other, number);
    let confirmed = kept.await.unwrap().unwrap();
    assert!(confirmed.took < ms(500));
}
