//! Takes mail out of the outbox and hands it to the mail server, at least once each, under the same id every time.
//!
//! A mail is taken with a lease and marked when the server has it. Whoever dies in between leaves it to be taken
//! again when the lease ends: the one window in which a second copy can be sent.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::mail::{DueMail, MailContent, MailKind};
use rndrkit_domain::random::{self, Entropy};
use rndrkit_domain::time::{Clock, Timestamp};
use rndrkit_mail::{DeliveryError, Letter, Session, Words};
use rndrkit_store::{Error as StoreError, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::convert;
use super::following::Ground;
use crate::config::Mail;

/// How often the outbox is looked into while it is empty: nobody waits for a mail by the second.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For how long a taken mail is nobody else's. Longer than handing it over may take, connecting included.
const LEASE: Duration = Duration::from_secs(180);
/// How long to wait after each failed attempt; the last one again and again.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(1_800),
    Duration::from_secs(7_200),
    Duration::from_secs(21_600),
];
/// News that is two days old is none. A link that has ended is not even that.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2 * 86_400);
/// Attempts to write down that a mail was sent, and the pause between them: a second copy is worse than a moment.
const MARK_ATTEMPTS: u32 = 3;
const MARK_PAUSE: Duration = Duration::from_millis(500);

/// What the metric of mail counts.
const MAIL: &str = "rndrkit_mail_total";
const WAITING: &str = "rndrkit_mail_waiting";

pub(super) fn describe_metrics() {
    metrics::describe_counter!(
        MAIL,
        "Attempts to send mail by outcome: sent, later (tried again), given_up (never tried again)"
    );
    metrics::describe_gauge!(WAITING, "Mails that are neither sent nor given up");
}

/// Shows the number of mails that wait, as counted just now.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 mails")]
pub(super) fn show_waiting(count: u64) {
    metrics::gauge!(WAITING).set(count as f64);
}

/// Takes mail out of the outbox and hands it over.
pub struct Mailer {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    mail: Mail,
    words: Words,
    stopping: watch::Receiver<bool>,
}

/// What came of an attempt, for the connection that it was made on.
#[derive(PartialEq, Eq)]
enum Lane {
    GoesOn,
    /// Other mail would not go either.
    IsBlocked,
}

impl Mailer {
    /// Starts the task, if this installation sends mail.
    pub(super) fn start(ground: &Ground<'_>, clock: Arc<dyn Clock>) -> Option<JoinHandle<()>> {
        let mail = ground.settings.mail.clone()?;
        for outcome in ["sent", "later", "given_up"] {
            metrics::counter!(MAIL, "outcome" => outcome).increment(0);
        }
        show_waiting(0);
        let words = convert::words(ground.settings);
        let made = Self::new(ground.store.clone(), clock, ground.entropy.clone(), mail, words);
        let mailer = Self { stopping: ground.stopping.clone(), ..made };
        Some(tokio::spawn(mailer.run()))
    }

    /// One that sends when it is asked to.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        mail: Mail,
        words: Words,
    ) -> Self {
        let (_, stopping) = watch::channel(false);
        Self { store, clock, entropy, mail, words, stopping }
    }

    async fn run(self) {
        let mut stopping = self.stopping.clone();
        loop {
            Box::pin(self.round()).await;
            tokio::select! {
                // An error means that the sender is gone, and with it the server.
                _ = stopping.wait_for(|stop| *stop) => return,
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Sends all that is due.
    pub async fn round(&self) {
        let Some(first) = self.take().await else { return };
        // Four connections at once: what every provider grants, and enough for many mails a second.
        tokio::join!(self.lane(Some(first)), self.lane(None), self.lane(None), self.lane(None));
        // What is left over is worth knowing before anybody looks.
        if let Ok(backlog) = self.store.mail_backlog().await {
            show_waiting(backlog.waiting);
        }
    }

    /// Sends one mail after the other on one connection, until none is due or none goes.
    async fn lane(&self, first: Option<DueMail>) {
        let (mut next, mut session) = (first, None);
        while !*self.stopping.borrow() {
            let taken = match next.take() {
                Some(mail) => Some(mail),
                None => self.take().await,
            };
            let Some(mail) = taken else { break };
            if self.send(&mail, &mut session).await == Lane::IsBlocked {
                break;
            }
        }
        if let Some(session) = session {
            session.close().await;
        }
    }

    async fn take(&self) -> Option<DueMail> {
        let now = self.clock.now();
        match self.store.claim_mail(now, now.plus(LEASE)).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read; the next round tries again");
                None
            }
        }
    }

    async fn send(&self, mail: &DueMail, session: &mut Option<Session>) -> Lane {
        if mail.content == MailContent::Gone {
            self.give_up(mail, "what it was to tell is gone", "gone").await;
            return Lane::GoesOn;
        }
        if self.clock.now() >= of_use_until(mail) {
            self.give_up(mail, "two days old, or its link has ended", "too old").await;
            return Lane::GoesOn;
        }
        if let MailContent::Unreadable(why) = &mail.content {
            self.put_off(mail, why, "cannot be read").await;
            return Lane::GoesOn;
        }
        let Ok(letter) = Letter::write(mail, &self.words, &self.mail.from) else {
            self.give_up(mail, "not an address that mail can be sent to", "bad address").await;
            return Lane::GoesOn;
        };
        match self.deliver(&letter, session).await {
            Ok(()) => self.mark_sent(mail).await,
            Err(error) => {
                // Half-way through a mail the connection is of no use for another.
                *session = None;
                self.failed(mail, &error).await
            }
        }
    }

    async fn deliver(&self, letter: &Letter, session: &mut Option<Session>) -> Result<(), DeliveryError> {
        let open = match session {
            Some(open) => open,
            None => session.insert(Session::open(&self.mail.server, &self.mail.from).await?),
        };
        open.deliver(letter).await
    }

    /// Where that cannot be written down, no other mail is sent before the next round: it would be the same with each.
    async fn mark_sent(&self, mail: &DueMail) -> Lane {
        metrics::counter!(MAIL, "outcome" => "sent").increment(1);
        for attempt in 1..=MARK_ATTEMPTS {
            match self.store.mark_mail_sent(&mail.id, self.clock.now()).await {
                Ok(()) => return Lane::GoesOn,
                Err(error) if attempt == MARK_ATTEMPTS => {
                    tracing::warn!(%error, mail = mail.id, "a mail was sent and could not be marked: it is sent again");
                }
                Err(_) => sleep(MARK_PAUSE).await,
            }
        }
        Lane::IsBlocked
    }

    async fn failed(&self, mail: &DueMail, error: &DeliveryError) -> Lane {
        let words = error.to_string();
        match error {
            DeliveryError::Service(why) => {
                // Without a recipient: the server's words about its own trouble.
                tracing::warn!(why, mail = mail.id, "the mail server cannot be used");
                self.put_off(mail, &words, "the mail server cannot be used").await;
                Lane::IsBlocked
            }
            DeliveryError::Later(_) => {
                self.put_off(mail, &words, "not taken").await;
                Lane::GoesOn
            }
            DeliveryError::Refused(_) => {
                self.give_up(mail, &words, "refused by the mail server").await;
                Lane::GoesOn
            }
        }
    }

    /// Tries again later, unless it will be of no use by then.
    async fn put_off(&self, mail: &DueMail, why: &str, cause: &str) {
        let Some(again_at) = next_attempt(mail, self.clock.now(), &*self.entropy) else {
            self.give_up(mail, why, cause).await;
            return;
        };
        metrics::counter!(MAIL, "outcome" => "later").increment(1);
        tracing::info!(mail = mail.id, cause, %again_at, "a mail is tried again later");
        note_unmarked(mail, self.store.mark_mail_failed(mail, again_at, why).await);
    }

    /// The log says which and why in a word; the server's words, which may hold an address, are in the row.
    async fn give_up(&self, mail: &DueMail, why: &str, cause: &str) {
        metrics::counter!(MAIL, "outcome" => "given_up").increment(1);
        let (kind, attempts) = (mail.kind.map_or("unknown", MailKind::as_str), mail.attempts);
        tracing::warn!(mail = mail.id, kind, attempts, cause, "a mail is given up");
        note_unmarked(mail, self.store.mark_mail_given_up(mail, self.clock.now(), why).await);
    }
}

fn note_unmarked(mail: &DueMail, marked: Result<(), StoreError>) {
    if let Err(error) = marked {
        tracing::warn!(%error, mail = mail.id, "a mail could not be marked; it is due again when its lease ends");
    }
}

/// From when on nobody is helped by it any more.
fn of_use_until(mail: &DueMail) -> Timestamp {
    let too_old = mail.created_at.plus(GIVE_UP_AFTER);
    match mail.content {
        MailContent::Link { works_until, .. } => too_old.min(works_until),
        _ => too_old,
    }
}

/// When to try again; none when it is of no use by then. Up to a tenth later than the pause, so that
/// what failed together does not come back together.
fn next_attempt(mail: &DueMail, now: Timestamp, entropy: &dyn Entropy) -> Option<Timestamp> {
    let failed = usize::try_from(mail.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES.get(failed).or(PAUSES.last()).copied().unwrap_or(LEASE);
    let [random] = random::bytes::<1>(entropy);
    let again_at = now.plus(pause + pause * u32::from(random) / 2_550);
    (again_at < of_use_until(mail)).then_some(again_at)
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::notification::NotificationKind;
    use rndrkit_domain::random::OsEntropy;

    use super::*;

    fn created_at() -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000)
    }

    /// When a mail is tried if nothing ever goes.
    fn attempts_of(kind: MailKind, content: &MailContent) -> Vec<Timestamp> {
        let mut tried = vec![created_at()];
        for attempts in 1.. {
            let mail = DueMail {
                id: "evt_1.usr_1".to_owned(),
                kind: Some(kind),
                account_name: String::new(),
                recipient: "ada@example.com".to_owned(),
                created_at: created_at(),
                attempts,
                content: content.clone(),
            };
            let now = tried.last().copied().unwrap();
            let Some(again_at) = next_attempt(&mail, now, &OsEntropy) else { break };
            tried.push(again_at);
        }
        tried
    }

    #[test]
    fn a_link_is_tried_only_while_it_works() {
        let works_until = created_at().plus(Duration::from_secs(3_600));
        let link = MailContent::Link { url: String::new(), works_until };
        let tried = attempts_of(MailKind::EmailConfirmation, &link);
        assert_eq!(tried.len(), 4, "at once, and after 1, 5 and 30 minutes: {tried:?}");
        assert!(tried.iter().all(|at| *at < works_until), "{tried:?}");
    }

    #[test]
    fn attempts_come_at_growing_distances_and_end_after_two_days() {
        let tried = attempts_of(MailKind::News(NotificationKind::KeyCreated), &MailContent::Plain);
        let pauses: Vec<Duration> = tried.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!((8..=12).contains(&pauses.len()), "{pauses:?}");
        for (pause, least) in pauses.iter().zip(PAUSES.iter().chain(std::iter::repeat(&PAUSES[4]))) {
            assert!(pause >= least && *pause <= *least + *least / 10, "{pauses:?}");
        }
        assert!(tried.iter().all(|at| at.since(created_at()) <= GIVE_UP_AFTER));
    }
}
