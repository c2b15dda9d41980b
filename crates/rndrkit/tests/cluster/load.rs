//! Those who make load: askers on every node, makers and enders of keys, and one who changes plans.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::history::{Act, Outcome};
use crate::world::{Account, Held, Random, World};

/// How long a key lives at most.
const LIFE: Duration = Duration::from_millis(120);
/// Between two questions of one asker, so that askers do not take the whole machine.
const PAUSE: Duration = Duration::from_millis(2);
/// Keys of the account whose budget is shared.
const SPENDING_KEYS: usize = 5;

/// How often a change is repeated before something must be wrong.
const TRIES: usize = 1_000;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Askers on each node.
    pub askers: usize,
    /// Makers and enders of keys, each with an account of its own.
    pub changers: usize,
}

/// Starts everybody; they end when the world is over.
pub fn start(world: &Arc<World>, amount: Amount, random: &mut Random) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for node in 0..world.nodes() {
        for _ in 0..amount.askers {
            load.spawn(ask(world.clone(), node, Random(random.next())));
        }
    }
    for _ in 0..amount.changers {
        load.spawn(change_keys(world.clone(), Random(random.next())));
    }
    load.spawn(change_access(world.clone(), Random(random.next())));
    load.spawn(spend(world.clone(), Random(random.next())));
    load
}

async fn ask(world: Arc<World>, node: usize, mut random: Random) {
    while !world.is_over() {
        if let Some(key) = world.any(&mut random) {
            world.decide(Act::Look, node, &key).await;
        }
        tokio::time::sleep(random.up_to(PAUSE * 2)).await;
    }
}

/// A change that may be repeated.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Delete(&'a Held),
    Access(Act, &'a Account, &'a str),
}

/// Repeats a change through any node until it is done; whether it was done at the first try.
async fn until_done(world: &World, random: &mut Random, change: Change<'_>) -> bool {
    for tries in 0..TRIES {
        let node = random.below(world.nodes());
        let outcome = match change {
            Change::Delete(key) => world.delete(node, key).await,
            Change::Access(act, account, body) => world.set_account(act, node, account, body).await,
        };
        if outcome == Outcome::Done {
            return tries == 0;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a change is refused again and again");
}

async fn change_keys(world: Arc<World>, mut random: Random) {
    let Some(mut account) = world.account("wide", &mut random).await else { return };
    while !world.is_over() {
        let key = match world.create(random.below(world.nodes()), &account).await {
            Ok(key) => key,
            Err(Outcome::Declined) => {
                // Creates without an answer may have filled it.
                let Some(fresh) = world.account("wide", &mut random).await else { return };
                account = fresh;
                continue;
            }
            Err(_) => {
                tokio::time::sleep(LIFE).await;
                continue;
            }
        };
        world.hold(key.clone());
        world.probe(&key);
        tokio::time::sleep(random.up_to(LIFE)).await;
        until_done(&world, &mut random, Change::Delete(&key)).await;
        world.probe(&key);
    }
}

/// Takes access from an account and gives it back, by plan and by suspension in turn.
async fn change_access(world: Arc<World>, mut random: Random) {
    const WAYS: [(&str, &str); 2] = [
        ("{\"plan\":\"starter\"}", "{\"plan\":\"wide\"}"),
        ("{\"status\":\"suspended\"}", "{\"status\":\"active\"}"),
    ];
    while let Some(account) = world.account("wide", &mut random).await {
        let Ok(key) = world.create(random.below(world.nodes()), &account).await else { continue };
        for _ in 0..20 {
            // Often enough that somebody asks in between.
            for _ in 0..8 {
                world.hold(key.clone());
            }
            let (narrow, widen) = WAYS[random.below(WAYS.len())];
            // Without a certain answer at the first try it may take effect at any time, and nothing more can be
            // said about the account.
            if !until_done(&world, &mut random, Change::Access(Act::Narrow, &account, narrow)).await {
                break;
            }
            world.probe(&key);
            tokio::time::sleep(random.up_to(LIFE)).await;
            if !until_done(&world, &mut random, Change::Access(Act::Widen, &account, widen)).await {
                break;
            }
            world.probe(&key);
            tokio::time::sleep(random.up_to(LIFE)).await;
            if world.is_over() {
                return;
            }
        }
    }
}

/// Spends more than the budget of one account with all its keys on all nodes.
async fn spend(world: Arc<World>, mut random: Random) {
    let Some(account) = world.account("agency", &mut random).await else { return };
    let mut keys = Vec::new();
    while keys.len() < SPENDING_KEYS && !world.is_over() {
        match world.create(random.below(world.nodes()), &account).await {
            Ok(key) => keys.push(key),
            Err(Outcome::Declined) => break,
            Err(_) => {}
        }
    }
    let mut spenders = JoinSet::new();
    for node in 0..world.nodes() {
        let (world, keys, mut random) = (world.clone(), keys.clone(), Random(random.next()));
        spenders.spawn(async move {
            while !world.is_over() && !keys.is_empty() {
                world.decide(Act::Spend, node, &keys[random.below(keys.len())]).await;
                tokio::time::sleep(random.up_to(PAUSE * 40)).await;
            }
        });
    }
    spenders.join_all().await;
}
