//! One accepted connection, as far as requests on it need to know: the peer, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

use crate::addresses::Presence;
use crate::gateway::patience::Patience;
use crate::intake::Tally;
use crate::meters::ConnectionCount;
use crate::workers::Place;

/// What a listener is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// Finishing what is in progress.
    Draining,
    /// Ending whatever is left.
    Closed,
}

/// A connection. Held by its own task and by whatever it was upgraded to; gone when all of them are.
pub(crate) struct Connection {
    /// The other end of the socket.
    pub(crate) peer: SocketAddr,
    /// Whether it is encrypted.
    pub(crate) tls: bool,
    /// Which worker serves it: it alone uses that worker's pools of upstream connections.
    pub(crate) worker: usize,
    /// Requests of an HTTP/1 connection.
    pub(crate) tally: Arc<Tally>,
    /// How long its requests wait for upstreams.
    pub(crate) patience: Patience,
    cut: Notify,
    phase: watch::Receiver<Phase>,
    _shares: Shares,
}

/// What a connection takes of what there is, and gives back when it is gone.
#[expect(dead_code, reason = "kept for what dropping them gives back")]
pub(crate) struct Shares {
    /// Its worker.
    pub(crate) place: Place,
    /// One of the listener's connections.
    pub(crate) permit: OwnedSemaphorePermit,
    /// One of its address's connections.
    pub(crate) presence: Presence,
    /// What is shown of it.
    pub(crate) count: ConnectionCount,
}

impl Connection {
    pub(crate) fn new(peer: SocketAddr, tls: bool, phase: watch::Receiver<Phase>, shares: Shares) -> Self {
        Self {
            peer,
            tls,
            worker: shares.place.worker,
            tally: Arc::default(),
            patience: Patience::default(),
            cut: Notify::new(),
            phase,
            _shares: shares,
        }
    }

    /// Closes the socket at once, whatever is in progress.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Resolves when the connection was cut.
    pub(crate) async fn was_cut(&self) {
        self.cut.notified().await;
    }

    /// Resolves when the listener finishes, one way or the other.
    pub(crate) async fn draining(&self) {
        self.reached(|phase| phase != Phase::Running).await;
    }

    /// Resolves when the listener ends whatever is left.
    pub(crate) async fn closed(&self) {
        self.reached(|phase| phase == Phase::Closed).await;
    }

    async fn reached(&self, wanted: impl Fn(Phase) -> bool) {
        // A listener that is gone without a word has ended everything too.
        let _ = self.phase.clone().wait_for(|phase| wanted(*phase)).await;
    }
}
