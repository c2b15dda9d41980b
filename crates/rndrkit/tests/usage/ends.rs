//! What is left of counted use when a process ends.

use std::time::Duration;

use crate::world::World;

const FIRST: u64 = 7;
const MORE: u64 = 11;

async fn world() -> (World, String, String, String) {
    let world = World::start().await;
    let account = world.server.account("ada@example.com", "small").await;
    let (key, secret) = world.server.key(&account, "Production").await;
    (world, account, key, secret)
}

async fn ask(world: &World, secret: &str, times: u64) {
    for _ in 0..times {
        assert_eq!(world.gateway(secret, 200).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_order_loses_nothing() {
    let (mut world, account, key, secret) = world().await;
    ask(&world, &secret, FIRST).await;
    assert_eq!(world.server.terminate(), Some(0));
    world.server.spawn().await;
    let counted = world.counted(&account, &key, "minute").await;
    assert_eq!(counted, ([FIRST, 0, 0], [FIRST, 0, 0, 0]), "it is there at once");
    assert!(world.last_used(&key).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_what_was_not_flushed_and_nothing_before_it() {
    let (mut world, account, key, secret) = world().await;
    ask(&world, &secret, FIRST).await;
    let flushed = async |_: &_| world.counted(&account, &key, "day").await.0[0] == FIRST;
    assert!(world.server.eventually(flushed).await);
    ask(&world, &secret, MORE).await;
    world.server.kill();
    world.server.spawn().await;
    let ([allowed, limited, refused], _) = world.counted(&account, &key, "day").await;
    assert!((FIRST..=FIRST + MORE).contains(&allowed), "{allowed}");
    assert_eq!((limited, refused), (0, 0));
    // What is counted from now on is added to what is left, once.
    ask(&world, &secret, FIRST).await;
    let added = async |_: &_| world.counted(&account, &key, "day").await.0[0] == allowed + FIRST;
    assert!(world.server.eventually(added).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.counted(&account, &key, "day").await.0, [allowed + FIRST, 0, 0]);
}
