//! What each kind of bad key is answered, and what it costs.

use serde_json::{Value, json};

use crate::world::{World, client, unknown};

/// Failed look-ups that one address may cause in a minute.
const PERMITTED: usize = 100;
/// What a server does by itself while a test runs: flushes of use, and a round of pruning.
const OWN_STATEMENTS: f64 = 60.0;

async fn answer(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    (status, problem["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_is_refused_a_hundred_unknown_keys_and_then_told_to_wait() {
    let world = World::start(&[], 1, 1).await;
    let (attacker, other) = (client(1), client(2));
    let mut asked = Vec::new();
    for _ in 0..PERMITTED {
        let stranger = unknown();
        assert_eq!(answer(world.ask(attacker, &stranger).await).await, (401, "invalid_key".to_owned()));
        asked.push(stranger);
    }
    let (statements, misses) = (world.statements().await, world.misses().await);
    for _ in 0..50 {
        let response = world.ask(attacker, &unknown()).await;
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(!response.headers().contains_key("www-authenticate"), "this says nothing about the key");
        assert_eq!(answer(response).await, (429, "too_many_failures".to_owned()));
    }
    assert!(world.statements().await - statements <= OWN_STATEMENTS, "they were looked up");

    // What memory answers is never throttled, whoever asks; what it does not know waits.
    assert_eq!(answer(world.ask(attacker, &asked[0]).await).await, (401, "invalid_key".to_owned()));
    assert_eq!(answer(world.ask(attacker, &world.revoked[0]).await).await, (401, "key_revoked".to_owned()));
    let served = answer(world.ask(attacker, &world.good[0]).await).await;
    assert_eq!(served, (404, "no_upstream".to_owned()), "the good key passes: nothing is configured behind");
    let cold = world.cold_key("cold").await;
    assert_eq!(answer(world.ask(attacker, &cold).await).await, (429, "too_many_failures".to_owned()));
    // From elsewhere it works, and from then on from there as well.
    assert_eq!(answer(world.ask(other, &cold).await).await, (404, "no_upstream".to_owned()));
    assert_eq!(answer(world.ask(attacker, &cold).await).await, (404, "no_upstream".to_owned()));
    assert_eq!(answer(world.ask(other, &unknown()).await).await, (401, "invalid_key".to_owned()));
    assert!(world.misses().await > misses);
    let refused = "rndrkit_decisions_total{door=\"gateway\",code=\"too_many_failures\"}";
    assert_eq!(world.server.metric(refused).await, 51.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_ipv6_address_is_one_client_at_every_door() {
    let world = World::start(&[], 1, 0).await;
    for number in 0..PERMITTED {
        let within = format!("2001:db8:1:2::{number:x}").parse().unwrap();
        assert_eq!(answer(world.ask(within, &unknown()).await).await.0, 401);
    }
    let (again, beside) = ("2001:db8:1:2:ffff::1".parse().unwrap(), "2001:db8:1:3::1".parse().unwrap());
    assert_eq!(answer(world.ask(again, &unknown()).await).await, (429, "too_many_failures".to_owned()));
    assert_eq!(answer(world.ask(beside, &unknown()).await).await, (401, "invalid_key".to_owned()));
    let verify = async |ip: &str| {
        let body = json!({"secret": unknown(), "context": {"ip": ip}});
        world.server.operator("POST", "/v1/keys/verify", body).await
    };
    let (status, told) = verify("2001:db8:1:2::77").await;
    assert_eq!((status, &told["code"], &told["status"]), (200, &json!("too_many_failures"), &json!(429)));
    let (status, told) = verify("2001:db8:1:3::77").await;
    assert_eq!((status, &told["code"], &told["status"]), (200, &json!("invalid_key"), &json!(401)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_key_text_is_never_looked_up() {
    let world = World::start(&[], 1, 0).await;
    let good = &world.good[0];
    let (statements, misses) = (world.statements().await, world.misses().await);
    let mut other_checksum = unknown();
    let last = if other_checksum.ends_with('0') { '1' } else { '0' };
    other_checksum.pop();
    other_checksum.push(last);
    let shorter = good[..good.len() - 1].to_owned();
    for text in [other_checksum.as_str(), &shorter, "garbage", "rk_live_", &"x".repeat(500), "rk_live_ä"] {
        for _ in 0..PERMITTED {
            let refused = answer(world.ask(client(1), text).await).await;
            assert_eq!(refused, (401, "invalid_key".to_owned()), "{text}");
        }
    }
    assert_eq!(world.misses().await, misses);
    assert!(world.statements().await - statements <= OWN_STATEMENTS);
    assert_eq!(answer(world.ask(client(1), &unknown()).await).await.0, 401, "none of them was counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_answered_from_memory_however_often_it_comes() {
    let world = World::start(&[], 0, 1).await;
    let (statements, misses) = (world.statements().await, world.misses().await);
    let begun = std::time::Instant::now();
    for _ in 0..5 * PERMITTED {
        let refused = answer(world.ask(client(1), &world.revoked[0]).await).await;
        assert_eq!(refused, (401, "key_revoked".to_owned()));
    }
    // Refused keys are kept half a minute, and looked up again after that.
    let turns = u32::try_from(begun.elapsed().as_secs() / 30 + 1).unwrap();
    assert!(world.misses().await - misses <= f64::from(turns));
    assert!(world.statements().await - statements <= OWN_STATEMENTS * f64::from(turns));
}
