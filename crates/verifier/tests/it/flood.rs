//! Floods of unknown keys: what an address may cause at most, and who has a turn before whom.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rndrkit_verifier::{Ask, VerifierOptions};
use tokio::task::JoinHandle;

use crate::world::{TestKey, World};

fn ask(world: &World, key: &TestKey, client: &str) -> JoinHandle<&'static str> {
    let (verifier, key, client) = (Arc::clone(&world.verifier), key.clone(), client.parse().ok());
    tokio::spawn(async move {
        verifier.verify(&Ask { secret: key.text.as_bytes(), cost: 1, client }).await.decision.code()
    })
}

/// Lets all that can go on do so.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn look_ups_under_way_at_once_bring_no_address_above_its_bound() {
    let world = World::new();
    let asked: Vec<_> = (0..300).map(|_| ask(&world, &world.unknown_key(), "192.0.2.1")).collect();
    let mut invalid = 0;
    for answer in asked {
        match answer.await.unwrap() {
            "invalid_key" => invalid += 1,
            code => assert_eq!(code, "too_many_failures"),
        }
    }
    assert_eq!((invalid, world.source.loads()), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn an_address_without_failures_has_its_turn_while_those_with_some_wait() {
    let world = World::with(VerifierOptions { lookup_concurrency: 4, ..VerifierOptions::default() });
    let good = world.old_key(world.account());
    let attackers: Vec<_> = (1..=20).map(|number| format!("192.0.2.{number}")).collect();
    for attacker in &attackers {
        assert_eq!(ask(&world, &world.unknown_key(), attacker).await.unwrap(), "invalid_key");
    }
    let before = world.source.loads.load(Ordering::SeqCst);
    let gate = world.source.hold_answers();
    let flood: Vec<_> =
        attackers.iter().map(|attacker| ask(&world, &world.unknown_key(), attacker)).collect();
    settle().await;
    assert_eq!(world.source.loads() - before, 3, "the fourth turn is not theirs");
    let customer = ask(&world, &good, "203.0.113.1");
    settle().await;
    assert_eq!(world.source.loads() - before, 4);
    gate.add_permits(100);
    assert_eq!(customer.await.unwrap(), "valid");
    for attacker in flood {
        assert_eq!(attacker.await.unwrap(), "invalid_key", "they had their turns as well");
    }
}
