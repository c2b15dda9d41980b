//! Exchanges that outlive their decision: watched, and cut when their key may no longer have them.
//!
//! A cut closes the caller's socket. It does not wait for anybody to read or write, so a caller that has
//! stopped reading is cut like any other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rndrkit_verifier::{Change, Standing, Verifier, Watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::connection::Connection;
use crate::edge::Edge;

/// Longest time that a renewed judgement may take. A cut is promised within a second of the change.
const RECHECK_DEADLINE: Duration = Duration::from_millis(800);

/// How often it is tried again while nobody knows: after a change that names the key or its account, and else
/// (by all streams of a node at once).
const LOOK_AGAIN_SOON: Duration = Duration::from_millis(50);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long a plain exchange may wait before it is watched: most wait less, and then nothing is spent. Short
/// beside the grace that it has.
pub(crate) const WATCH_AFTER: Duration = Duration::from_secs(1);

/// How soon an exchange is cut once its key no longer allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has an end of its own: a known length, or an answer that is being made. It may finish, but soon.
    Plain,
    /// It lasts as long as it likes: a stream of events, or a body whose length nobody knows. At once.
    Long,
}

/// Judges one exchange anew whenever its key or account changes, and now and then for ends that only time
/// brings.
#[derive(Clone)]
pub(crate) struct Overseer {
    verifier: Arc<Verifier>,
    watch: Watch,
    interval: Duration,
    /// How long it may go on without anybody knowing, from the look that found so.
    unknown_grace: Duration,
}

impl Overseer {
    fn new(edge: &Edge, watch: Watch) -> Self {
        let limits = &edge.options.limits;
        Self {
            verifier: edge.verifier.clone(),
            watch,
            interval: limits.recheck_interval,
            // Trust may have ended just after the last look.
            unknown_grace: limits.untrusted_grace.saturating_sub(limits.recheck_interval),
        }
    }

    /// Resolves when the exchange is no longer allowed. After a change that may concern it, not knowing in
    /// time is not allowed. Else (the database is away, or everything has to be read again) nothing says that
    /// its key changed: it then goes on for a while, and is judged as soon as that can be done. A change that
    /// names it meanwhile ends that at once.
    pub(crate) async fn until_refused(&mut self) {
        loop {
            // The end of the interval is a reason to look, like a change.
            let goes_on = match timeout(self.interval, self.watch.changed()).await {
                Ok(Change::Named) => self.settled_soon().await,
                Ok(Change::Broad) | Err(_) => self.settled().await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Whether it goes on, waiting for an answer as long as no change names it.
    async fn settled(&mut self) -> bool {
        let onlooker = self.clone();
        tokio::select! {
            known = timeout(self.unknown_grace, onlooker.known_in_turn()) => known.unwrap_or(false),
            () = self.named() => self.settled_soon().await,
        }
    }

    async fn named(&mut self) {
        while self.watch.changed().await != Change::Named {}
    }

    /// Resolves when it is known whether the exchange is allowed, looking when others let it.
    async fn known_in_turn(&self) -> bool {
        loop {
            match self.verifier.recheck_in_turn(&self.watch).await {
                Standing::Good => return true,
                Standing::Refused => return false,
                Standing::Unknown => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Whether it goes on, after a change that may have taken its right away: soon, or it does not.
    async fn settled_soon(&self) -> bool {
        timeout(RECHECK_DEADLINE, self.known()).await.unwrap_or(false)
    }

    async fn known(&self) -> bool {
        loop {
            match self.verifier.recheck(&self.watch).await {
                Standing::Good => return true,
                Standing::Refused => return false,
                Standing::Unknown => sleep(LOOK_AGAIN_SOON).await,
            }
        }
    }

    /// Resolves when the exchange is no longer allowed, and was not a while before either. What was unknown
    /// or taken back for a moment in between is forgiven: a plain exchange is not worth losing for it.
    async fn until_refused_for(&mut self, grace: Duration) {
        loop {
            self.until_refused().await;
            sleep(grace).await;
            if self.verifier.recheck(&self.watch).await != Standing::Good {
                return;
            }
        }
    }
}

/// Cuts a connection when its exchange is no longer allowed, for as long as the guard lives.
///
/// It begins to watch when it is told to, so that an exchange that ends at once pays nothing. Nothing is
/// lost by beginning later: changes since the decision are seen.
pub(crate) struct StreamGuard {
    edge: Arc<Edge>,
    watch: Watch,
    connection: Arc<Connection>,
    plain: OnceLock<AbortHandle>,
    long: OnceLock<AbortHandle>,
}

impl StreamGuard {
    /// A guard that has not begun to watch.
    pub(crate) fn new(edge: Arc<Edge>, watch: Watch, connection: Arc<Connection>) -> Self {
        Self { edge, watch, connection, plain: OnceLock::new(), long: OnceLock::new() }
    }

    /// What it watches.
    pub(crate) const fn watched(&self) -> &Watch {
        &self.watch
    }

    /// An overseer for somebody else who watches.
    pub(crate) fn overseer(&self) -> Overseer {
        Overseer::new(&self.edge, self.watch.clone())
    }

    /// Begins to watch. What is long stays long; saying the same again does nothing.
    pub(crate) fn start(&self, kind: Kind) {
        match kind {
            Kind::Plain if self.long.get().is_some() => {}
            Kind::Plain => {
                self.plain.get_or_init(|| self.spawn(kind));
            }
            Kind::Long => {
                self.long.get_or_init(|| self.spawn(kind));
            }
        }
    }

    fn spawn(&self, kind: Kind) -> AbortHandle {
        let mut overseer = self.overseer();
        let connection = self.connection.clone();
        let cut = self.edge.meters.streams_cut.clone();
        let grace = self.edge.options.limits.plain_grace;
        let task = tokio::spawn(async move {
            match kind {
                Kind::Plain => overseer.until_refused_for(grace).await,
                Kind::Long => overseer.until_refused().await,
            }
            cut.increment(1);
            connection.cut();
        });
        task.abort_handle()
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        for task in [self.plain.get(), self.long.get()].into_iter().flatten() {
            task.abort();
        }
    }
}
