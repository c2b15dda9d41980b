//! The parts of a server without its listeners: store, verifier, control plane, data plane, and the tasks
//! that keep them going.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_cluster::MemberStatus;
use rndrkit_control::Control;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Clock;
use rndrkit_edge::{Edge, EdgeOptions};
use rndrkit_server::ServerState;
use rndrkit_store::{AuditPublicKey, Change, OpenOptions, Store};
use rndrkit_verifier::{Budgets, Drawer, Flusher, ObservationFlusher, Verifier};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::adapters::StoreSource;
use super::clock::CommonClock;
use super::control_runtime::ControlRuntime;
use super::error::StartError;
use super::following::{Following, Ground, replay_always};
use super::health::{NodeHealth, install_metrics};
use super::mailer::Mailer;
use super::tokens::Tokens;
use super::{convert, mailer, signing, upkeep};
use crate::config::{DataFolder, Settings};

/// How often counted use is written: what a crash may lose (promise 7).
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// How long a stop waits for the database, step by step: ten seconds in all, after which whoever stops processes
/// is about to lose patience.
const CARRY_WITHIN: Duration = Duration::from_secs(5);
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// How long the first catching-up may take.
const READY_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Parts {
    pub(super) control: Control,
    pub(super) edge: Arc<Edge>,
    pub(super) health: Arc<NodeHealth>,
    pub(super) operator_token_file: Option<PathBuf>,
    pub(super) is_new_prefix: bool,
    pub(super) audit_public_key: Option<AuditPublicKey>,
    store: Store,
    tokens: Arc<Tokens>,
    stop: watch::Sender<bool>,
    following: Following,
    /// End when told to stop.
    tasks: Vec<JoinHandle<()>>,
    /// May be ended at any moment.
    background: Vec<JoinHandle<()>>,
    /// The folder's lock, held to the end.
    _folder: Option<DataFolder>,
}

impl Parts {
    pub(super) async fn build(
        settings: &Settings,
        mut folder: Option<DataFolder>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        workers: NonZeroUsize,
    ) -> Result<Self, StartError> {
        let metrics = install_metrics();
        rndrkit_verifier::describe_metrics();
        rndrkit_edge::describe_metrics();
        rndrkit_cluster::describe_metrics();
        mailer::describe_metrics();
        let (operator_token, operator_token_file) = operator_token(settings, folder.as_ref(), &*entropy)?;
        let signer = signing::signer(settings, folder.as_ref(), &*entropy)?.map(Arc::new);
        let store = open_store(settings, folder.as_mut()).await?;
        let prefix = Prefix::remember(settings, &store, &*clock, &*entropy).await?;
        let common = CommonClock::new(clock.clone());
        let source = StoreSource::new(store.clone(), common.clone(), ControlRuntime::here());
        let options = convert::verifier_options(settings);
        let (budgets, keys) = (convert::budgets(settings), Arc::new(source.clone()));
        let verifier = Verifier::with_budgets(budgets, options, clock.clone(), keys);
        verifier.add_prefixes(&prefix.all);
        common.follow(&verifier);

        let edge_options = EdgeOptions { workers, ..convert::edge_options(settings, operator_token) };
        let edge = Edge::new(edge_options, verifier.clone(), clock.clone(), entropy.clone())?;

        let (stop, stopping) = watch::channel(false);
        let ground = Ground { settings, store, source, verifier, clock, entropy, stopping };
        let following = Following::begin(&ground)?;
        let control = match make_control(&ground, &following, common.clone()).await {
            Ok(control) => control,
            Err(error) => {
                // In order, or changes on other nodes would wait for one that never decided anything.
                stop.send_replace(true);
                following.ended().await;
                return Err(error);
            }
        };
        if let Some(number) = prefix.introduced_by {
            control.introduce_prefix(number);
        }
        let tasks = carriers(&ground, &common, &edge);
        let Ground { store, verifier, .. } = ground;
        let health =
            Arc::new(NodeHealth::new(verifier.clone(), store.clone(), metrics, following.place.clone()));
        let mut background = Vec::new();
        if let Some(place) = &following.place {
            background.push(tokio::spawn(replay_always(place.member.clone(), control.clone())));
        }
        background.extend(signing::spawn(&store, signer.as_ref(), common.clone()));
        let audit_public_key = signer.as_ref().map(|signer| signer.public_key());
        let retention = upkeep::Kept { by: settings.retention.clone(), signer };
        let upkeep = upkeep::run(store.clone(), control.clone(), common, health.clone(), retention);
        background.push(tokio::spawn(upkeep));
        Ok(Self {
            control,
            edge,
            health,
            operator_token_file,
            is_new_prefix: prefix.is_new,
            audit_public_key,
            store,
            tokens: Arc::new(Tokens::new(operator_token, verifier)),
            stop,
            following,
            tasks,
            background,
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

    /// How this process stands among the nodes; none when it stands alone.
    pub(super) fn member_status(&self) -> Option<MemberStatus> {
        self.following.place.as_ref().map(|place| place.member.status())
    }

    /// Ends the tasks in order: counters are written, nothing is believed any more, the node leaves the list. A
    /// database that says nothing does not keep the process from ending.
    pub(super) async fn stop(self) {
        self.background.iter().for_each(JoinHandle::abort);
        self.stop.send_replace(true);
        let carried = async {
            for task in self.tasks {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a task ended badly");
                }
            }
        };
        in_time(CARRY_WITHIN, "the last use counted by this process was not written in time", carried).await;
        in_time(LEAVE_WITHIN, "this node did not leave the list of nodes in time", self.following.ended())
            .await;
        let closed = async {
            if let Err(error) = self.store.close().await {
                tracing::warn!(%error, "the database was not closed in order");
            }
        };
        in_time(CLOSE_WITHIN, "the connections to the database were not closed in time", closed).await;
    }
}

async fn in_time(limit: Duration, otherwise: &'static str, work: impl Future<Output = ()>) {
    if tokio::time::timeout(limit, work).await.is_err() {
        tracing::warn!("{otherwise}");
    }
}

async fn open_store(settings: &Settings, folder: Option<&mut DataFolder>) -> Result<Store, StartError> {
    let database = &settings.storage.database;
    if let Some(path) = database.sqlite_path() {
        if let Some(folder) = folder {
            folder.lock_database(path)?;
        }
        DataFolder::prepare_database_file(path)?;
    }
    Ok(Store::open(&OpenOptions::new(database.url()).with_mail(settings.mail.is_some())).await?)
}

/// What new keys begin with, among all prefixes of this installation.
struct Prefix {
    all: Vec<KeyPrefix>,
    is_new: bool,
    /// The change that brought it, if other nodes may still have to learn of it.
    introduced_by: Option<FeedNumber>,
}

impl Prefix {
    async fn remember(
        settings: &Settings,
        store: &Store,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, StartError> {
        let own = &settings.product.key_prefix;
        let remembered = store.ensure_prefix(own, Change::new(clock.now(), entropy)).await?;
        let all = store.list_prefixes().await?;
        // Newest first. Also when it is not new to this start: the start before may have ended too early.
        let may_be_news = all.len() > 1 && all.first() == Some(own);
        let introduced_by = may_be_news.then_some(remembered.number);
        Ok(Self { all, is_new: remembered.changed, introduced_by })
    }
}

/// What carries between memory, the database and the mail server: counted use, what was observed, shared budgets,
/// and mail.
fn carriers(ground: &Ground<'_>, common: &Arc<CommonClock>, edge: &Edge) -> Vec<JoinHandle<()>> {
    let Ground { settings, source, verifier, entropy, stopping, .. } = ground;
    let flusher = Flusher::new(verifier.usage().clone(), Arc::new(source.clone()), FLUSH_EVERY);
    let observed =
        ObservationFlusher::new(edge.observations().clone(), Arc::new(source.clone()), FLUSH_EVERY);
    let mut tasks =
        vec![tokio::spawn(flusher.run(stopped(stopping))), tokio::spawn(observed.run(stopped(stopping)))];
    if convert::budgets(settings) == Budgets::Shared {
        let drawer = Drawer::new(verifier.clone(), Arc::new(source.clone()), entropy.clone());
        tasks.push(tokio::spawn(drawer.run(stopped(stopping))));
    }
    tasks.extend(Mailer::start(ground, common.clone()));
    tasks
}

/// The control plane, once the verifier follows the feed and the database has the settings' plans.
async fn make_control(
    ground: &Ground<'_>,
    following: &Following,
    clock: Arc<CommonClock>,
) -> Result<Control, StartError> {
    let Ground { settings, store, verifier, entropy, .. } = ground;
    wait_until_ready(verifier).await?;
    let confirm = following.confirm.clone();
    let control_settings = convert::control_settings(settings);
    let control = Control::new(control_settings, store.clone(), clock, entropy.clone(), confirm)?;
    control.sync_plans(settings.product.plans.clone()).await?;
    Ok(control)
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

pub(super) fn stopped(stopping: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopping = stopping.clone();
    async move {
        // An error means that the sender is gone, and with it the server.
        let _ = stopping.wait_for(|stop| *stop).await;
    }
}
