//! The parts of a server without its listeners: store, verifier, control plane, data plane, and the tasks
//! that keep them going.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_control::Control;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::random::{self, Entropy};
use rndrkit_domain::time::Clock;
use rndrkit_edge::Edge;
use rndrkit_server::ServerState;
use rndrkit_store::{Change, OpenOptions, Store};
use rndrkit_verifier::{ChangeFeed, Flusher, Follower, FollowerHandle, FollowerOptions, Verifier};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::adapters::StoreSource;
use super::confirm::LocalConfirm;
use super::error::StartError;
use super::health::{NodeHealth, install_metrics};
use super::sole_node::SoleNode;
use super::tokens::Tokens;
use super::{convert, upkeep};
use crate::config::{DataFolder, Database, Settings};

/// How often counted use is written: what a crash may lose (promise 7).
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// How often the feed is looked at without a reason, on a database that only this process writes.
const LOOK_EVERY_ALONE: Duration = Duration::from_secs(60);
/// How long the first catching-up may take.
const READY_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Parts {
    pub(super) control: Control,
    pub(super) edge: Arc<Edge>,
    pub(super) health: Arc<NodeHealth>,
    pub(super) operator_token_file: Option<PathBuf>,
    pub(super) is_new_prefix: bool,
    store: Store,
    tokens: Arc<Tokens>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    upkeep: JoinHandle<()>,
    /// The folder's lock, held to the end.
    _folder: Option<DataFolder>,
}

impl Parts {
    pub(super) async fn build(
        settings: &Settings,
        mut folder: Option<DataFolder>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let metrics = install_metrics();
        rndrkit_verifier::describe_metrics();
        rndrkit_edge::describe_metrics();
        let (operator_token, operator_token_file) = operator_token(settings, folder.as_ref(), &*entropy)?;
        if let Some(path) = settings.storage.database.sqlite_path() {
            if let Some(folder) = &mut folder {
                folder.lock_database(path)?;
            }
            DataFolder::prepare_database_file(path)?;
        }
        let store = Store::open(&OpenOptions::new(settings.storage.database.url())).await?;
        let change = Change {
            at: clock.now(),
            tag: i64::from_le_bytes(random::bytes(&*entropy)),
            salt: random::bytes(&*entropy),
        };
        let is_new_prefix = store.ensure_prefix(&settings.product.key_prefix, change).await?.changed;

        let source = StoreSource::new(store.clone(), clock.clone());
        let verifier =
            Verifier::new(convert::verifier_options(settings), clock.clone(), Arc::new(source.clone()));
        verifier.set_prefixes(store.list_prefixes().await?);

        let (stop, stopping) = watch::channel(false);
        let sole_node = claim(settings, &store, &clock, &*entropy).await?;
        let follower = follow(settings, &verifier, &source, sole_node.as_ref(), &stopping);
        let mut tasks = vec![follower.task];
        if let Some(sole_node) = sole_node {
            let kept = sole_node.keep(follower.handle.clone(), stopped(&stopping));
            tasks.push(tokio::spawn(kept));
        }
        let confirm = Arc::new(LocalConfirm::new(follower.handle, clock.clone()));
        let made = make_control(settings, &verifier, &store, &clock, &entropy, confirm).await;
        let control = match made {
            Ok(control) => control,
            Err(error) => {
                // In order, or the next start would wait for a process that never decided anything.
                stop.send_replace(true);
                for task in tasks {
                    let _ = task.await;
                }
                return Err(error);
            }
        };
        let edge_options = convert::edge_options(settings, operator_token);
        let edge = Edge::new(edge_options, verifier.clone(), clock.clone(), entropy)?;
        let health = Arc::new(NodeHealth::new(verifier.clone(), store.clone(), metrics));
        let flusher = Flusher::new(verifier.usage().clone(), Arc::new(source), FLUSH_EVERY);
        tasks.push(tokio::spawn(flusher.run(stopped(&stopping))));
        let upkeep =
            upkeep::run(store.clone(), control.clone(), clock, health.clone(), settings.retention.clone());
        let upkeep = tokio::spawn(upkeep);
        Ok(Self {
            control,
            edge,
            health,
            operator_token_file,
            is_new_prefix,
            store,
            tokens: Arc::new(Tokens::new(operator_token, verifier)),
            stop,
            tasks,
            upkeep,
            _folder: folder,
        })
    }

    pub(super) fn server_state(&self, settings: &Settings, entropy: Arc<dyn Entropy>) -> ServerState {
        ServerState {
            control: self.control.clone(),
            authenticator: self.tokens.clone(),
            health: self.health.clone(),
            entropy,
            settings: Arc::new(convert::server_settings(settings)),
        }
    }

    /// Ends the tasks in order: counters are written, the right to serve is given back.
    pub(super) async fn stop(self) {
        self.upkeep.abort();
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task ended badly");
            }
        }
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }
}

/// The control plane, once the verifier follows the feed and the database has the settings' plans.
async fn make_control(
    settings: &Settings,
    verifier: &Verifier,
    store: &Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    confirm: Arc<LocalConfirm>,
) -> Result<Control, StartError> {
    wait_until_ready(verifier).await?;
    let control_settings = convert::control_settings(settings);
    let control = Control::new(control_settings, store.clone(), clock.clone(), entropy.clone(), confirm)?;
    control.sync_plans(settings.product.plans.clone()).await?;
    Ok(control)
}

struct Following {
    handle: FollowerHandle,
    task: JoinHandle<()>,
}

fn follow(
    settings: &Settings,
    verifier: &Arc<Verifier>,
    source: &StoreSource,
    sole_node: Option<&SoleNode>,
    stopping: &watch::Receiver<bool>,
) -> Following {
    let (feed, options): (Arc<dyn ChangeFeed>, FollowerOptions) = match sole_node {
        None => (Arc::new(source.clone()), FollowerOptions { trust: None, poll_interval: LOOK_EVERY_ALONE }),
        Some(sole_node) => (
            Arc::new(sole_node.feed(source.clone())),
            FollowerOptions { trust: Some(settings.decision.trust), poll_interval: settings.decision.beat },
        ),
    };
    let (follower, handle) = Follower::new(verifier.clone(), feed, options);
    Following { handle, task: tokio::spawn(follower.run(stopped(stopping))) }
}

async fn claim(
    settings: &Settings,
    store: &Store,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Option<SoleNode>, StartError> {
    match &settings.storage.database {
        Database::Sqlite { .. } => Ok(None),
        Database::Postgres { url } => {
            let trust = settings.decision.trust;
            let claimed =
                SoleNode::claim(url.reveal().to_owned(), store.clone(), trust, clock.clone(), entropy)
                    .await?;
            Ok(Some(claimed))
        }
    }
}

fn operator_token(
    settings: &Settings,
    folder: Option<&DataFolder>,
    entropy: &dyn Entropy,
) -> Result<(Digest, Option<PathBuf>), StartError> {
    if let Some(token) = &settings.access.operator_token {
        return Ok((token.digest(), None));
    }
    let token = folder.ok_or(StartError::NoOperatorToken)?.operator_token(entropy)?;
    Ok((token.secret.digest(), Some(token.path)))
}

async fn wait_until_ready(verifier: &Verifier) -> Result<(), StartError> {
    let ready = async {
        while !verifier.is_trusted() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, ready)
        .await
        .map_err(|_| StartError::NotReady { seconds: READY_WITHIN.as_secs() })
}

fn stopped(stopping: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopping = stopping.clone();
    async move {
        // An error means that the sender is gone, and with it the server.
        let _ = stopping.wait_for(|stop| *stop).await;
    }
}
