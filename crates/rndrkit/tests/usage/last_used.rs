//! Last used: moved by every request with an active secret, admitted or not, and visible within the minute.

use serde_json::{Value, json};

use crate::world::{BURST, World};

/// Waits until a key's last use is another than this; what it is then.
async fn moved(world: &World, key: &str, before: Option<&str>, by: &str) -> String {
    let is_other = async |_: &_| world.last_used(key).await.as_deref() != before;
    assert!(world.server.eventually(is_other).await, "not moved within a minute by {by}");
    let now = world.last_used(key).await.unwrap();
    assert!(before.is_none_or(|before| before < now.as_str()), "{by}: moved back");
    now
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_moves_with_every_request_of_an_active_secret_whatever_came_of_it() {
    let world = World::start().await;
    let account = world.server.account("ada@example.com", "small").await;
    let (key, secret) = world.server.key(&account, "Production").await;
    assert_eq!(world.last_used(&key).await, None);
    assert_eq!(world.gateway(&secret, 200).await, 200);
    // Most of the budget, of which a minute brings one back.
    let cost = u32::try_from(BURST).unwrap();
    assert_eq!(world.verify(&secret, cost - 10).await, "valid");
    let mut last = moved(&world, &key, None, "an admitted request").await;
    assert_eq!(world.verify(&secret, 0).await, "valid");
    last = moved(&world, &key, Some(&last), "a look").await;
    world.change(&account, json!({"plan": "none"})).await;
    assert_eq!(world.authz(&secret).await, 403);
    last = moved(&world, &key, Some(&last), "a plan without API access").await;
    world.change(&account, json!({"plan": "small"})).await;
    assert_eq!(world.verify(&secret, cost).await, "rate_limited");
    moved(&world, &key, Some(&last), "a spent budget").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_where_it_was_when_the_secret_has_ended() {
    let world = World::start().await;
    let account = world.server.account("ada@example.com", "small").await;
    let (key, secret) = world.server.key(&account, "Production").await;
    let (other, still_good) = world.server.key(&account, "Other").await;
    assert_eq!(world.gateway(&secret, 200).await, 200);
    let last = moved(&world, &key, None, "an admitted request").await;
    assert_eq!(world.server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await.0, 200);
    assert_eq!(world.gateway(&secret, 200).await, 401);
    // The same flush brings both, if there are both.
    assert_eq!(world.gateway(&still_good, 200).await, 200);
    moved(&world, &other, None, "an admitted request").await;
    assert_eq!(world.last_used(&key).await, Some(last));
}
