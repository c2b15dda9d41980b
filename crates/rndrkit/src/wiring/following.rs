//! How this process keeps level with the feed, and what its changes wait for: alone on SQLite, or as one node
//! of several on PostgreSQL. Everything else is the same for both.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_cluster::{Machine, Member, MemberHandle, MemberOptions, Waiter};
use rndrkit_control::{Confirm, Control};
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Clock;
use rndrkit_store::{NodeLine, Store};
use rndrkit_verifier::{Follower, FollowerOptions, Verifier};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::adapters::StoreSource;
use super::confirm::{EveryNode, LocalConfirm};
use super::error::StartError;
use super::line::{LineOf, RegistryOf};
use super::parts::stopped;
use crate::config::{Database, Settings};

/// How often the feed is looked at without a reason, on a database that only this process writes.
const LOOK_EVERY_ALONE: Duration = Duration::from_secs(60);
/// How long the database may take to answer one call of the node's own line: one beat of the default, so that
/// another can be tried within the time of trust.
const LINE_DEADLINE: Duration = Duration::from_secs(1);
/// Pause before remembered revocations are tried again while the database does not take them.
const REPLAY_PAUSE: Duration = Duration::from_secs(1);

/// This process on its way along the feed.
pub(super) struct Following {
    /// What changes wait for.
    pub(super) confirm: Arc<dyn Confirm>,
    /// Its place among the nodes; none when it stands alone.
    pub(super) place: Option<NodePlace>,
    task: JoinHandle<()>,
}

/// A process's place among several nodes.
#[derive(Clone)]
pub(super) struct NodePlace {
    /// How it stands.
    pub(super) member: MemberHandle,
    /// Its line to the database.
    pub(super) line: Arc<NodeLine>,
}

/// What a process stands on before it follows anything.
pub(super) struct Ground<'a> {
    pub(super) settings: &'a Settings,
    pub(super) store: Store,
    pub(super) source: StoreSource,
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Following {
    /// Begins to follow. Until trust comes, nothing can be decided.
    pub(super) fn begin(ground: &Ground<'_>) -> Result<Self, StartError> {
        match &ground.settings.storage.database {
            Database::Sqlite { .. } => Ok(Self::alone(ground)),
            Database::Postgres { url } => {
                let url = ground.settings.storage.control.as_ref().unwrap_or(url);
                let line = Arc::new(NodeLine::new(url.reveal(), LINE_DEADLINE)?);
                Ok(Self::among_others(ground, line))
            }
        }
    }

    fn alone(ground: &Ground<'_>) -> Self {
        let options = FollowerOptions { trust: None, poll_interval: LOOK_EVERY_ALONE };
        let feed = Arc::new(ground.source.clone());
        let (follower, handle) = Follower::new(ground.verifier.clone(), feed, options);
        let task = tokio::spawn(follower.run(stopped(&ground.stopping)));
        Self { confirm: Arc::new(LocalConfirm::new(handle, ground.clock.clone())), place: None, task }
    }

    fn among_others(ground: &Ground<'_>, line: Arc<NodeLine>) -> Self {
        let decision = &ground.settings.decision;
        let options = MemberOptions {
            name: decision.node_name.clone().unwrap_or_else(host_name),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            trust: decision.trust,
            beat: decision.beat,
        };
        let machine = Machine::new(ground.clock.clone(), ground.entropy.clone());
        let own_line = Arc::new(LineOf(line.clone()));
        let (member, handle) = Member::new(ground.verifier.clone(), own_line, machine, options);
        let registry = RegistryOf { store: ground.store.clone(), line: line.clone() };
        let waiter = Waiter::new(&handle, Arc::new(registry));
        Self {
            confirm: Arc::new(EveryNode::new(waiter, handle.clone())),
            place: Some(NodePlace { member: handle, line }),
            task: tokio::spawn(member.run(stopped(&ground.stopping))),
        }
    }

    /// Waits for the end, which the stop signal brings: trust is over then, and the node off the list.
    pub(super) async fn ended(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "following the feed ended badly");
        }
        if let Some(place) = self.place {
            place.line.close().await;
        }
    }
}

/// Revokes again whatever this node remembers and the database has lost. Runs until aborted.
pub(super) async fn replay_always(member: MemberHandle, control: Control) {
    loop {
        let mut keys = member.lost_history().await.revoked;
        // Goes on with what is left: the first of many would else be revoked again and again.
        while let Err(error) = control.replay_revocations(keys).await {
            tracing::error!(%error, "remembered revocations are not all made again yet");
            keys = error.left;
            tokio::time::sleep(REPLAY_PAUSE).await;
        }
    }
}

/// What the machine is called; people tell nodes apart by it.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if name.is_empty() { "node".to_owned() } else { name }
}
