//! A node that runs in a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rndrkit_cluster::line::{Line, Registry};
use rndrkit_cluster::{Confirmed, Machine, Member, MemberHandle, MemberOptions, WaitError, Waiter};
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::node::Incarnation;
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Clock;
use rndrkit_verifier::{Ask, KeySource, Verifier, VerifierOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::database::Database;
use crate::line::{Call, FakeLine};

/// Trust and beat of every node that does not say otherwise, and the wait that follows from them.
pub(crate) const TRUST: Duration = Duration::from_secs(5);
pub(crate) const BEAT: Duration = Duration::from_secs(1);
pub(crate) const WAIT: Duration = Duration::from_secs(7);

/// A running node.
pub(crate) struct Node {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) line: Arc<FakeLine>,
    pub(crate) handle: MemberHandle,
    pub(crate) waiter: Arc<Waiter>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Node {
    pub(crate) fn start(database: &Arc<Database>) -> Self {
        Self::start_with(database, TRUST)
    }

    pub(crate) fn start_with(database: &Arc<Database>, trust: Duration) -> Self {
        Self::start_over(database, FakeLine::new(database), trust)
    }

    /// Over a line that has been tampered with.
    pub(crate) fn start_over(database: &Arc<Database>, line: Arc<FakeLine>, trust: Duration) -> Self {
        let clock: Arc<dyn Clock> = Arc::clone(&database.clock) as Arc<dyn Clock>;
        let source = Arc::clone(database) as Arc<dyn KeySource>;
        let verifier = Verifier::new(VerifierOptions::default(), Arc::clone(&clock), source);
        *line.decides.lock() = Some(Arc::clone(&verifier));
        let machine = Machine::new(clock, Arc::clone(&database.entropy) as Arc<dyn Entropy>);
        let options = MemberOptions {
            name: String::from("a node"),
            version: String::from("1"),
            trust,
            beat: trust / 5,
        };
        let over = Arc::clone(&line) as Arc<dyn Line>;
        let (member, handle) = Member::new(Arc::clone(&verifier), over, machine, options);
        let (shutdown, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(member.run(async move {
            let _ = stopped.await;
        }));
        let waiter = Arc::new(Waiter::new(&handle, Arc::clone(database) as Arc<dyn Registry>));
        Self { verifier, line, handle, waiter, shutdown: Some(shutdown), task }
    }

    /// Started, and past the time in which every change waits because the history is new to it.
    pub(crate) async fn settled(database: &Arc<Database>) -> Self {
        let node = Self::start(database);
        sleep(WAIT + BEAT).await;
        assert!(node.verifier.is_trusted());
        node
    }

    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.handle.status().incarnation
    }

    /// As `kill -9`: the node does nothing any more, and its row stays.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    pub(crate) async fn stop(mut self) {
        drop(self.shutdown.take());
        self.task.await.unwrap();
    }

    pub(crate) fn beats(&self) -> usize {
        self.line.count(|call| matches!(call, Call::Beat(_)))
    }

    /// Asks about a secret that nobody knows.
    pub(crate) async fn ask(&self, secret: &str) -> &'static str {
        let ask = Ask { secret: secret.as_bytes(), cost: 1, client: None };
        self.verifier.verify(&ask).await.decision.code()
    }

    pub(crate) fn confirm(&self, number: FeedNumber) -> JoinHandle<Result<Confirmed, WaitError>> {
        let waiter = Arc::clone(&self.waiter);
        tokio::spawn(async move { waiter.confirm(number).await })
    }
}

pub(crate) fn switch(flag: &AtomicBool, on: bool) {
    flag.store(on, Ordering::SeqCst);
}

pub(crate) async fn pass(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
}
