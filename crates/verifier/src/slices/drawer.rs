//! The one task of a node that draws from shared budgets: one statement at a time, for all accounts that
//! need it then.
//!
//! It draws at once for requests that wait when it has been idle, and else after a pause in proportion to
//! how long the last statement took, so that a slow database is asked less often. Draws ahead are gathered
//! for longer. Nothing here decides about a request.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::random::{self, Entropy};
use rndrkit_domain::time::Monotonic;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::share::{Brought, Sent};
use super::waiting::WaitingCount;
use crate::account::AccountState;
use crate::meters::SliceMeters;
use crate::source::{BudgetAuthority, Draw, Grant, SourceError};
use crate::verifier::Verifier;

/// Accounts in one statement at most.
const MAX_DRAWS: usize = 500;
/// How long one statement may take. After that nobody knows whether it drew anything.
const DRAW_DEADLINE: Duration = Duration::from_secs(1);
/// Pause after a statement for requests that wait: so many times as long as it took.
const PAUSE_FACTOR: u32 = 4;
/// That pause at most, the pause after a failure, and the time between two statements that draw ahead.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// After a refusal, nodes draw up to this much later than they could, each at its own moment.
const MAX_JITTER_MS: u16 = 25;

/// What all shares of a node have in common.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Mutex<Queue>,
    asked: Notify,
    pub(crate) waiting: WaitingCount,
    pub(crate) meters: SliceMeters,
}

/// Accounts to draw for. Each is here once, and once more for every change of it since the last statement;
/// those are passed over when their turn comes.
#[derive(Debug, Default)]
struct Queue {
    /// Requests wait for these.
    now: VecDeque<Arc<AccountState>>,
    /// To draw ahead for, and when.
    later: BTreeMap<(Monotonic, AccountId), Arc<AccountState>>,
}

impl Pool {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            asked: Notify::new(),
            waiting: WaitingCount::new(0),
            meters: SliceMeters::new(),
        })
    }

    pub(crate) fn ask_now(&self, account: &Arc<AccountState>) {
        self.queue.lock().now.push_back(Arc::clone(account));
        self.asked.notify_one();
    }

    pub(crate) fn ask_later(&self, account: &Arc<AccountState>, at: Monotonic) {
        self.queue.lock().later.insert((at, account.id), Arc::clone(account));
        self.asked.notify_one();
    }

    pub(crate) fn ask_no_more(&self, account: &AccountState, at: Monotonic) {
        self.queue.lock().later.remove(&(at, account.id));
    }
}

impl Queue {
    /// The accounts whose turn it is; else when one's turn will be, if one asks.
    fn due(&mut self, now: Monotonic, pace: Pace) -> Result<Vec<Arc<AccountState>>, Option<Monotonic>> {
        let soonest = |queue: &Self| {
            let urgent = queue.now.front().map(|_| pace.urgent_from);
            let ahead = queue.later.first_key_value().map(|((at, _), _)| pace.ahead_from.max(*at));
            urgent.into_iter().chain(ahead).min()
        };
        match soonest(self) {
            Some(at) if at <= now => {}
            other => return Err(other),
        }
        let urgent = self.now.len().min(MAX_DRAWS);
        let mut accounts: Vec<_> = self.now.drain(..urgent).collect();
        while accounts.len() < MAX_DRAWS {
            match self.later.first_entry() {
                Some(first) if first.key().0 <= now => accounts.push(first.remove()),
                _ => break,
            }
        }
        Ok(accounts)
    }
}

/// When the next statements may be sent.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// For requests that wait.
    urgent_from: Monotonic,
    /// To draw ahead only.
    ahead_from: Monotonic,
}

/// Draws for a verifier that shares budgets with other nodes.
pub struct Drawer {
    verifier: Arc<Verifier>,
    authority: Arc<dyn BudgetAuthority>,
    entropy: Arc<dyn Entropy>,
    pace: Pace,
}

impl Drawer {
    /// A drawer for `verifier`, made with [`crate::Budgets::Shared`].
    pub fn new(
        verifier: Arc<Verifier>,
        authority: Arc<dyn BudgetAuthority>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let pace = Pace { urgent_from: Monotonic(0), ahead_from: Monotonic(0) };
        Self { verifier, authority, entropy, pace }
    }

    /// Draws until `shutdown` resolves. Requests that wait then are unavailable, so let the doors drain first.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let Some(pool) = self.verifier.pool().cloned() else { return shutdown.await };
        tokio::select! {
            biased;
            () = &mut shutdown => {}
            () = self.draw_for_ever(&pool) => {}
        }
    }

    async fn draw_for_ever(&mut self, pool: &Pool) {
        loop {
            // Made before the queue is looked at: it is then woken by whoever asks after that.
            let asked = pool.asked.notified();
            let now = self.verifier.clock().monotonic();
            let due = pool.queue.lock().due(now, self.pace);
            match due {
                Ok(accounts) => self.draw(pool, &accounts).await,
                Err(None) => asked.await,
                Err(Some(at)) => {
                    tokio::select! {
                        () = asked => {}
                        () = sleep(at.since(now)) => {}
                    }
                }
            }
        }
    }

    /// One statement.
    async fn draw(&mut self, pool: &Pool, accounts: &[Arc<AccountState>]) {
        // Slices are held from this moment on, however long the statement is on its way.
        let sent_at = self.verifier.clock().monotonic();
        let sent: Vec<(&Arc<AccountState>, Sent)> = accounts
            .iter()
            .filter_map(|account| account.share()?.begin(account, sent_at).map(|sent| (account, sent)))
            .collect();
        if sent.is_empty() {
            return;
        }
        let draws: Vec<_> = sent.iter().map(|(_, sent)| sent.draw).collect();
        let answer = self.ask(pool, &draws).await;
        let now = self.verifier.clock().monotonic();
        self.keep_pace(sent_at, now, answer.is_ok());
        match answer {
            Ok(grants) => {
                for ((account, sent), grant) in sent.iter().zip(grants) {
                    self.land(pool, account, sent, grant, now);
                }
            }
            Err(error) => {
                self.verifier.report(&error);
                pool.meters.failed.increment(draws.len() as u64);
                for (account, sent) in &sent {
                    account.land(sent, Brought::Failed, now);
                }
            }
        }
    }

    /// Without trust, what is known of the accounts may be of a history that is lost: then nobody is asked.
    async fn ask(&self, pool: &Pool, draws: &[Draw]) -> Result<Vec<Grant>, SourceError> {
        if !self.verifier.is_trusted() {
            return Err(SourceError::new("this node has no trust, and draws nothing until it has"));
        }
        pool.meters.statements.increment(1);
        let answer = timeout(DRAW_DEADLINE, self.authority.draw(draws)).await;
        match answer.unwrap_or_else(|_| Err(SourceError::new("drawing from budgets took too long"))) {
            Ok(grants) if grants.len() != draws.len() => Err(SourceError::new("not every draw was answered")),
            other => other,
        }
    }

    fn keep_pace(&mut self, sent_at: Monotonic, now: Monotonic, is_well: bool) {
        let pause = if is_well {
            now.since(sent_at).saturating_mul(PAUSE_FACTOR).min(LONGEST_PAUSE)
        } else {
            LONGEST_PAUSE
        };
        self.pace =
            Pace { urgent_from: now.plus(pause), ahead_from: now.plus((pause * 2).min(LONGEST_PAUSE)) };
    }

    fn land(&self, pool: &Pool, account: &Arc<AccountState>, sent: &Sent, grant: Grant, now: Monotonic) {
        let brought = match grant {
            Grant::Drawn { granted, left_micros } => {
                let outcome = if granted > 0 { &pool.meters.drawn } else { &pool.meters.empty };
                outcome.increment(1);
                pool.meters.requests_drawn.increment(u64::from(granted));
                Brought::Drawn { granted, left_micros, jitter: self.jitter() }
            }
            Grant::Stale => {
                pool.meters.stale.increment(1);
                Brought::Stale
            }
        };
        account.land(sent, brought, now);
    }

    fn jitter(&self) -> Duration {
        let random = u16::from_le_bytes(random::bytes(&*self.entropy));
        Duration::from_millis(u64::from(random % MAX_JITTER_MS))
    }
}
