//! What is said about each state of a server.

use super::super::Status;
use super::*;

fn standby(state: Option<&str>, sync_state: Option<&str>) -> Standby {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Standby { name: Some("s".to_owned()), state: owned(state), sync_state: owned(sync_state) }
}

#[test]
fn replication_is_judged_by_what_a_fail_over_would_lose() {
    let (synchronous, asynchronous) =
        (standby(Some("streaming"), Some("sync")), standby(Some("streaming"), Some("async")));
    let catching_up = standby(Some("catchup"), Some("sync"));
    for (names, standbys, status, word) in [
        ("", vec![], Status::Ok, "no standby"),
        ("", vec![asynchronous.clone()], Status::Warn, "none of them synchronous"),
        ("s", vec![synchronous.clone()], Status::Ok, "1 synchronous"),
        ("s", vec![synchronous, asynchronous.clone()], Status::Ok, "must not be failed over to"),
        ("s", vec![], Status::Fail, "no such standby"),
        ("s", vec![catching_up], Status::Fail, "no such standby"),
        ("s", vec![asynchronous], Status::Fail, "no such standby"),
        ("s", vec![standby(None, None)], Status::Ok, "may not see"),
    ] {
        let finding = judge_replication(names, &standbys);
        assert_eq!(finding.status, status, "{names} {standbys:?}");
        assert!(finding.detail.contains(word), "{}", finding.detail);
    }
}

#[test]
fn a_commit_that_may_be_lost_fails() {
    let facts = |fsync, full_page_writes, synchronous_commit: &str| Durability {
        fsync,
        full_page_writes,
        synchronous_commit: synchronous_commit.to_owned(),
        synchronous_standby_names: String::new(),
    };
    assert_eq!(judge_durability(&facts(true, true, "on")).status, Status::Ok);
    for (facts, word) in [
        (facts(false, true, "on"), "fsync is off"),
        (facts(false, false, "on"), "fsync and full_page_writes is off"),
        (facts(true, true, "off"), "synchronous_commit is off"),
        (facts(true, true, "local"), "synchronous_commit is local"),
    ] {
        let finding = judge_durability(&facts);
        assert_eq!(finding.status, Status::Fail);
        assert!(finding.detail.contains(word) && finding.why.is_some(), "{}", finding.detail);
    }
}

#[test]
fn a_server_that_takes_no_changes_fails() {
    let good = ServerFacts {
        version: "15.18".to_owned(),
        in_recovery: false,
        read_only: false,
        may_write: true,
        sees_all: true,
        settings_arrive: true,
    };
    assert_eq!(judge_server(&good).status, Status::Ok);
    for bad in [
        ServerFacts { in_recovery: true, ..good.clone() },
        ServerFacts { read_only: true, ..good.clone() },
        ServerFacts { may_write: false, ..good },
    ] {
        assert_eq!(judge_server(&bad).status, Status::Fail, "{bad:?}");
    }
}

#[test]
fn clocks_are_compared_by_what_is_certain() {
    let at = |ms: i64| Timestamp::from_unix_ms(1_700_000_000_000 + ms);
    // A slow answer is no wrong clock.
    assert_eq!(judge_clock(at(0), at(8_000), at(9_000)).status, Status::Ok);
    for (theirs, status) in [(3_500, Status::Warn), (-2_500, Status::Warn), (70_000, Status::Fail)] {
        assert_eq!(judge_clock(at(0), at(theirs), at(100)).status, status, "{theirs}");
    }
}

#[test]
fn a_queue_that_nobody_reads_is_noticed_before_it_is_full() {
    for (full, status) in [(0.0, Status::Ok), (0.06, Status::Warn), (0.5, Status::Fail)] {
        assert_eq!(judge_queue(full).status, status, "{full}");
    }
}

#[test]
fn transactions_that_hold_others_up_are_named() {
    let found = |seconds| LongTransaction { pid: 42, application: "psql".to_owned(), seconds };
    let idle = judge_transactions(Some(&found(10)), None, true);
    assert!(idle.detail.contains("process 42 (psql)") && idle.advice.unwrap().contains("(42)"));
    assert_eq!(judge_transactions(Some(&found(9)), Some(&found(3_599)), true).status, Status::Ok);
    assert_eq!(judge_transactions(None, Some(&found(3_600)), true).status, Status::Warn);
    assert!(judge_transactions(None, None, false).detail.contains("may not see"));
    let prepared = |oldest_seconds| judge_prepared(Prepared { transactions: 1, oldest_seconds }).status;
    assert_eq!(
        (prepared(None), prepared(Some(59)), prepared(Some(60))),
        (Status::Ok, Status::Ok, Status::Warn)
    );
}

#[test]
fn room_for_connections_is_counted_for_whole_nodes() {
    let of_a_node = i64::from(CONNECTIONS_OF_A_NODE);
    let room = |server_limit, server_used, own_limit| Connections {
        server_limit,
        server_used,
        own_limit,
        own_used: 1,
    };
    for (facts, nodes, status) in [
        (room(97, 10, None), 3, Status::Ok),
        (room(97, 10, None), 5, Status::Warn),
        (room(97, 10, Some(10)), 1, Status::Warn),
        (room(of_a_node, 5, None), 0, Status::Warn),
        (room(of_a_node, 5, None), 1, Status::Ok),
    ] {
        assert_eq!(judge_connections(facts, nodes).status, status, "{facts:?} {nodes}");
    }
}
