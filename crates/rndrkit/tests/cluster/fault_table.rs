//! One fault at a time: what requests see, and what a delete call on another node does.

use std::time::{Duration, Instant};

use rndrkit_domain::node::longest_wait;
use rndrkit_testkit::proxy::Traffic;
use serde_json::Value;

use crate::history::{Act, Outcome};
use crate::nodes::{BEAT, Cluster, TRUST};
use crate::world::{Held, Random, World};

/// What a busy machine may add.
const MARGIN: Duration = Duration::from_secs(2);
/// A delete that waited for nobody.
const QUICK: Duration = Duration::from_millis(1_500);

struct Scene {
    cluster: Cluster,
    world: std::sync::Arc<World>,
    keys: Vec<Held>,
}

/// Three nodes that all know five keys.
async fn scene() -> Option<Scene> {
    let cluster = Cluster::start_or_notice(3).await?;
    let (world, mut random) = (World::on(cluster.internal()), Random(8));
    let account = world.account("wide", &mut random).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..5 {
        let key = world.create(0, &account).await.unwrap();
        for node in 0..3 {
            assert_eq!(world.decide(Act::Look, node, &key).await, Outcome::Accepted);
        }
        keys.push(key);
    }
    Some(Scene { cluster, world, keys })
}

impl Scene {
    /// Deletes through a node: how long it took, and how many nodes confirmed and how many were waited out.
    async fn delete(&self, node: usize, key: usize) -> (Duration, u64, u64) {
        let begun = Instant::now();
        let path = format!("/v1/keys/{}", self.keys[key].id);
        let (status, receipt) = self.cluster.server(node).operator("DELETE", &path, Value::Null).await;
        assert_eq!(status, 200, "{receipt}");
        let count = |name: &str| receipt[name].as_u64().unwrap();
        (begun.elapsed(), count("nodes_confirmed"), count("nodes_expired"))
    }

    async fn look(&self, node: usize, key: usize) -> Outcome {
        self.world.decide(Act::Look, node, &self.keys[key]).await
    }

    /// Asks until the answer is this one.
    async fn until(&self, node: usize, key: usize, wanted: Outcome) {
        let begun = Instant::now();
        loop {
            let outcome = self.look(node, key).await;
            if outcome == wanted {
                return;
            }
            let is_no_lie = matches!(outcome, Outcome::Unavailable | Outcome::NoAnswer);
            assert!(is_no_lie, "{outcome:?} on the way to {wanted:?}");
            assert!(begun.elapsed() < Duration::from_secs(30), "{outcome:?} and never {wanted:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_is_waited_out_and_believes_nothing_when_it_goes_on() {
    let Some(scene) = scene().await else { return };
    scene.cluster.server(2).signal("STOP");
    let (took, confirmed, expired) = scene.delete(0, 0).await;
    assert!(took <= longest_wait(TRUST) + MARGIN, "{took:?}");
    assert_eq!((confirmed, expired), (2, 1));
    // Sent while it cannot run, answered when it can.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (world, key) = (scene.world.clone(), scene.keys[0].clone());
        waiting.spawn(async move { world.decide(Act::Look, 2, &key).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.cluster.server(2).signal("CONT");
    for outcome in waiting.join_all().await {
        assert!(matches!(outcome, Outcome::Unavailable | Outcome::Revoked), "{outcome:?}");
    }
    scene.until(2, 0, Outcome::Revoked).await;
    scene.until(2, 1, Outcome::Accepted).await;
    // It is one of three again.
    let begun = Instant::now();
    while scene.delete(0, 0).await.1 != 3 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never joined again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_delays_one_delete_and_no_later_one() {
    let Some(mut scene) = scene().await else { return };
    scene.cluster.nodes[2].server.kill();
    let (took, confirmed, expired) = scene.delete(0, 0).await;
    assert!(took <= longest_wait(TRUST) + MARGIN, "{took:?}");
    assert_eq!((confirmed, expired), (2, 1));
    // Its row goes as soon as a node has seen the same beat for so long on its own clock.
    let begun = Instant::now();
    while scene.cluster.postgres.sql("SELECT count(*) FROM nodes") != "2" {
        assert!(begun.elapsed() < longest_wait(TRUST) + MARGIN, "nobody takes its row away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (took, confirmed, expired) = scene.delete(1, 1).await;
    assert!(took < QUICK, "{took:?}");
    assert_eq!((confirmed, expired), (2, 0));
    scene.cluster.nodes[2].server.spawn().await;
    scene.until(2, 1, Outcome::Revoked).await;
    scene.until(2, 2, Outcome::Accepted).await;
    assert_eq!(scene.delete(1, 2).await.1, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cut_off_from_the_database_decides_for_its_trust_and_no_longer() {
    let Some(scene) = scene().await else { return };
    // One notices at once that its database is gone, the other only that nothing comes.
    scene.cluster.nodes[1].proxy.set(Traffic::Swallowed);
    scene.cluster.nodes[2].proxy.set(Traffic::Cut);
    let cut = Instant::now();
    for node in 1..3 {
        assert_eq!(scene.look(node, 1).await, Outcome::Accepted, "a short loss is ridden out");
    }
    let (took, confirmed, expired) = scene.delete(0, 0).await;
    assert!(took <= longest_wait(TRUST) + MARGIN, "{took:?}");
    assert_eq!((confirmed, expired), (1, 2));
    assert!(cut.elapsed() + BEAT >= TRUST, "answered while a node still believed the key");
    for node in 1..3 {
        for key in 0..2 {
            assert_eq!(scene.look(node, key).await, Outcome::Unavailable, "on node {node}");
        }
    }
    for node in 1..3 {
        scene.cluster.nodes[node].proxy.set(Traffic::Flows);
        scene.until(node, 0, Outcome::Revoked).await;
        scene.until(node, 1, Outcome::Accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_within_the_trust_is_not_noticed_by_requests() {
    // Long enough for a restart on a busy machine.
    let Some(mut cluster) = Cluster::start_with(3, &[("RNDRKIT_TRUST_SECONDS", "20")]).await else { return };
    let (world, mut random) = (World::on(cluster.internal()), Random(11));
    let account = world.account("wide", &mut random).await.unwrap();
    let key = world.create(0, &account).await.unwrap();
    let asking = tokio::spawn({
        let (world, key) = (world.clone(), key.clone());
        async move {
            while !world.is_over() {
                for node in 0..3 {
                    assert_eq!(
                        world.decide(Act::Look, node, &key).await,
                        Outcome::Accepted,
                        "on node {node}"
                    );
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.postgres.crash();
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.postgres.start().await;
    tokio::time::sleep(TRUST).await;
    world.end();
    let asked = asking.await;
    assert!(asked.is_ok(), "{asked:?}\n{}", cluster.server(0).log());
    // And changes are made again.
    let begun = Instant::now();
    while world.create(1, &account).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", cluster.server(1).log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
