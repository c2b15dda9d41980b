//! A node's line to PostgreSQL: what it writes and reads in one statement, what it hears, and what it does when
//! the server says nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, Registration};
use rndrkit_domain::random::OsEntropy;
use rndrkit_store::{Error, NodeLine, Store};
use rndrkit_testkit::database::{TestDatabase, on_postgres};
use rndrkit_testkit::proxy::{Proxy, Traffic};
use sea_orm::ConnectionTrait as _;
use tokio::time::timeout;

use crate::builders::{account, behind, open, tamper};

/// What the tests give a healthy server: more than it needs when all of them run at once.
const PATIENT: Duration = Duration::from_secs(5);
/// What they give a server that says nothing.
const SHORT: Duration = Duration::from_millis(300);

fn mark() -> BeatMark {
    BeatMark::generate(&OsEntropy)
}

fn line(database: &TestDatabase) -> NodeLine {
    NodeLine::new(database.url(), PATIENT).unwrap()
}

fn registration(trust_ms: u64) -> Registration {
    Registration {
        incarnation: Incarnation::generate(&OsEntropy),
        name: "ada".to_owned(),
        beat: mark(),
        trust: Duration::from_millis(trust_ms),
        version: "9.9.9".to_owned(),
    }
}

/// The next beat of a node whose last beat was answered.
fn beat_of(node: &Registration, confirmed: BeatMark, applied: i64) -> Beat {
    let incarnation = node.incarnation;
    Beat { incarnation, confirmed, attempted: confirmed, next: mark(), applied, wakes: false }
}

/// A proxy before the server of the tests, and the URL that leads through it.
async fn through_proxy(database: &TestDatabase) -> (Proxy, String) {
    let (scheme, rest) = database.url().split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let (user, server) =
        authority.rsplit_once('@').map_or((None, authority), |(user, server)| (Some(user), server));
    let target: SocketAddr = tokio::net::lookup_host(server).await.unwrap().next().unwrap();
    let proxy = Proxy::to(target).await;
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let url = format!("{scheme}://{user}{}/{path}", proxy.address());
    (proxy, url)
}

fn own<'a>(answer: &'a BeatAnswer, node: &Registration) -> &'a rndrkit_domain::node::NodeRow {
    answer.roster.nodes.iter().find(|row| row.incarnation == node.incarnation).unwrap()
}

#[test]
fn a_beat_writes_its_row_and_reads_everything_a_node_must_know() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let (line, others) = (line(database), line(database));
        let (node, other) = (registration(5_000), registration(2_000));
        others.register(other.clone()).await.unwrap();
        let answer = line.register(node.clone()).await.unwrap();
        assert_eq!(answer.head, store.feed_head().await.unwrap());
        assert_eq!(answer.roster.nodes.len(), 2);
        assert_eq!(own(&answer, &node).beat, node.beat);

        account(&store, "ada").await;
        let beat = beat_of(&node, node.beat, 7);
        let answer = line.beat(beat).await.unwrap().unwrap();
        assert_eq!(answer.head, store.feed_head().await.unwrap());
        let row = own(&answer, &node);
        assert_eq!((row.beat, row.applied), (beat.next, 7), "as it was written, not as it was");
        assert_eq!((row.name.as_str(), row.version.as_str()), ("ada", "9.9.9"));
        assert_eq!(row.trust, Duration::from_secs(5));
        assert_eq!(own(&answer, &other).beat, other.beat);
        assert!(answer.database_time.since(row.seen_at) < Duration::from_secs(2));
        assert!(answer.roster.timeline.system != 0 && answer.roster.timeline.number >= 1);
        // The list for those who wait is the same, from another statement.
        assert_eq!(store.roster().await.unwrap(), answer.roster);
        assert_eq!(line.statements_total(), 3);
    });
}

#[test]
fn a_list_without_nodes_is_a_list() {
    on_postgres(async |database: &TestDatabase| {
        let roster = open(database).await.roster().await.unwrap();
        assert_eq!((roster.nodes.len(), roster.longest_trust), (0, Duration::ZERO));
        assert!(roster.timeline.system != 0);
    });
}

#[test]
fn a_beat_takes_the_place_of_the_confirmed_or_the_attempted_one_and_of_no_other() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = line(database);
        let node = registration(5_000);
        line.register(node.clone()).await.unwrap();
        let first = beat_of(&node, node.beat, 1);
        line.beat(first).await.unwrap().unwrap();
        // Its answer was lost: the node knows only that it was sent.
        let second = Beat { confirmed: node.beat, attempted: first.next, ..beat_of(&node, node.beat, 2) };
        line.beat(second).await.unwrap().unwrap();
        // A copy of the process that still believes in an older beat.
        assert_eq!(line.beat(beat_of(&node, first.next, 3)).await.unwrap(), None);
        assert_eq!(line.beat(second).await.unwrap(), None, "said again it is older than itself");
        let answer = line.beat(beat_of(&node, second.next, 4)).await.unwrap().unwrap();
        assert_eq!(own(&answer, &node).applied, 4);
        line.leave(node.incarnation).await.unwrap();
        assert_eq!(line.beat(beat_of(&node, second.next, 5)).await.unwrap(), None, "written off");
    });
}

#[test]
fn a_registration_may_be_repeated_and_not_be_taken_over() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = line(database);
        let node = registration(5_000);
        line.register(node.clone()).await.unwrap();
        let answer = line.register(node.clone()).await.unwrap();
        assert_eq!(answer.roster.nodes.len(), 1);
        let clone = Registration { beat: mark(), ..node };
        assert!(matches!(line.register(clone).await, Err(Error::Unavailable(_))));
    });
}

#[test]
fn the_longest_trust_only_grows() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = line(database);
        for (trust_ms, longest_ms) in [(5_000, 5_000), (30_000, 30_000), (2_000, 30_000)] {
            let answer = line.register(registration(trust_ms)).await.unwrap();
            assert_eq!(answer.roster.longest_trust, Duration::from_millis(longest_ms));
        }
    });
}

#[test]
fn only_a_row_with_the_expected_beat_is_reaped() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = line(database);
        let node = registration(5_000);
        line.register(node.clone()).await.unwrap();
        let beat = beat_of(&node, node.beat, 1);
        line.beat(beat).await.unwrap().unwrap();
        assert!(!line.reap(node.incarnation, node.beat).await.unwrap(), "it has beaten since");
        assert!(line.reap(node.incarnation, beat.next).await.unwrap());
        assert!(!line.reap(node.incarnation, beat.next).await.unwrap());
    });
}

#[test]
fn the_feed_is_read_over_the_line_as_over_the_store() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        for label in ["a", "b", "c"] {
            account(&store, label).await;
        }
        let line = line(database);
        assert_eq!(line.entries(2, 2).await.unwrap(), store.feed_entries(2, 2).await.unwrap());
        assert_eq!(line.entries(5, 2).await.unwrap(), []);
    });
}

#[test]
fn news_is_heard_between_calls_during_calls_and_while_nobody_listens() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let line = Arc::new(line(database));
        let node = registration(5_000);
        line.register(node.clone()).await.unwrap();
        line.news().await; // It was found.
        assert!(timeout(Duration::from_millis(300), line.news()).await.is_err(), "nothing has happened");
        account(&store, "ada").await;
        timeout(PATIENT, line.news()).await.expect("came while nobody listened");
        let listener = line.clone();
        let heard = tokio::spawn(async move { timeout(PATIENT, listener.news()).await });
        let mut last = node.beat;
        for applied in 0..100 {
            let beat = beat_of(&node, last, applied);
            line.beat(beat).await.unwrap().unwrap();
            last = beat.next;
        }
        assert!(!heard.is_finished(), "a beat is no news");
        account(&store, "bob").await;
        heard.await.unwrap().expect("came while somebody listened");
        // What the server sends along with an answer counts too.
        account(&store, "eve").await;
        line.beat(beat_of(&node, last, 101)).await.unwrap().unwrap();
        timeout(PATIENT, line.news()).await.expect("came with an answer");
        assert_eq!(line.hears(), Some(true));
    });
}

#[test]
fn a_beat_that_says_something_new_wakes_those_who_wait_on_other_nodes() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let (line, other) = (line(database), Arc::new(line(database)));
        let node = registration(5_000);
        line.register(node.clone()).await.unwrap();
        other.entries(1, 1).await.unwrap();
        let listener = other.clone();
        let listening = tokio::spawn(async move {
            loop {
                listener.news().await;
            }
        });
        let dull = beat_of(&node, node.beat, 1);
        line.beat(dull).await.unwrap().unwrap();
        assert!(timeout(SHORT, other.confirmed()).await.is_err(), "it says nothing new");
        let woken = async {
            let waking = Beat { wakes: true, ..beat_of(&node, dull.next, 2) };
            line.beat(waking).await.unwrap().unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            confirmed = timeout(PATIENT, other.confirmed()) => confirmed.unwrap(),
            () = woken => {}
        }
        listening.abort();
    });
}

#[test]
fn a_lost_line_is_news_and_so_is_one_found_again() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = line(database);
        let node = registration(5_000);
        line.register(node.clone()).await.unwrap();
        line.news().await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = 'rndrkit node' AND datname = current_database()";
        assert_eq!(tamper(database, end).await, 1);
        timeout(PATIENT, line.news()).await.expect("it was lost");
        assert!(timeout(SHORT, line.news()).await.is_err(), "one call connects it, nothing else does");
        let beat = beat_of(&node, node.beat, 1);
        line.beat(beat).await.unwrap().unwrap();
        timeout(PATIENT, line.news()).await.expect("it was found again");
    });
}

#[test]
fn a_server_that_says_nothing_is_given_up_at_the_deadline_and_found_again() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let (proxy, url) = through_proxy(database).await;
        let line = NodeLine::new(&url, SHORT).unwrap();
        let node = registration(5_000);
        while line.register(node.clone()).await.is_err() {}
        proxy.set(Traffic::Swallowed);
        let mut last = beat_of(&node, node.beat, 1);
        for _ in 0..3 {
            let begun = crate::builders::now();
            assert!(matches!(line.beat(last).await, Err(Error::Unavailable(_))));
            assert!(begun.elapsed() < SHORT * 3, "{:?}", begun.elapsed());
        }
        proxy.set(Traffic::Flows);
        // The lost beat may be the one that counts by now, or not.
        let found = timeout(PATIENT, async {
            loop {
                let next = Beat { attempted: last.next, ..beat_of(&node, node.beat, 2) };
                match line.beat(next).await {
                    Ok(Some(answer)) => break answer,
                    Ok(None) => panic!("thrown out"),
                    Err(_) => last = next,
                }
            }
        });
        assert_eq!(own(&found.await.unwrap(), &node).applied, 2);
    });
}

#[test]
fn commits_that_hang_take_a_bounded_number_of_sessions() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = NodeLine::new(database.url(), SHORT).unwrap();
        let node = registration(5_000);
        while line.register(node.clone()).await.is_err() {}
        let holder = behind(database).await;
        let tx = sea_orm::TransactionTrait::begin(&holder).await.unwrap();
        tx.execute_unprepared(
            "SET LOCAL idle_in_transaction_session_timeout = 0; UPDATE nodes SET applied = applied",
        )
        .await
        .unwrap();
        for _ in 0..8 {
            assert!(matches!(line.beat(beat_of(&node, node.beat, 1)).await, Err(Error::Unavailable(_))));
        }
        let sessions = "SELECT 1 FROM pg_stat_activity
                        WHERE application_name = 'rndrkit node' AND datname = current_database()";
        assert!(tamper(database, sessions).await <= 4);
        tx.rollback().await.unwrap();
        let beat = beat_of(&node, node.beat, 1);
        let beaten = timeout(PATIENT, async { while line.beat(beat).await.is_err() {} }).await;
        beaten.expect("it goes on when it can");
    });
}

#[test]
fn a_server_that_takes_no_writes_gives_no_answer_that_could_be_trusted() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let name = database.url().rsplit('/').next().unwrap();
        tamper(database, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        let line = line(database);
        let node = registration(5_000);
        assert!(matches!(line.register(node.clone()).await, Err(Error::Unavailable(_))));
        assert!(matches!(line.beat(beat_of(&node, node.beat, 1)).await, Err(Error::Unavailable(_))));
    });
}

#[test]
fn on_sqlite_there_is_no_list_of_nodes() {
    rndrkit_testkit::database::on_sqlite(async |database: &TestDatabase| {
        let store: Store = open(database).await;
        assert!(matches!(store.roster().await, Err(Error::Unavailable(_))));
    });
}
