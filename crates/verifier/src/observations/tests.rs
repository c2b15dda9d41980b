//! Noting, bounds, and what a flusher makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::{KeyId, RequestId};
use rndrkit_domain::observation::{Door, RefusalFacts};
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::random::{self, OsEntropy};
use rndrkit_domain::time::Timestamp;

use super::*;
use crate::source::{BoxFuture, ObservationSink, SourceError};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

fn reading(seconds: u64) -> Monotonic {
    Monotonic((1_000_000 + seconds) * 1_000_000_000)
}

fn account() -> AccountId {
    AccountId::generate(at(0), &OsEntropy)
}

fn sighting(digest: Digest, seconds: u64, ip: &str) -> Sighting {
    Sighting {
        digest,
        key_id: KeyId::generate(at(0), &OsEntropy),
        account_id: account(),
        at: at(seconds),
        ip: Some(ip.parse().unwrap()),
        user_agent: None,
    }
}

fn refusal(account_id: AccountId, seconds: u64) -> Refusal {
    Refusal {
        request_id: RequestId::generate(at(seconds), &OsEntropy),
        account_id,
        key_id: KeyId::generate(at(0), &OsEntropy),
        at: at(seconds),
        code: Denial::PlanRequired,
        facts: RefusalFacts {
            door: Door::Gateway,
            method: None,
            path: None,
            plan: PlanId::parse("starter").unwrap(),
            plan_name: None,
            api_access: Some(false),
            account_status: None,
            cost: 1,
            bucket: None,
        },
        ip: None,
        user_agent: None,
    }
}

fn see(observations: &Observations, digest: Digest, seconds: u64, ip: &str) -> bool {
    let mut asked = false;
    let parsed = Some(ip.parse().unwrap());
    observations.saw(&digest, parsed, reading(seconds), || {
        asked = true;
        sighting(digest, seconds, ip)
    });
    asked
}

fn secret() -> Digest {
    Digest(random::bytes(&OsEntropy))
}

#[test]
fn a_secret_is_noted_once_for_each_network_and_again_after_a_while() {
    let (observations, one, two) = (Observations::default(), secret(), secret());
    assert!(see(&observations, one, 0, "192.0.2.1"));
    assert!(!see(&observations, one, 29, "192.0.2.200"), "the same network");
    assert!(see(&observations, one, 1, "198.51.100.1"));
    assert!(see(&observations, two, 1, "192.0.2.1"), "another secret");
    assert!(see(&observations, one, 30, "192.0.2.200"), "half a minute later");
    let mut taken = observations.take_sightings();
    taken.sort_by_key(|sighting| sighting.at);
    assert_eq!(taken.iter().map(|sighting| sighting.at).collect::<Vec<_>>(), [at(1), at(1), at(30)]);
    assert!(observations.take_sightings().is_empty());
}

#[test]
fn a_flood_of_refusals_keeps_the_first_of_an_account_and_leaves_room_for_others() {
    let (observations, flooding, quiet) = (Observations::default(), account(), account());
    let mut asked = 0;
    for second in 0..5_000 {
        observations.refused(flooding, || {
            asked += 1;
            refusal(flooding, second)
        });
    }
    observations.refused(quiet, || refusal(quiet, 9));
    let taken = observations.take_refusals();
    let of = |account| taken.iter().filter(move |refusal| refusal.account_id == account);
    assert_eq!((asked, of(flooding).count(), of(quiet).count()), (REFUSALS_KEPT, REFUSALS_KEPT, 1));
    assert_eq!(of(flooding).map(|refusal| refusal.at).max(), Some(at(199)));
    observations.refused(flooding, || refusal(flooding, 6_000));
    assert_eq!(observations.take_refusals().len(), 1, "a flush makes room");
}

#[test]
fn however_many_are_seen_memory_is_bounded_and_what_is_dropped_is_noted_later() {
    let observations = Observations::default();
    for _ in 0..20_000 {
        see(&observations, secret(), 0, "192.0.2.1");
        let account = account();
        observations.refused(account, || refusal(account, 0));
    }
    let (sightings, refusals) = (observations.take_sightings().len(), observations.take_refusals().len());
    assert_eq!((sightings, refusals), (PARTS * SIGHTINGS_OF_A_PART, PARTS * REFUSALS_OF_A_PART));
    let late = secret();
    for _ in 0..20_000 {
        see(&observations, secret(), 1, "192.0.2.1");
    }
    let was_dropped = see(&observations, late, 1, "192.0.2.1") && see(&observations, late, 1, "192.0.2.1");
    observations.take_sightings();
    assert!(was_dropped && see(&observations, late, 1, "192.0.2.1"));
}

/// Takes everything, or nothing.
#[derive(Default)]
struct Sink {
    fails: AtomicBool,
    stored: Mutex<(Vec<Sighting>, Vec<Refusal>)>,
}

impl ObservationSink for Sink {
    fn record_observations<'a>(
        &'a self,
        sightings: &'a [Sighting],
        refusals: &'a [Refusal],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            if self.fails.load(Ordering::SeqCst) {
                return Err(SourceError::new("it fails"));
            }
            let mut stored = self.stored.lock();
            stored.0.extend_from_slice(sightings);
            stored.1.extend_from_slice(refusals);
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_is_stored_later_beside_what_came_since() {
    let (observations, sink) = (Arc::new(Observations::default()), Arc::new(Sink::default()));
    let flusher = ObservationFlusher::new(observations.clone(), sink.clone(), Duration::from_secs(10));
    let (owner, digest) = (account(), secret());
    see(&observations, digest, 0, "192.0.2.1");
    observations.refused(owner, || refusal(owner, 0));
    sink.fails.store(true, Ordering::SeqCst);
    flusher.flush().await.unwrap_err();
    see(&observations, digest, 40, "192.0.2.1");
    sink.fails.store(false, Ordering::SeqCst);
    flusher.flush().await.unwrap();
    flusher.flush().await.unwrap();
    let stored = sink.stored.lock();
    assert_eq!(stored.0.iter().map(|sighting| sighting.at).collect::<Vec<_>>(), [at(40)], "the newer one");
    assert_eq!(stored.1.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_stores_what_is_left() {
    let (observations, sink) = (Arc::new(Observations::default()), Arc::new(Sink::default()));
    let flusher = ObservationFlusher::new(observations.clone(), sink.clone(), Duration::from_secs(10));
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(flusher.run(async move {
        let _ = stopping.await;
    }));
    for _ in 0..2_500 {
        let owner = account();
        observations.refused(owner, || refusal(owner, 0));
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(sink.stored.lock().1.len(), 2_500);
}
