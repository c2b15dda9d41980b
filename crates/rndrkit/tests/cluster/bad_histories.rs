//! The checker itself is checked: it finds each breach in a history made for it, and nothing in a good one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::budget::worst_excess;
use crate::checker::{Contract, Verdict, judge, judge_stored};
use crate::history::{Act, Call, Fault, History, Hurts, Micros, NO_KEY, Outcome};

const CONTRACT: Contract = Contract {
    longest_wait: Duration::from_secs(6),
    longest_change: Duration::from_secs(9),
    longest_statement: Duration::from_secs(3),
    burst: 3.0,
    per_second: 10.0,
};
const SECOND: Micros = 1_000_000;

/// A call about key 0 of account 0.
fn call(act: Act, begun: Micros, ended: Micros, outcome: Outcome) -> Call {
    let key = if matches!(act, Act::Narrow | Act::Widen) { NO_KEY } else { 0 };
    Call { act, node: 0, account: 0, key, begun, ended, outcome, waited: None }
}

fn judged(calls: Vec<Call>) -> Verdict {
    judge(&History { calls, ..History::default() }, &CONTRACT)
}

/// How many breaches there are in these calls.
fn breaches(calls: Vec<Call>) -> usize {
    judged(calls).violations.len()
}

#[test]
fn a_request_that_began_before_the_delete_answered_may_be_accepted_and_one_after_it_may_not() {
    let delete = call(Act::Delete, 100, 200, Outcome::Done);
    assert_eq!(breaches(vec![delete, call(Act::Look, 150, 900, Outcome::Accepted)]), 0);
    assert_eq!(breaches(vec![delete, call(Act::Look, 201, 900, Outcome::Revoked)]), 0);
    assert_eq!(breaches(vec![delete, call(Act::Look, 201, 900, Outcome::Unavailable)]), 0);
    for outcome in [Outcome::Accepted, Outcome::Limited] {
        assert_eq!(breaches(vec![delete, call(Act::Look, 201, 900, outcome)]), 1, "{outcome:?}");
    }
    let repeated = call(Act::Delete, 300, 400, Outcome::Done);
    assert_eq!(breaches(vec![repeated, delete, call(Act::Look, 250, 260, Outcome::Accepted)]), 1);
    let unanswered = call(Act::Delete, 100, 200, Outcome::NoAnswer);
    assert_eq!(breaches(vec![unanswered, call(Act::Look, 300, 400, Outcome::Accepted)]), 0);
    assert_eq!(breaches(vec![unanswered, call(Act::Look, 300, 400, Outcome::Revoked)]), 0);
}

#[test]
fn a_narrowed_account_is_refused_until_it_may_have_been_widened() {
    let narrow = call(Act::Narrow, 100, 200, Outcome::Done);
    let accepted = call(Act::Look, 300, 400, Outcome::Accepted);
    assert_eq!(breaches(vec![narrow, accepted]), 1);
    assert_eq!(breaches(vec![narrow, call(Act::Widen, 390, 500, Outcome::Done), accepted]), 0);
    assert_eq!(breaches(vec![narrow, call(Act::Widen, 10, 90, Outcome::Done), accepted]), 1);
    let maybe_still_coming = call(Act::Widen, 10, 90, Outcome::NoAnswer);
    assert_eq!(breaches(vec![narrow, maybe_still_coming, accepted]), 0);
}

#[test]
fn an_account_is_refused_only_while_it_may_be_narrowed() {
    let forbidden = call(Act::Look, 600, 700, Outcome::Forbidden);
    assert_eq!(breaches(vec![forbidden]), 1);
    let narrow = call(Act::Narrow, 100, 200, Outcome::Done);
    assert_eq!(breaches(vec![narrow, forbidden]), 0);
    let widen = call(Act::Widen, 300, 400, Outcome::Done);
    assert_eq!(breaches(vec![narrow, widen, forbidden]), 1);
    let maybe_still_coming = call(Act::Narrow, 100, 200, Outcome::Unavailable);
    assert_eq!(breaches(vec![maybe_still_coming, widen, forbidden]), 0);
}

#[test]
fn a_key_that_exists_is_never_called_invalid_or_revoked_before_anybody_asked() {
    assert_eq!(breaches(vec![call(Act::Look, 1, 2, Outcome::Invalid)]), 1);
    assert_eq!(breaches(vec![call(Act::Look, 1, 2, Outcome::Revoked)]), 1);
    assert_eq!(breaches(vec![call(Act::Look, 1, 2, Outcome::Odd(500))]), 1);
    assert_eq!(breaches(vec![call(Act::Look, 1, 2, Outcome::NoAnswer)]), 0);
    let later = call(Act::Delete, 50, 60, Outcome::Done);
    assert_eq!(breaches(vec![later, call(Act::Look, 1, 2, Outcome::Revoked)]), 1);
}

#[test]
fn more_than_burst_and_refill_is_found_and_as_much_is_not() {
    let spend = |at: Micros| call(Act::Spend, at, at + 10, Outcome::Accepted);
    let as_much = vec![spend(0), spend(1_000), spend(2_000), spend(102_000)];
    assert_eq!(breaches(as_much.clone()), 0);
    assert_eq!(breaches([as_much, vec![spend(103_000)]].concat()), 1);
    let looks = (0..100).map(|at| call(Act::Look, at, at + 1, Outcome::Accepted)).collect();
    assert_eq!(breaches(looks), 0, "a look spends nothing");
}

#[test]
fn a_change_that_takes_too_long_is_found_unless_its_node_could_not_run() {
    let judged = |seconds: Micros, node, hurts| {
        let (from, to) = (SECOND, 3 * SECOND);
        let faults = vec![Fault { node, what: "hurt", hurts, from, to }];
        let calls = vec![call(Act::Delete, 0, seconds * SECOND, Outcome::Done)];
        judge(&History { calls, faults, ..History::default() }, &CONTRACT).violations.len()
    };
    assert_eq!(breaches(vec![call(Act::Delete, 0, 10 * SECOND, Outcome::Done)]), 1);
    assert_eq!((judged(60, Some(0), Hurts::Running), judged(60, Some(1), Hurts::Running)), (0, 1));
    for node in [Some(0), None] {
        let reaching = |seconds| judged(seconds, node, Hurts::Reaching);
        assert_eq!((reaching(11), reaching(13)), (0, 1), "{node:?}");
    }
}

#[test]
fn a_delete_that_waited_longer_after_its_commit_than_is_promised_is_found() {
    for (waited, expected) in [(6 * SECOND, 0), (7 * SECOND, 1)] {
        let delete = call(Act::Delete, 0, 8 * SECOND, Outcome::Done);
        assert_eq!(breaches(vec![Call { waited: Some(waited), ..delete }]), expected);
    }
}

#[test]
fn what_was_acknowledged_must_be_stored_and_nothing_else_may_be_revoked() {
    let keys = vec![("one".to_owned(), 0)];
    let deleted = vec![call(Act::Delete, 1, 2, Outcome::Done)];
    let stored = |calls: &[Call], rows: &[(&str, bool)]| {
        let rows = rows.iter().map(|(id, revoked)| ((*id).to_owned(), ("account".to_owned(), *revoked)));
        let stored: BTreeMap<_, _> = rows.collect();
        let history = History { calls: calls.to_vec(), keys: keys.clone(), ..History::default() };
        let mut verdict = Verdict::default();
        judge_stored(&mut verdict, &history, &stored, 1);
        verdict.violations.len()
    };
    assert_eq!(stored(&[], &[("one", false)]), 0);
    assert_eq!(stored(&deleted, &[("one", true)]), 0);
    assert_eq!(stored(&[], &[]), 1, "a key is lost");
    assert_eq!(stored(&deleted, &[("one", false)]), 1, "a delete is lost");
    assert_eq!(stored(&[], &[("one", true)]), 1, "revoked by nobody");
    assert_eq!(stored(&[], &[("one", false), ("two", false)]), 1, "a second where one is allowed");
}

/// By the definition: every beginning with every end.
fn slow(requests: &[(Micros, Micros)], per_second: f64) -> f64 {
    let mut worst = 0.0_f64;
    for (from, _) in requests {
        for (_, to) in requests.iter().filter(|(_, to)| to >= from) {
            let inside = requests.iter().filter(|(begun, ended)| begun >= from && ended <= to);
            let inside = f64::from(u32::try_from(inside.count()).unwrap());
            worst = worst.max(inside - per_second * Duration::from_micros(to - from).as_secs_f64());
        }
    }
    worst
}

#[test]
fn the_quick_rule_is_the_slow_one() {
    let mut state = 7_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..200 {
        let requests: Vec<(Micros, Micros)> = (0..=round % 40)
            .map(|_| {
                let begun = next(3_000_000);
                (begun, begun + next(400_000))
            })
            .collect();
        let (quick, slow) = (worst_excess(&requests, 10.0), slow(&requests, 10.0));
        assert!((quick - slow).abs() < 1e-6, "{quick} {slow} {requests:?}");
    }
}

#[test]
fn a_burst_and_its_refill_are_no_excess_and_one_more_is() {
    let at = |n: u64| (n, n);
    let mut requests: Vec<_> = (0..100).map(at).collect();
    requests.extend((1..50).map(|n| at(100 + n * 100_000)));
    assert!(worst_excess(&requests, 10.0) <= 100.0);
    requests.push(at(4_950_000));
    assert!(worst_excess(&requests, 10.0) > 100.0);
}
