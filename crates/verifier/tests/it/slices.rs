//! One node's share of a budget that several nodes draw on: when it draws, waits, refuses and gives up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::time::Monotonic;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::nodes::{Nodes, shown};
use crate::world::{TestKey, rate_limit};

fn one() -> (Nodes, TestKey) {
    let nodes = Nodes::new(1, &[100]);
    let key = nodes.world.old_key(nodes.world.account());
    (nodes, key)
}

async fn pass(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// Asks in a task of its own; it is waiting when this returns.
async fn asking(nodes: &Nodes, key: &TestKey) -> JoinHandle<&'static str> {
    let (verifier, text) = (Arc::clone(&nodes.verifiers[0]), key.text.clone());
    let asked = tokio::spawn(async move {
        let ask = rndrkit_verifier::Ask { secret: text.as_bytes(), cost: 1, client: None };
        verifier.verify(&ask).await.decision.code()
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished());
    asked
}

#[tokio::test(start_paused = true)]
async fn a_lone_request_waits_for_a_draw_of_one_and_leaves_nothing_to_lapse() {
    let (nodes, key) = one();
    for _ in 0..3 {
        let asked = nodes.ask(0, &key, 1).await;
        assert_eq!((asked.verified.decision.code(), asked.waited), ("valid", true));
        let draw = nodes.authority.last_draw();
        assert_eq!((draw.want, draw.at_least, draw.rate_micros), (1, 1, 10_000_000));
        pass(2_000).await;
    }
    assert_eq!(nodes.authority.statements(), 3, "nobody asks, nothing is drawn");
}

#[tokio::test(start_paused = true)]
async fn while_requests_come_few_of_them_wait() {
    let (nodes, key) = one();
    let mut waited = 0;
    for _ in 0..60 {
        let asked = nodes.ask(0, &key, 1).await;
        assert_eq!(asked.verified.decision.code(), "valid");
        waited += u32::from(asked.waited);
        pass(40).await;
    }
    assert!(waited <= 4, "{waited} of 60 waited");
}

#[tokio::test(start_paused = true)]
async fn an_empty_bucket_is_remembered_and_asked_again_when_it_can_hold_something() {
    let (nodes, key) = one();
    nodes.authority.leave(key.account, 0);
    nodes.world.change_account(key.account, |facts| facts.rate_limit = rate_limit(60, 100));
    nodes.apply();
    assert_eq!(nodes.code(&key, 1).await, "rate_limited");
    let statements = nodes.authority.statements();
    for _ in 0..20 {
        let asked = nodes.ask(0, &key, 1).await;
        assert_eq!((asked.verified.decision.code(), asked.waited), ("rate_limited", false));
        assert_eq!(shown(&asked.verified), (0, 1));
    }
    assert_eq!(nodes.authority.statements(), statements, "refused from memory");
    pass(1_010).await;
    assert_eq!(nodes.code(&key, 1).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn a_cost_is_taken_as_a_whole_or_not_at_all() {
    let (nodes, key) = one();
    assert_eq!(nodes.code(&key, 60).await, "valid");
    let draw = nodes.authority.last_draw();
    assert_eq!((draw.want, draw.at_least), (60, 60));
    let asked = nodes.ask(0, &key, 60).await;
    assert_eq!(asked.verified.decision.code(), "rate_limited");
    assert_eq!(shown(&asked.verified), (34, 3), "34.5 are left; 60 take 2.6 seconds");
    assert_eq!(nodes.code(&key, 30).await, "valid");
    // More than the shared bucket ever holds of 100.
    pass(60_000).await;
    assert_eq!(nodes.code(&key, 95).await, "rate_limited");
    assert_eq!(nodes.code(&key, 94).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn looking_never_draws_and_shows_what_is_known() {
    let (nodes, key) = one();
    let look = nodes.ask(0, &key, 0).await;
    assert_eq!((look.verified.decision.code(), look.waited), ("valid", false));
    assert_eq!(shown(&look.verified), (94, 0), "nothing is known: taken to be full");
    assert_eq!(nodes.authority.statements(), 0);
    assert_eq!(nodes.code(&key, 40).await, "valid");
    assert_eq!(shown(&nodes.ask(0, &key, 0).await.verified), (54, 1));
    pass(10_000).await;
    assert_eq!(shown(&nodes.ask(0, &key, 0).await.verified), (94, 0));
    assert_eq!(nodes.authority.statements(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_authority_what_is_held_lapses_and_then_nothing_can_be_spent() {
    let (nodes, key) = one();
    for _ in 0..4 {
        assert_eq!(nodes.code(&key, 1).await, "valid");
    }
    pass(100).await;
    nodes.authority.down.store(true, Ordering::SeqCst);
    assert_eq!(nodes.code(&key, 1).await, "valid", "drawn ahead");
    pass(500).await;
    assert_eq!(nodes.code(&key, 1).await, "unavailable");
    assert_eq!(nodes.code(&key, 0).await, "valid", "looking goes on");
    nodes.authority.down.store(false, Ordering::SeqCst);
    pass(100).await;
    assert_eq!(nodes.code(&key, 1).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_authority_is_unavailable_within_its_deadline() {
    let (nodes, key) = one();
    nodes.authority.delay_ms.store(100_000, Ordering::SeqCst);
    assert_eq!(nodes.code(&key, 1).await, "unavailable");
    assert!(nodes.elapsed() <= Duration::from_millis(1_010));
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_than_a_slice_lives_is_not_spent() {
    let (nodes, key) = one();
    nodes.authority.slow_ms.store(600, Ordering::SeqCst);
    assert_eq!(nodes.code(&key, 1).await, "unavailable");
    nodes.authority.slow_ms.store(0, Ordering::SeqCst);
    pass(100).await;
    assert_eq!(nodes.code(&key, 1).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_account_drops_what_is_held_and_the_next_draw_says_so() {
    let (nodes, key) = one();
    for _ in 0..4 {
        assert_eq!(nodes.code(&key, 1).await, "valid");
    }
    pass(50).await;
    nodes.world.change_account(key.account, |facts| facts.rate_limit = rate_limit(60, 10));
    nodes.apply();
    let asked = nodes.ask(0, &key, 1).await;
    assert_eq!((asked.verified.decision.code(), asked.waited), ("valid", true), "what was held is gone");
    let draw = nodes.authority.last_draw();
    assert_eq!((draw.revision, draw.rate_micros, draw.burst_micros), (2, 1_000_000, 9_450_000));
    for step in [FeedKind::Plans, FeedKind::Unknown(77)] {
        pass(50).await;
        nodes.code(&key, 1).await;
        nodes.world.commit(step);
        nodes.apply();
        assert!(nodes.ask(0, &key, 1).await.waited, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_follows_a_newer_revision_makes_the_account_be_read_again() {
    let (nodes, key) = one();
    assert_eq!(nodes.code(&key, 1).await, "valid");
    pass(1_000).await;
    // Committed and drawn on by another node; the entry has not come here yet.
    nodes.world.change_account(key.account, |facts| facts.plan = crate::world::plan_id("agency_plus"));
    nodes.authority.follow(key.account, 2);
    let loads = nodes.world.source.loads();
    assert_eq!(nodes.code(&key, 1).await, "valid");
    assert_eq!(nodes.world.source.loads(), loads + 1);
    assert_eq!(nodes.authority.last_draw().revision, 2);
    // A revision that cannot be read: no loop without an end.
    pass(1_000).await;
    nodes.authority.follow(key.account, 9);
    assert_eq!(nodes.code(&key, 1).await, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waited_for_a_draw_is_judged_anew() {
    let (nodes, key) = one();
    let other = nodes.world.old_key(key.account);
    assert_eq!(nodes.code(&other, 1).await, "valid");
    for what in ["trust", "suspended", "revoked"] {
        pass(2_000).await;
        nodes.authority.slow_ms.store(100, Ordering::SeqCst);
        let asked = asking(&nodes, &key).await;
        let expected = match what {
            "trust" => {
                nodes.verifiers[0].untrust();
                "unavailable"
            }
            "suspended" => {
                nodes.world.change_account(key.account, |facts| facts.status = AccountStatus::Suspended);
                "account_suspended"
            }
            _ => {
                nodes.world.revoke(&key);
                "key_revoked"
            }
        };
        nodes.apply();
        assert_eq!(asked.await.unwrap(), expected, "{what}");
        nodes.authority.slow_ms.store(0, Ordering::SeqCst);
        nodes.verifiers[0].set_trust(rndrkit_domain::time::Monotonic(u64::MAX));
        nodes.world.change_account(key.account, |facts| facts.status = AccountStatus::Active);
        nodes.apply();
        assert_eq!(nodes.code(&other, 1).await, "valid");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_takes_nothing_from_the_others() {
    let (nodes, key) = one();
    let waiting: Vec<_> = [asking(&nodes, &key).await, asking(&nodes, &key).await].into();
    waiting[0].abort();
    waiting.into_iter().next_back().unwrap().await.unwrap();
    assert_eq!(nodes.code(&key, 1).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn all_accounts_that_need_it_are_drawn_for_at_once_and_no_more_than_fit() {
    let nodes = Nodes::new(1, &[100]);
    let keys: Vec<TestKey> = (0..1_200).map(|_| nodes.world.old_key(nodes.world.account())).collect();
    for key in &keys {
        assert_eq!(nodes.code(key, 0).await, "valid");
    }
    let mut asked = Vec::new();
    for key in &keys {
        asked.push(asking(&nodes, key).await);
    }
    for asked in asked {
        assert_eq!(asked.await.unwrap(), "valid");
    }
    assert!(nodes.authority.statements() <= 4, "{} statements", nodes.authority.statements());
    assert!(nodes.authority.most_at_once() <= 500);
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_wait_are_unavailable_at_once() {
    let nodes = Nodes::new(1, &[100]);
    let account = nodes.world.account_with(rate_limit(1_000_000, 1_000_000));
    let key = nodes.world.old_key(account);
    assert_eq!(nodes.code(&key, 0).await, "valid");
    nodes.authority.slow_ms.store(900, Ordering::SeqCst);
    let verifier = Arc::clone(&nodes.verifiers[0]);
    let asked: Vec<_> = (0..4_096 + 10)
        .map(|_| {
            let (verifier, text) = (Arc::clone(&verifier), key.text.clone());
            tokio::spawn(async move {
                let ask = rndrkit_verifier::Ask { secret: text.as_bytes(), cost: 1, client: None };
                verifier.verify(&ask).await.decision.code()
            })
        })
        .collect();
    pass(1).await;
    assert_eq!(asked.iter().filter(|asked| asked.is_finished()).count(), 10);
    for asked in asked {
        assert_eq!(asked.await.unwrap(), "unavailable");
    }
    nodes.authority.slow_ms.store(0, Ordering::SeqCst);
    pass(100).await;
    assert_eq!(nodes.code(&key, 1).await, "valid", "their places are free again");
}

#[tokio::test(start_paused = true)]
async fn a_burst_at_many_nodes_at_once_gets_what_the_shared_bucket_holds() {
    let nodes = Nodes::new(3, &[100, 100, 100]);
    let key = nodes.world.old_key(nodes.world.account_with(rate_limit(1, 40)));
    let mut admitted = 0;
    for round in 0..60 {
        for node in 0..3 {
            admitted += u32::from(nodes.ask(node, &key, 1).await.verified.decision.code() == "valid");
        }
        assert!(admitted <= 40, "{admitted} in round {round}");
    }
    // The reserve, and what each node holds and has let lapse.
    assert!(admitted >= 40 - 1 - 3, "{admitted}");
}

fn value(handle: &PrometheusHandle, name: &str) -> f64 {
    let text = handle.render();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()).map_or(f64::NAN, |value| value.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn draws_waits_and_what_lapses_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let (nodes, key) = metrics::with_local_recorder(&recorder, || {
        rndrkit_verifier::describe_metrics();
        one()
    });
    let is = |name: &str, expected: f64| {
        let seen = value(&handle, &format!("rndrkit_slice_{name}"));
        assert!((seen - expected).abs() < f64::EPSILON, "{name} is {seen}\n{}", handle.render());
    };
    nodes.code(&key, 1).await;
    is("waits_total", 1.0);
    is("statements_total", 1.0);
    is(r#"draws_total{outcome="drawn"}"#, 1.0);
    is("requests_drawn_total", 1.0);
    is("requests_lapsed_total", 0.0);
    nodes.code(&key, 1).await;
    nodes.code(&key, 1).await;
    pass(1_000).await;
    nodes.code(&key, 0).await;
    let drawn = value(&handle, "rndrkit_slice_requests_drawn_total");
    is("requests_lapsed_total", drawn - 3.0);
    assert!(drawn > 3.0);
    nodes.authority.leave(key.account, 0);
    nodes.code(&key, 1).await;
    is(r#"draws_total{outcome="empty"}"#, 1.0);
    pass(2_000).await;
    nodes.authority.follow(key.account, 9);
    nodes.code(&key, 1).await;
    assert!(value(&handle, r#"rndrkit_slice_draws_total{outcome="stale"}"#) > 0.0);
    nodes.authority.down.store(true, Ordering::SeqCst);
    nodes.code(&key, 1).await;
    is(r#"draws_total{outcome="failed"}"#, 1.0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_drawn_without_trust() {
    let (nodes, key) = one();
    nodes.authority.slow_ms.store(20, Ordering::SeqCst);
    assert_eq!(nodes.ask(0, &key, 1).await.verified.decision.code(), "valid");
    // Its draw is due only after a pause.
    let asked = asking(&nodes, &key).await;
    let before = nodes.authority.statements();
    nodes.verifiers[0].untrust();
    pass(500).await;
    assert_eq!(nodes.authority.statements(), before);
    assert_eq!(asked.await.unwrap(), "unavailable");
    nodes.verifiers[0].set_trust(Monotonic(u64::MAX));
    assert_eq!(nodes.ask(0, &key, 1).await.verified.decision.code(), "valid");
}
