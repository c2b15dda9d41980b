//! What is done to the machines while load goes on: each fault once in a round, in an order that the seed says.

use std::fmt;
use std::time::Duration;

use rndrkit_testkit::proxy::Traffic;

use crate::history::Hurts;
use crate::nodes::{Cluster, TRUST};
use crate::world::{Random, World};

/// Between two faults.
const REST: Duration = Duration::from_millis(1_500);
/// Longer than a node may decide without the database, so that each fault outlasts what it should not.
const LONG: Duration = TRUST.saturating_add(Duration::from_millis(1_800));

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stop(usize),
    Kill(usize),
    Cut(usize),
    Swallow(usize),
    Late(usize),
    RestartDatabase,
}

/// A round of all of them.
#[derive(Debug)]
pub struct Round(Vec<Fault>);

impl Round {
    /// In an order and on nodes that the seed says.
    pub fn of(random: &mut Random, nodes: usize) -> Self {
        let mut faults = vec![
            Fault::Stop(random.below(nodes)),
            Fault::Kill(random.below(nodes)),
            Fault::Cut(random.below(nodes)),
            Fault::Swallow(random.below(nodes)),
            Fault::Late(random.below(nodes)),
            Fault::RestartDatabase,
        ];
        for place in (1..faults.len()).rev() {
            faults.swap(place, random.below(place + 1));
        }
        Self(faults)
    }

    /// Makes them happen, one after the other.
    pub async fn run(&self, cluster: &mut Cluster, world: &World) {
        for fault in &self.0 {
            tokio::time::sleep(REST).await;
            happen(*fault, cluster, world).await;
        }
        tokio::time::sleep(REST).await;
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

async fn happen(fault: Fault, cluster: &mut Cluster, world: &World) {
    let from = world.recorder.now();
    match fault {
        Fault::Stop(node) => {
            cluster.server(node).signal("STOP");
            tokio::time::sleep(LONG).await;
            cluster.server(node).signal("CONT");
            world.recorder.fault(Some(node), "stopped and continued", Hurts::Running, from);
        }
        Fault::Kill(node) => {
            cluster.nodes[node].server.kill();
            tokio::time::sleep(REST).await;
            cluster.nodes[node].server.spawn().await;
            world.recorder.fault(Some(node), "killed and started again", Hurts::Running, from);
        }
        Fault::Cut(node) => {
            traffic(cluster, node, Traffic::Cut, LONG).await;
            world.recorder.fault(Some(node), "cut off from the database", Hurts::Reaching, from);
        }
        Fault::Swallow(node) => {
            traffic(cluster, node, Traffic::Swallowed, LONG).await;
            world.recorder.fault(Some(node), "heard nothing from the database", Hurts::Reaching, from);
        }
        Fault::Late(node) => {
            traffic(cluster, node, Traffic::Late(Duration::from_millis(150)), REST).await;
            world.recorder.fault(Some(node), "heard late from the database", Hurts::Reaching, from);
        }
        Fault::RestartDatabase => {
            cluster.postgres.crash();
            tokio::time::sleep(Duration::from_millis(300)).await;
            cluster.postgres.start().await;
            world.recorder.fault(None, "crashed and started again", Hurts::Reaching, from);
        }
    }
}

async fn traffic(cluster: &Cluster, node: usize, traffic: Traffic, time: Duration) {
    cluster.nodes[node].proxy.set(traffic);
    tokio::time::sleep(time).await;
    cluster.nodes[node].proxy.set(Traffic::Flows);
}
