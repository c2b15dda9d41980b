//! What lies between one process and the database: delays, losses, cuts, and statements that outlive whoever
//! sent them.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::time::Monotonic;
use rndrkit_verifier::SourceError;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use crate::clocks::{DatabaseClock, NodeClock, RealTime};
use crate::database::Server;
use crate::gate::Gate;
use crate::planted::Planted;
use crate::random::Random;

/// What all processes share.
pub(crate) struct Shared {
    pub(crate) server: Mutex<Server>,
    pub(crate) real: RealTime,
    pub(crate) database_clock: DatabaseClock,
    pub(crate) planted: Planted,
    /// Whether lines are slow and lossy by seed; otherwise every way takes a millisecond.
    pub(crate) stormy: bool,
    pub(crate) listeners: Mutex<Vec<Listener>>,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topic {
    News,
    Confirmed,
}

/// One process that listens for notifications.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) news: Arc<Notify>,
    pub(crate) confirmed: Arc<Notify>,
    pub(crate) cut: Arc<AtomicBool>,
}

impl Shared {
    pub(crate) fn new(seed: u64, planted: Planted, stormy: bool) -> Arc<Self> {
        let real = RealTime::begin();
        Arc::new(Self {
            server: Mutex::new(Server::new(seed)),
            real,
            database_clock: DatabaseClock::new(real),
            planted,
            stormy,
            listeners: Mutex::default(),
        })
    }

    /// Tells everybody who listens, some late and some never.
    pub(crate) fn notify(&self, topic: Topic) {
        let listeners = self.listeners.lock().clone();
        for listener in listeners {
            let (delay, is_lost) = {
                let random = &self.server.lock().random;
                let delay = random.between(Duration::from_micros(200), Duration::from_millis(8));
                (delay, self.stormy && random.once_in(4))
            };
            if is_lost || listener.cut.load(Ordering::Relaxed) {
                continue;
            }
            tokio::spawn(async move {
                sleep(delay).await;
                match topic {
                    Topic::News => listener.news.notify_one(),
                    Topic::Confirmed => listener.confirmed.notify_waiters(),
                }
            });
        }
    }
}

/// A process's way to the database.
pub(crate) struct Wire {
    pub(crate) shared: Arc<Shared>,
    pub(crate) process: usize,
    pub(crate) gate: Arc<Gate>,
    pub(crate) random: Arc<Random>,
    pub(crate) listener: Listener,
    /// Set by directed schedules: answers to look-ups wait for it.
    pub(crate) hold_loads: Hold,
    /// The part of the process that reads the feed is stuck.
    pub(crate) hold_entries: Hold,
    /// Set by directed schedules: statements that take others' rows away are under way for long.
    pub(crate) hold_reaps: Hold,
    /// What the process has drawn, by account, with the reading of its clock when it asked.
    pub(crate) drawn: Mutex<BTreeMap<AccountId, VecDeque<(Monotonic, u32)>>>,
    pub(crate) clock: Arc<NodeClock>,
}

/// Answers that a directed schedule holds back.
#[derive(Default)]
pub(crate) struct Hold {
    held: AtomicBool,
    released: Notify,
    waiting: AtomicBool,
}

impl Hold {
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.held.store(false, Ordering::Relaxed);
        self.released.notify_waiters();
    }

    /// Whether anything was ever held back here.
    pub(crate) fn has_held(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) async fn pass(&self) {
        while self.held.load(Ordering::Relaxed) {
            self.waiting.store(true, Ordering::Relaxed);
            self.released.notified().await;
        }
    }
}

/// What becomes of one statement on its way.
struct Fate {
    out: Duration,
    back: Duration,
    lost_out: bool,
    lost_back: bool,
}

/// How long a connection that swallows what is sent takes to be noticed without a deadline.
const SWALLOWED: Duration = Duration::from_secs(8);

impl Wire {
    fn fate(&self) -> Fate {
        if !self.shared.stormy {
            let way = Duration::from_millis(1);
            return Fate { out: way, back: way, lost_out: false, lost_back: false };
        }
        let random = &self.random;
        let way = || {
            let most = match random.below(100) {
                0..=84 => 8,
                85..=97 => 200,
                _ => 1_500,
            };
            random.between(Duration::from_micros(200), Duration::from_millis(most))
        };
        let (out, back) = (way(), way());
        let fate = random.below(120);
        Fate { out, back, lost_out: fate == 0, lost_back: fate == 1 }
    }

    fn is_cut(&self) -> bool {
        self.listener.cut.load(Ordering::Relaxed)
    }

    /// Sends a statement. It runs at one instant, if it arrives, whether or not anybody still waits for the
    /// answer.
    pub(crate) fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        deadline: Duration,
        statement: impl FnOnce(&mut Server) -> Result<T, SourceError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SourceError>> + Send + 'static {
        let wire = Arc::clone(self);
        async move {
            if !wire.gate.pass().await {
                return Err(SourceError::new("the process has ended"));
            }
            let (send, receive) = oneshot::channel();
            tokio::spawn(Arc::clone(&wire).carry(statement, send));
            let answer = match timeout(deadline, receive).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(SourceError::new("the connection broke")),
                Err(_) => Err(SourceError::new("no answer in time")),
            };
            if !wire.gate.pass().await {
                return Err(SourceError::new("the process has ended"));
            }
            answer
        }
    }

    async fn carry<T: Send + 'static>(
        self: Arc<Self>,
        statement: impl FnOnce(&mut Server) -> Result<T, SourceError> + Send + 'static,
        send: oneshot::Sender<Result<T, SourceError>>,
    ) {
        let Fate { out, back, lost_out, lost_back } = self.fate();
        sleep(out).await;
        if lost_out || self.is_cut() {
            return swallow(send).await;
        }
        let (answer, connections) = {
            let mut server = self.shared.server.lock();
            if server.is_down {
                (Err(SourceError::new("the database is not there")), server.connections)
            } else {
                *server.statements.entry(self.process).or_default() += 1;
                (statement(&mut server), server.connections)
            }
        };
        sleep(back).await;
        if lost_back || self.is_cut() {
            return swallow(send).await;
        }
        if self.shared.server.lock().connections == connections {
            let _ = send.send(answer);
        }
    }
}

async fn swallow<T>(send: oneshot::Sender<T>) {
    sleep(SWALLOWED).await;
    drop(send);
}
