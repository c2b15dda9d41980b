//! The session behind a line: whose turn it is, what is heard meanwhile, and whether anything can be heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use sea_orm::sqlx::postgres::{PgListener, PgNotification, PgPool};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::error::Error;
use crate::health::notifications_arrive;

/// Where a change is announced; the text is its number.
const NEWS: &str = "rndrkit";
/// Where a node says that it has applied something new.
pub(super) const CONFIRMATIONS: &str = "rndrkit_ack";

/// What came of listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// News, or the connection is gone.
    News,
    /// Somebody wants a turn, or it was not for the feed.
    Nothing,
}

/// Where the session is kept. Listening gives way to whoever wants to ask something.
#[derive(Debug, Default)]
pub(super) struct Place {
    session: Mutex<Option<PgListener>>,
    wanted: Notify,
    /// The session was lost or made, or news came while something was asked.
    changed: Notify,
    confirmed: Notify,
}

impl Place {
    /// Waits for a turn. The order matters: first into the queue of the lock, then the word to whoever listens.
    /// The other way round the listener could be back in the lock before this one has asked for it.
    pub(super) async fn take(&self) -> Turn<'_> {
        let session = tokio::select! {
            biased;
            session = self.session.lock() => session,
            never = self.ask() => match never {},
        };
        Turn { place: self, session, is_over: false }
    }

    async fn ask(&self) -> std::convert::Infallible {
        self.wanted.notify_one();
        std::future::pending().await
    }

    /// Resolves once after the session was lost or made, or news came while something was asked.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Resolves when a confirmation is heard.
    pub(super) async fn confirmed(&self) {
        self.confirmed.notified().await;
    }

    fn take_note(&self, told: &PgNotification) -> Heard {
        if told.channel() == CONFIRMATIONS {
            self.confirmed.notify_waiters();
            return Heard::Nothing;
        }
        Heard::News
    }

    /// Listens until something is heard or somebody wants a turn. Dropped half-way it has lost nothing: the driver
    /// takes whole messages only.
    pub(super) async fn listen(&self) -> Heard {
        let mut session = self.session.lock().await;
        let Some(listener) = session.as_mut() else {
            // Whoever takes the next turn connects, and says so.
            drop(session);
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            () = self.wanted.notified() => Heard::Nothing,
            heard = listener.try_recv() => {
                if let Ok(Some(told)) = heard {
                    return self.take_note(&told);
                }
                *session = None;
                Heard::News
            }
        }
    }

    /// Lets the session go.
    pub(super) async fn clear(&self) {
        let mut turn = self.take().await;
        *turn.session = None;
        turn.done();
    }
}

/// The right to use the session. Whatever turn is not over when it is dropped (an error, a deadline, a caller who
/// went away) leaves no session behind: nobody knows what the server still has to say on it.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    place: &'a Place,
    session: MutexGuard<'a, Option<PgListener>>,
    is_over: bool,
}

impl Turn<'_> {
    /// Connects if there is no session; whether it did.
    pub(super) async fn connect(&mut self, pool: &PgPool) -> Result<bool, Error> {
        if self.session.is_some() {
            return Ok(false);
        }
        let mut listener = PgListener::connect_with(pool).await?;
        // A session that was lost is not replaced behind our back: what was missed meanwhile must be asked for.
        listener.eager_reconnect(false);
        listener.listen_all([NEWS, CONFIRMATIONS]).await?;
        *self.session = Some(listener);
        self.place.changed.notify_one();
        Ok(true)
    }

    /// What statements are run on.
    pub(super) fn session(&mut self) -> Result<&mut PgListener, Error> {
        self.session.as_mut().ok_or_else(|| Error::unavailable("the line is not connected"))
    }

    /// The answer was read whole. What was heard on the way is noted, so that it does not pile up while nobody
    /// listens.
    pub(super) fn done(mut self) {
        self.is_over = true;
        while let Some(told) = self.session.as_mut().and_then(PgListener::next_buffered) {
            if self.place.take_note(&told) == Heard::News {
                self.place.changed.notify_one();
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.session.take().is_some() {
            self.place.changed.notify_one();
        }
    }
}

/// Whether notifications arrive. A pooler that changes sessions between transactions swallows them without a word.
pub(super) struct Hearing {
    url: String,
    verdict: AtomicU8,
    is_testing: AtomicBool,
}

impl Hearing {
    const UNKNOWN: u8 = 0;
    const ARRIVES: u8 = 1;
    const MISSING: u8 = 2;

    pub(super) fn new(url: &str) -> Self {
        let (verdict, is_testing) = (AtomicU8::new(Self::UNKNOWN), AtomicBool::new(false));
        Self { url: url.to_owned(), verdict, is_testing }
    }

    pub(super) fn verdict(&self) -> Option<bool> {
        match self.verdict.load(Ordering::Relaxed) {
            Self::ARRIVES => Some(true),
            Self::MISSING => Some(false),
            _ => None,
        }
    }

    /// Tries it in the background, over connections of its own, unless it is known to work.
    pub(super) fn find_out(self: &Arc<Self>) {
        if self.verdict() == Some(true) || self.is_testing.swap(true, Ordering::Relaxed) {
            return;
        }
        let hearing = self.clone();
        tokio::spawn(async move {
            match notifications_arrive(&hearing.url).await {
                Ok(true) => hearing.verdict.store(Self::ARRIVES, Ordering::Relaxed),
                Ok(false) => {
                    hearing.verdict.store(Self::MISSING, Ordering::Relaxed);
                    tracing::warn!(
                        "notifications of the database do not arrive, as behind a pooler in transaction mode: \
                         asking for news ten times a second; set database_control_url to a direct connection"
                    );
                }
                // The next connection tries again.
                Err(error) => tracing::debug!(%error, "whether notifications arrive could not be tried"),
            }
            hearing.is_testing.store(false, Ordering::Relaxed);
        });
    }
}

impl std::fmt::Debug for Hearing {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hearing").field("verdict", &self.verdict()).finish_non_exhaustive()
    }
}
