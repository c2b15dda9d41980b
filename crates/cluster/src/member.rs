//! A node's place among the others: it joins, beats, follows the feed, and believes what it holds for as
//! long as its beats allow.
//!
//! One task does one thing after the other, so that what it knows needs no lock; which thing is next stands
//! in [`Member::next_task`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::node::{BeatMark, Incarnation, Timeline};
use rndrkit_domain::time::Monotonic;
use rndrkit_verifier::{Lost, SourceError, Verifier};

use crate::handle::MemberHandle;
use crate::line::Line;
use crate::machine::Machine;
use crate::roll::Silence;
use crate::shared::Shared;
use crate::spans::Spans;
use crate::standing::Standing;

/// Pause after the first failed attempt; doubled after each further one, up to the time between two beats.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long what is read besides the line may take.
const READ_DEADLINE: Duration = Duration::from_secs(1);
/// Rows that this node may have left on the list without knowing, kept in mind to be taken away.
const MOST_STRAYS: usize = 8;

/// How a member behaves.
#[derive(Debug, Clone)]
pub struct MemberOptions {
    /// For people: what the node is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How long what it holds may be believed after a beat. At least four times `beat`.
    pub trust: Duration,
    /// Time between two beats.
    pub beat: Duration,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            name: String::from("node"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            trust: Duration::from_secs(5),
            beat: Duration::from_secs(1),
        }
    }
}

/// One node among others.
pub struct Member {
    pub(crate) shared: Arc<Shared>,
    pub(crate) line: Arc<dyn Line>,
    pub(crate) options: MemberOptions,
    /// What holds while this node is on the list.
    pub(crate) standing: Option<Standing>,
    /// A row that is being added, with its first beat.
    pub(crate) joining: Option<(Incarnation, BeatMark)>,
    /// Rows that may have been added although no answer came.
    pub(crate) strays: VecDeque<(Incarnation, BeatMark)>,
    pub(crate) silence: Silence,
    pub(crate) spans: Spans,
    /// Whether the verifier has a place in the feed.
    pub(crate) placed: bool,
    /// The timeline that what the verifier holds was read on.
    pub(crate) timeline: Option<Timeline>,
    /// Why it has to begin anew at the next head that is read.
    pub(crate) lost: Option<Lost>,
}

/// What a member does next.
enum Task {
    Join,
    Beat,
    Fetch,
    Reap(Incarnation, BeatMark),
    Wait(Monotonic),
}

impl Member {
    /// A member over `line`, and the handle for the rest of the process. `machine.clock` must be the clock
    /// that the verifier reads.
    pub fn new(
        verifier: Arc<Verifier>,
        line: Arc<dyn Line>,
        machine: Machine,
        options: MemberOptions,
    ) -> (Self, MemberHandle) {
        let shared = Arc::new(Shared::new(verifier, machine, options.trust));
        let handle = MemberHandle { shared: Arc::clone(&shared) };
        let member = Self {
            shared,
            line,
            options,
            standing: None,
            joining: None,
            strays: VecDeque::new(),
            silence: Silence::default(),
            spans: Spans::default(),
            placed: false,
            timeline: None,
            lost: None,
        };
        (member, handle)
    }

    /// Joins and follows until `shutdown` resolves. Then trust ends, and after that the node leaves the list;
    /// so let the doors drain first. A call of the line may be dropped in the middle.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        {
            let mut shutdown = pin!(shutdown);
            tokio::select! {
                biased;
                () = &mut shutdown => {}
                never = self.live() => match never {},
            }
        }
        self.retire().await;
    }

    async fn live(&mut self) -> Infallible {
        let mut pause = FIRST_PAUSE;
        let mut last_error = None;
        loop {
            match self.step().await {
                Ok(()) => (pause, last_error) = (FIRST_PAUSE, None),
                Err(error) => {
                    self.report(&error, last_error.as_ref() != Some(&error));
                    last_error = Some(error);
                    self.rest(pause).await;
                    pause = (pause * 2).min(self.options.beat);
                }
            }
            self.shared.show_trust_age();
        }
    }

    async fn step(&mut self) -> Result<(), SourceError> {
        match self.next_task() {
            Task::Join => self.join().await,
            Task::Beat => self.beat().await,
            Task::Fetch => self.fetch().await,
            Task::Reap(node, beat) => self.reap(node, beat).await,
            Task::Wait(until) => {
                self.wait(until).await;
                Ok(())
            }
        }
    }

    /// A beat that is due goes first: a long way to catch up must not cost the trust that remains, nor the
    /// place on the list. Catching up goes before saying so, and everything before tidying up after others.
    fn next_task(&self) -> Task {
        let now = self.shared.now();
        let Some(standing) = &self.standing else { return Task::Join };
        let applied = self.shared.applied();
        if standing.next_beat <= now {
            Task::Beat
        } else if self.is_on_course() && standing.has_more(applied) {
            Task::Fetch
        } else if self.is_on_course() && standing.told < applied {
            Task::Beat
        } else if let Some((node, beat)) = self.strays.front() {
            Task::Reap(*node, *beat)
        } else if let Some((node, beat)) = self.silence.due(now) {
            Task::Reap(node, beat)
        } else {
            let due = self.silence.next_due().unwrap_or(standing.next_beat);
            Task::Wait(standing.next_beat.min(due))
        }
    }

    /// Whether the verifier's place is one in the history that the database is on, as far as is known.
    pub(crate) const fn is_on_course(&self) -> bool {
        self.placed && self.lost.is_none()
    }

    async fn wait(&mut self, until: Monotonic) {
        let news = tokio::select! {
            biased;
            () = self.shared.nudged() => true,
            () = self.line.news() => true,
            () = self.shared.machine.rest_until(until) => false,
        };
        if let Some(standing) = &mut self.standing {
            standing.look |= news;
        }
    }

    /// After a failure: not for longer than until the next beat is due, if it was not the beat that failed.
    async fn rest(&self, pause: Duration) {
        let now = self.shared.now();
        let mut until = now.plus(pause);
        if let Some(standing) = self.standing.as_ref().filter(|standing| standing.next_beat > now) {
            until = until.min(standing.next_beat);
        }
        self.shared.machine.rest_until(until).await;
    }

    /// Once for every cause in turn: why a node stays out may be another than why it fell out.
    fn report(&self, error: &SourceError, is_new: bool) {
        self.shared.meters.line_failures.increment(1);
        if is_new {
            tracing::warn!(cause = error.cause(), "this node's line to the database failed; trying again");
        } else {
            tracing::debug!(cause = error.cause(), "this node's line to the database failed again");
        }
    }

    /// Takes another node's row away, or a stray one of this node, if its beat is still that one. The comparison
    /// is the database's: a beat that is under way is either counted or comes too late.
    async fn reap(&mut self, node: Incarnation, beat: BeatMark) -> Result<(), SourceError> {
        let reaped = self.line.reap(node, beat).await?;
        if self.strays.front() == Some(&(node, beat)) {
            self.strays.pop_front();
            return Ok(());
        }
        self.silence.forget(node);
        if reaped {
            tracing::warn!(incarnation = %node, "a node has said nothing for the longest wait; it is off the list");
            self.shared.meters.reaped.increment(1);
            self.shared.stir();
        }
        Ok(())
    }

    /// The row of an attempt to join that nobody answered may be there, and changes would wait for it.
    pub(crate) fn remember_stray(&mut self) {
        if let Some(stray) = self.joining.take() {
            if self.strays.len() == MOST_STRAYS {
                self.strays.pop_front();
            }
            self.strays.push_back(stray);
        }
    }

    /// Trust ends before the row goes: nobody waits for this node any more once it is gone.
    async fn retire(mut self) {
        self.shared.stand_as(None);
        self.remember_stray();
        if let Err(error) = self.take_rows_away().await {
            tracing::warn!(
                cause = error.cause(),
                "could not leave the list of nodes; changes wait until it lapses"
            );
        }
    }

    /// The row of this node, and then those that it may have left: all of those within the time of one reading.
    async fn take_rows_away(&mut self) -> Result<(), SourceError> {
        if let Some(standing) = self.standing.take() {
            self.line.leave(standing.incarnation).await?;
        }
        let strays = std::mem::take(&mut self.strays);
        let reaping = async {
            for (incarnation, beat) in strays {
                self.line.reap(incarnation, beat).await?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            reaped = reaping => reaped,
            () = self.shared.machine.rest.rest(READ_DEADLINE) => {
                Err(SourceError::new("there was no time to take all rows away"))
            }
        }
    }

    /// Bounds what is read besides the line, by this node's own clock.
    pub(crate) async fn bounded<T>(
        &self,
        read: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::select! {
            biased;
            read = read => read,
            () = self.shared.machine.rest.rest(READ_DEADLINE) => {
                Err(SourceError::new("what the feed brings could not be read in time"))
            }
        }
    }
}
