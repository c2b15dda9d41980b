//! The feed does not lead on: it was pruned, restored, or goes on elsewhere.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::key_text::{KeyPrefix, mint};
use rndrkit_verifier::Lost;
use tokio::time::timeout;

use crate::database::Database;
use crate::line::Call;
use crate::node::{Node, WAIT, pass, switch};

#[tokio::test(start_paused = true)]
async fn an_older_database_is_noticed_and_what_was_revoked_is_handed_on() {
    let database = Database::new();
    database.commit(FeedKind::Plans);
    let node = Node::settled(&database).await;
    let (kept, _) = database.revoke();
    pass(50).await;
    let copy = database.copy();
    let (gone, _) = database.revoke();
    pass(50).await;
    let before = node.incarnation();
    database.restore(copy);
    let lost = timeout(Duration::from_secs(2), node.handle.lost_history()).await.unwrap();
    assert_eq!(lost.lost, Lost::Older);
    assert_eq!(lost.revoked, [kept, gone]);
    assert!(!node.verifier.is_trusted(), "at that moment nothing is believed");
    pass(500).await;
    assert!(node.verifier.is_trusted());
    assert_ne!(node.incarnation(), before);
    assert_eq!(node.verifier.applied(), 2);
    assert!(node.handle.status().wary_for > Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_lost_the_last_change_and_made_others_is_noticed_by_the_tag() {
    let database = Database::new();
    database.commit(FeedKind::Plans);
    let node = Node::settled(&database).await;
    let copy = database.copy();
    database.commit(FeedKind::Plans);
    pass(50).await;
    switch(&node.line.cut, true);
    database.restore(copy);
    for _ in 0..3 {
        database.commit(FeedKind::Tokens);
    }
    switch(&node.line.cut, false);
    let lost = timeout(Duration::from_secs(2), node.handle.lost_history()).await.unwrap();
    assert_eq!(lost.lost, Lost::Rewritten);
    pass(500).await;
    assert_eq!(node.verifier.applied(), 4);
    assert!(node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn until_it_stands_in_the_new_history_a_node_says_that_nothing_is_applied() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let copy = database.copy();
    for _ in 0..5 {
        database.commit(FeedKind::Plans);
    }
    pass(50).await;
    database.restore(copy);
    node.handle.lost_history().await;
    let joined = node.incarnation();
    pass(500).await;
    assert_ne!(node.incarnation(), joined);
    let own = node.incarnation().unwrap();
    let claims: Vec<_> = node
        .line
        .calls
        .lock()
        .iter()
        .filter_map(|(_, call)| match call {
            Call::Beat(beat) if beat.incarnation == own => Some(beat.applied),
            _ => None,
        })
        .collect();
    assert!(!claims.is_empty() && claims.iter().all(|applied| *applied == 0), "{claims:?}");
}

#[tokio::test(start_paused = true)]
async fn losses_that_nobody_asked_for_become_one_with_all_keys() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let mut ended = Vec::new();
    for _ in 0..2 {
        let copy = database.copy();
        ended.push(database.revoke().0);
        pass(50).await;
        database.restore(copy);
        // Longer than a verifier remembers: of the first loss, only what is waiting still tells.
        pass(3_700_000).await;
    }
    assert_eq!(node.handle.lost_history().await.revoked, ended);
    assert!(timeout(Duration::from_secs(1), node.handle.lost_history()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn entries_removed_before_they_were_read_cost_the_cache_and_nothing_else() {
    let database = Database::new();
    database.commit(FeedKind::Plans);
    let node = Node::settled(&database).await;
    let before = node.incarnation();
    switch(&node.line.cut, true);
    for _ in 0..5 {
        database.commit(FeedKind::Plans);
    }
    {
        let mut stored = database.stored.lock();
        stored.oldest = 4;
        stored.feed.retain(|entry| entry.number >= 4);
    }
    switch(&node.line.cut, false);
    pass(1_500).await;
    assert_eq!(node.verifier.applied(), 6);
    assert!(node.verifier.is_trusted());
    assert_eq!(node.incarnation(), before);
    assert!(timeout(Duration::from_secs(1), node.handle.lost_history()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn entries_removed_between_the_beat_and_the_reading_are_noticed_too() {
    let database = Database::new();
    database.commit(FeedKind::Plans);
    let node = Node::settled(&database).await;
    for _ in 0..5 {
        database.write(FeedKind::Plans, None);
    }
    {
        let mut stored = database.stored.lock();
        stored.oldest = 4;
        stored.feed.retain(|entry| entry.number >= 4);
    }
    // Told of news it reads entries before it beats.
    database.tell();
    pass(50).await;
    assert_eq!(node.verifier.applied(), 6);
    assert!(node.verifier.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn prefixes_are_read_before_the_change_counts_as_applied() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let prefix = KeyPrefix::parse("other_").unwrap();
    database.stored.lock().prefixes.push(prefix.clone());
    let number = database.commit(FeedKind::Prefixes);
    node.handle.wait_applied(number).await;
    assert!(node.verifier.prefixes().contains(&prefix));
}

#[tokio::test(start_paused = true)]
async fn on_another_timeline_what_was_read_is_forgotten_and_on_the_same_it_is_kept() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    let prefix = KeyPrefix::parse("rk_live_").unwrap();
    let secret = mint(&prefix, &*database.entropy).secret.reveal().to_owned();
    let look_ups = || database.loads.load(Ordering::SeqCst);
    assert_eq!(node.ask(&secret).await, "invalid_key");
    assert_eq!(look_ups(), 1);
    database.stored.lock().nodes.clear();
    pass(2_000).await;
    assert_eq!(node.ask(&secret).await, "invalid_key");
    assert_eq!(look_ups(), 1, "off the list and back again, it kept what it held");
    database.stored.lock().timeline.number += 1;
    pass(1_500).await;
    assert_eq!(node.ask(&secret).await, "invalid_key");
    assert_eq!(look_ups(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_timeline_makes_changes_wary_for_the_longest_wait() {
    let database = Database::new();
    let node = Node::settled(&database).await;
    assert_eq!(node.handle.status().wary_for, Duration::ZERO);
    database.stored.lock().timeline.number += 1;
    pass(1_010).await;
    let wary_for = node.handle.status().wary_for;
    assert!(wary_for > Duration::from_secs(5) && wary_for <= WAIT, "{wary_for:?}");
    tokio::time::sleep(WAIT).await;
    assert_eq!(node.handle.status().wary_for, Duration::ZERO);
    assert!(node.verifier.is_trusted(), "a fail-over that lost nothing");
}
