//! Exact counts, whichever door a request came through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::world::{BURST, Counts, World};

/// Waits for the flush that brings these counts, and looks again at all that is kept of them.
async fn assert_counted(world: &World, account: &str, key: &str, wanted: Counts) {
    let there = async |_: &_| world.counted(account, key, "day").await == wanted;
    let came = world.server.eventually(there).await;
    assert!(came, "{:?} is counted, and not {wanted:?}", world.counted(account, key, "day").await);
    for period in ["hour", "minute"] {
        assert_eq!(world.counted(account, key, period).await, wanted, "{period}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_through_each_door_is_counted_by_key_and_by_what_it_was_answered() {
    let world = World::start().await;
    let account = world.server.account("ada@example.com", "small").await;
    let (gateway, to_gateway) = world.server.key(&account, "gateway").await;
    let (asked, to_ask) = world.server.key(&account, "asked").await;
    for (status, times) in [(200, 3), (204, 2), (302, 2), (404, 4), (500, 1), (503, 2)] {
        for _ in 0..times {
            assert_eq!(world.gateway(&to_gateway, status).await, status);
        }
    }
    for _ in 0..5 {
        assert_eq!(world.authz(&to_ask).await, 200);
    }
    assert_eq!(world.verify(&to_ask, 1).await, "valid");
    assert_eq!(world.verify(&to_ask, 3).await, "valid", "one request, whatever it costs");
    assert_eq!(world.verify(&to_ask, 0).await, "valid", "a look, and no request");
    world.change(&account, json!({"status": "suspended"})).await;
    assert_eq!(world.gateway(&to_gateway, 200).await, 403);
    assert_eq!(world.authz(&to_ask).await, 403);
    assert_eq!(world.verify(&to_ask, 1).await, "account_suspended");
    world.change(&account, json!({"status": "active", "plan": "none"})).await;
    assert_eq!(world.gateway(&to_gateway, 200).await, 403);
    assert_counted(&world, &account, &gateway, ([14, 0, 2], [5, 2, 4, 3])).await;
    assert_counted(&world, &account, &asked, ([7, 0, 2], [0; 4])).await;

    // Neither what has ended nor what never was is counted for anybody.
    world.change(&account, json!({"plan": "small"})).await;
    assert_eq!(world.server.operator("DELETE", &format!("/v1/keys/{gateway}"), Value::Null).await.0, 200);
    assert_eq!(world.gateway(&to_gateway, 200).await, 401);
    assert_eq!(world.authz("garbage").await, 401);
    assert_eq!(world.authz(&to_ask).await, 200);
    assert_counted(&world, &account, &asked, ([8, 0, 2], [0; 4])).await;
    assert_counted(&world, &account, &gateway, ([14, 0, 2], [5, 2, 4, 3])).await;
    assert_eq!(world.server.metric("rndrkit_usage_dropped_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_over_the_budget_are_counted_to_the_last_request() {
    let world = Arc::new(World::start().await);
    let account = world.server.account("ada@example.com", "small").await;
    let mut keys = Vec::new();
    for number in 0..3 {
        keys.push(world.server.key(&account, &format!("key {number}")).await);
    }
    let seen: Arc<[[AtomicU64; 2]; 3]> = Arc::default();
    let mut connections = Vec::new();
    for number in 0..24_usize {
        let (world, seen, secret) = (world.clone(), seen.clone(), keys[number % 3].1.clone());
        connections.push(tokio::spawn(async move {
            for turn in 0..20_usize {
                let status = match (number + turn) % 4 {
                    0 => world.authz(&secret).await,
                    1 => {
                        if world.verify(&secret, 1).await == "valid" {
                            200
                        } else {
                            429
                        }
                    }
                    _ => world.gateway(&secret, 200).await,
                };
                let place = match status {
                    200 => 0,
                    429 => 1,
                    other => panic!("{other}"),
                };
                seen[number % 3][place].fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for connection in connections {
        connection.await.unwrap();
    }
    let count = |key: usize, place: usize| seen[key][place].load(Ordering::Relaxed);
    let allowed: u64 = (0..3).map(|key| count(key, 0)).sum();
    assert!((BURST..200).contains(&allowed), "the budget was not spent: {allowed}");
    for (index, (key, _)) in keys.iter().enumerate() {
        let wanted = [count(index, 0), count(index, 1), 0];
        let there = async |_: &_| world.counted(&account, key, "day").await.0 == wanted;
        let came = world.server.eventually(there).await;
        assert!(came, "{:?} is counted, and not {wanted:?}", world.counted(&account, key, "day").await);
        let (_, answers) = world.counted(&account, key, "minute").await;
        assert!(answers[0] <= wanted[0] && answers[1..] == [0; 3], "{answers:?}");
    }
    assert_eq!(world.server.metric("rndrkit_usage_dropped_total").await, 0.0);
}
