//! Joining and beating: how a node comes to believe what it holds, and when it must stop.

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, Registration, Timeline};
use rndrkit_domain::time::Monotonic;
use rndrkit_verifier::{Lost, SourceError};

use crate::member::Member;
use crate::roll::Unaware;
use crate::standing::{Promise, Standing};

impl Member {
    /// Adds a row under a new incarnation. Nothing is believed yet: the head that trust needs is read by a beat,
    /// after the row is committed, so that whoever made a change after that waits for this node.
    pub(crate) async fn join(&mut self) -> Result<(), SourceError> {
        let entropy = &*self.shared.machine.entropy;
        let (incarnation, beat) = (Incarnation::generate(entropy), BeatMark::generate(entropy));
        self.joining = Some((incarnation, beat));
        let registration = Registration {
            incarnation,
            name: self.options.name.clone(),
            beat,
            trust: self.options.trust,
            version: self.options.version.clone(),
        };
        let sent = self.shared.now();
        let answer = match self.line.register(registration).await {
            Ok(answer) => answer,
            Err(error) => {
                self.remember_stray();
                return Err(error);
            }
        };
        let now = self.shared.now();
        let unaware = Unaware::after_joining(&answer.roster, incarnation, self.options.trust);
        self.standing = Some(Standing::new(incarnation, beat, unaware, now));
        self.joining = None;
        self.shared.stand_as(Some(incarnation));
        self.note(sent, &answer);
        tracing::info!(%incarnation, nodes = answer.roster.nodes.len(), "joined the list of nodes");
        Ok(())
    }

    /// Says that this node is there and what it has applied, and hears how far the feed is.
    pub(crate) async fn beat(&mut self) -> Result<(), SourceError> {
        let beaten = self.exchange().await;
        if beaten.is_err()
            && let Some(standing) = &mut self.standing
        {
            standing.next_beat = self.shared.now();
        }
        beaten
    }

    async fn exchange(&mut self) -> Result<(), SourceError> {
        let applied = self.claimed();
        let next = BeatMark::generate(&*self.shared.machine.entropy);
        let Some(standing) = &mut self.standing else { return Ok(()) };
        let (confirmed, attempted) = standing.marks.candidates();
        let sent = self.shared.now();
        let term = standing.unaware.bounded(self.options.trust);
        standing.marks.send(next);
        standing.next_beat = sent.plus(self.options.beat);
        let incarnation = standing.incarnation;
        let wakes = applied > standing.told;
        let beat = Beat { incarnation, confirmed, attempted, next, applied, wakes };
        let Some(answer) = self.line.beat(beat).await? else {
            return self.refused((confirmed, attempted), next);
        };
        standing.marks.answered(next);
        standing.told = applied;
        self.shared.set_beat(sent);
        self.note(sent, &answer);
        self.hear(Promise { sent, term, head: answer.head.number }, &answer).await
    }

    /// What the others may be told is applied here: in a history that is not the verifier's, nothing is.
    fn claimed(&self) -> FeedNumber {
        let elsewhere = !self.placed || self.lost.is_some_and(Lost::commits_are_gone);
        if elsewhere { 0 } else { self.shared.applied() }
    }

    /// What every answer tells about the others and about time.
    fn note(&mut self, sent: Monotonic, answer: &BeatAnswer) {
        let now = self.shared.now();
        self.shared.verifier.set_wall(sent, answer.database_time);
        if let Some(difference) = self.spans.compare(sent, now, answer.database_time) {
            self.shared.meters.clock_differences.increment(1);
            tracing::error!(
                database_ms = difference.database_ms,
                own_ms = difference.own_ms,
                "this machine's clock and the database's disagree about the time between two beats by more than \
                 is allowed for; if this machine was suspended, it may have let requests through for that long"
            );
        }
        self.shared.observe(&answer.roster);
        let own = self.standing.as_ref().map(|standing| standing.incarnation);
        self.silence.note(&answer.roster.nodes, own, now);
        if let Some(standing) = &mut self.standing {
            standing.unaware.note(&answer.roster);
        }
    }

    /// Compares the verifier's place with the head. The beat counts for trust only if the place is in the same
    /// history, and only once its head is applied.
    ///
    /// Beats wait for that in a list, and are not simply the newest one that was answered: a node that catches
    /// up over several beats then believes from the first that it has caught up with, and not only when it is
    /// level with the last.
    async fn hear(&mut self, promise: Promise, answer: &BeatAnswer) -> Result<(), SourceError> {
        let head = answer.head;
        let verifier = &self.shared.verifier;
        if !self.placed {
            self.bounded(verifier.start_at(head)).await?;
            self.placed = true;
        } else if let Some(lost) = self.lost {
            self.bounded(verifier.lose_history(head, lost)).await?;
            self.lost = None;
        } else if let Err(lost) = verifier.place().compare(head) {
            if lost.commits_are_gone() {
                self.lose_history(lost);
                return Ok(());
            }
            self.bounded(verifier.lose_history(head, lost)).await?;
        }
        self.follow_timeline(answer.roster.timeline);
        self.shared.verifier.show_lag(head);
        if let Some(standing) = &mut self.standing {
            standing.head = Some(head);
            standing.promise(promise);
        }
        self.settle();
        Ok(())
    }

    /// On another timeline, forgets what was read on the one before. A look-up may have read commits that were
    /// not applied here yet, and that are lost: then the place and its tag are still right, and no entry will
    /// ever name what is held.
    fn follow_timeline(&mut self, timeline: Timeline) {
        if self.timeline.replace(timeline).is_some_and(|before| before != timeline) {
            self.shared.verifier.drop_everything();
        }
    }

    /// Trusts as long as the beats allow whose heads are applied.
    pub(crate) fn settle(&mut self) {
        let applied = self.shared.applied();
        let Some(standing) = &mut self.standing else { return };
        if let Some(promise) = standing.redeem(applied) {
            self.shared.set_trust(promise.sent, promise.until());
        }
        if let Some(head) = standing.head {
            self.shared.verifier.show_lag(head);
        }
    }

    /// The stored beat is none of those that were named: others took this node off the list, or it runs twice.
    /// Beats whose answers were lost may still be the stored one; only when none is, the node joins anew.
    fn refused(&mut self, named: (BeatMark, BeatMark), next: BeatMark) -> Result<(), SourceError> {
        self.shared.untrust();
        let Some(standing) = &mut self.standing else { return Ok(()) };
        standing.forget_promises();
        standing.next_beat = self.shared.now();
        if standing.marks.refused(named, next) {
            return Ok(());
        }
        tracing::warn!(incarnation = %standing.incarnation, "this node was off the list; it joins anew");
        self.shared.meters.written_off.increment(1);
        self.stand_down();
        // An error, so that there is a pause between two attempts to join.
        Err(SourceError::new("this node was off the list"))
    }

    /// Changes that were applied here are gone from the database. Nothing that is held may be believed; what
    /// was ended lately is handed on, to be ended again.
    pub(crate) fn lose_history(&mut self, lost: Lost) {
        self.shared.untrust();
        let verifier = &self.shared.verifier;
        let revoked = verifier.remembered_revocations();
        verifier.drop_everything();
        tracing::error!(
            remembered_revocations = revoked.len(),
            "{lost}; this node forgets everything and joins anew, and what it remembers as revoked is revoked again"
        );
        self.shared.lose_history(lost, revoked);
        self.lost = Some(lost);
        self.stand_down();
    }

    fn stand_down(&mut self) {
        self.standing = None;
        self.shared.stand_as(None);
    }
}
