//! Signs what the audit trail ends with, once an hour, and says so in the log: a copy of that line outside proves
//! later what the trail was.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Clock;
use rndrkit_store::{AuditSignature, AuditSigner, HeadSigning, KnownHead, Store};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::StartError;
use crate::config::{DataFolder, Settings};

/// After a start: soon, and not in the way of it.
const FIRST_AFTER: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(3_600);
/// When the database did not take it.
const AGAIN_AFTER: Duration = Duration::from_secs(120);
const SIGNED_AT: &str = "rndrkit_audit_head_signed_timestamp_seconds";

/// The key of the settings, or else, on SQLite, that of the data folder.
pub(super) fn signer(
    settings: &Settings,
    folder: Option<&DataFolder>,
    entropy: &dyn Entropy,
) -> Result<Option<AuditSigner>, StartError> {
    if let Some(key) = &settings.access.audit_signing_key {
        // It was read when the settings were.
        return Ok(AuditSigner::parse(key.reveal()).ok());
    }
    match (settings.storage.database.sqlite_path(), folder) {
        (Some(_), Some(folder)) => Ok(Some(folder.audit_signer(entropy)?)),
        _ => Ok(None),
    }
}

/// Signs in a task of its own, if there is a key.
pub(super) fn spawn(
    store: &Store,
    signer: Option<&Arc<AuditSigner>>,
    clock: Arc<dyn Clock>,
) -> Option<JoinHandle<()>> {
    signer.map(|signer| tokio::spawn(run(store.clone(), signer.clone(), clock)))
}

/// Runs until aborted.
async fn run(store: Store, signer: Arc<AuditSigner>, clock: Arc<dyn Clock>) {
    metrics::describe_gauge!(SIGNED_AT, "When the newest signed head of the audit trail was made");
    let mut known = None;
    sleep(FIRST_AFTER).await;
    loop {
        sleep(sign(&store, &signer, &*clock, &mut known).await).await;
    }
}

/// Signs once; how long to wait until the next time.
async fn sign(
    store: &Store,
    signer: &AuditSigner,
    clock: &dyn Clock,
    known: &mut Option<KnownHead>,
) -> Duration {
    match store.sign_audit_head(signer, clock.now(), known.as_ref()).await {
        Ok(HeadSigning::Signed(head)) => {
            // Whole and on one line: with the signature in it, nobody has to trust whoever keeps the log.
            tracing::info!(
                seq = head.seq(),
                hash = head.hash(),
                at = %head.at(),
                public_key = %signer.public_key(),
                signature = head.signature().unwrap_or_default(),
                "audit head signed"
            );
            remember(head, known)
        }
        Ok(HeadSigning::AlreadySigned(head)) => remember(head, known),
        Ok(HeadSigning::Refused(fault)) => {
            tracing::error!(
                %fault,
                "the audit trail was changed since it was last signed, so it is not signed: keep the database as it is, \
                 and run `rndrkit doctor`"
            );
            EVERY
        }
        Err(error) => {
            tracing::warn!(%error, "the audit trail could not be signed; it is tried again");
            AGAIN_AFTER
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact to the millisecond for longer than anybody lives")]
fn remember(head: AuditSignature, known: &mut Option<KnownHead>) -> Duration {
    metrics::gauge!(SIGNED_AT).set(head.at().unix_ms() as f64 / 1_000.0);
    *known = Some(head.into());
    EVERY
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::audit::{Action, Actor, ActorType, NewEvent, Origin, Target};
    use rndrkit_domain::id::EventId;
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::{ManualClock, Timestamp};
    use rndrkit_store::{Change, OpenOptions};
    use rndrkit_testkit::database::{TestDatabase, meddle};
    use rndrkit_testkit::on_both_databases;

    use super::*;

    on_both_databases!(two_nodes_sign_once_an_hour_and_not_over_a_trail_that_was_changed);

    async fn append(store: &Store, clock: &ManualClock) {
        let at = clock.now();
        let event = NewEvent {
            id: EventId::generate(at, &OsEntropy),
            at,
            action: Action::PlansChanged,
            actor: Actor { kind: ActorType::System, id: None, name: None },
            account_id: None,
            target: Target { kind: "plans", id: "plans".to_owned() },
            origin: Origin::default(),
            details: Vec::new(),
        };
        store.append_event(Change::new(at, &OsEntropy), event).await.unwrap();
    }

    async fn two_nodes_sign_once_an_hour_and_not_over_a_trail_that_was_changed(database: &TestDatabase) {
        let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
        let start: Timestamp = "2026-11-23T12:30:00Z".parse().unwrap();
        let (clock, signer) = (ManualClock::at(start), AuditSigner::parse(&"07".repeat(32)).unwrap());
        let signatures = async || store.verify_audit_trail(&[signer.public_key()]).await.unwrap().signatures;
        append(&store, &clock).await;
        let (mut east, mut west) = (None, None);
        assert_eq!(sign(&store, &signer, &clock, &mut east).await, EVERY);
        append(&store, &clock).await;
        assert_eq!(sign(&store, &signer, &clock, &mut west).await, EVERY);
        assert_eq!((&east, signatures().await), (&west, 1), "the second found what the first had signed");
        clock.advance(EVERY);
        sign(&store, &signer, &clock, &mut west).await;
        assert_eq!(signatures().await, 2);
        clock.advance(EVERY);
        sign(&store, &signer, &clock, &mut west).await;
        assert_eq!(signatures().await, 2, "nothing has happened since: one place, one signature");

        // Whoever takes the signatures out of the database is noticed by a node that remembers them.
        meddle(database.url(), "DELETE FROM audit_signatures").await;
        clock.advance(EVERY);
        sign(&store, &signer, &clock, &mut west).await;
        assert_eq!(signatures().await, 0, "a new one would cover it up");
    }
}
