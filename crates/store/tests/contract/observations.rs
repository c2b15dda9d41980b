//! What the data plane notes: it moves forwards, stays bounded, is forgotten on time and with its account.

use std::num::NonZeroU32;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::audit::Action;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::{AccountId, KeyId, RequestId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::observation::{BucketFacts, Door, NETWORK_SLOT, Refusal, RefusalFacts, Sighting};
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::LastUse;
use rndrkit_store::Store;
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, digest, event, key, open, plan_id, tamper};

on_both_databases!(
    a_sighting_moves_forward_in_time_only,
    many_sightings_are_written_at_once,
    networks_are_noted_by_slot_and_bounded,
    a_refusal_reads_back_as_it_was_judged,
    the_last_refusals_of_each_account_are_kept,
    another_accounts_refusal_is_not_there,
    a_hostile_path_fits_what_is_kept,
    hours_of_a_secret_tell_when_it_was_in_use,
    use_that_is_told_late_never_shortens_a_pause,
    observations_are_forgotten_on_time,
    what_was_observed_goes_with_its_account,
);

const HOUR: u64 = 3_600;

fn sighting(key_id: KeyId, account_id: AccountId, digest: Digest, seconds: u64, ip: &str) -> Sighting {
    let user_agent = Some(format!("curl/{seconds}"));
    Sighting { digest, key_id, account_id, at: at(seconds), ip: Some(ip.parse().unwrap()), user_agent }
}

fn refusal(key_id: KeyId, account_id: AccountId, seconds: u64) -> Refusal {
    let number = |value| NonZeroU32::new(value).unwrap();
    let limit = RateLimit { per_minute: number(600), burst: number(100) };
    let bucket = BucketFacts { limit, before: 3, after: 3, retry_after_seconds: 1, shared: true };
    Refusal {
        request_id: RequestId::generate(at(seconds), &OsEntropy),
        account_id,
        key_id,
        at: at(seconds),
        code: Denial::RateLimited,
        facts: RefusalFacts {
            door: Door::ForwardAuth,
            method: Some("POST".to_owned()),
            path: Some("/api/renders".to_owned()),
            plan: plan_id("agency"),
            plan_name: None,
            api_access: Some(true),
            account_status: Some(AccountStatus::Active),
            cost: 5,
            bucket: Some(bucket),
        },
        ip: Some("2001:db8::7".parse().unwrap()),
        user_agent: Some("curl/8".to_owned()),
    }
}

fn limited(refusals: &[Refusal]) -> Vec<Timestamp> {
    refusals.iter().map(|refusal| refusal.at).collect()
}

async fn networks(store: &Store, key_id: KeyId, since: u64) -> Vec<(Timestamp, String)> {
    store.list_networks(key_id, at(since)).await.unwrap()
}

async fn a_sighting_moves_forward_in_time_only(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, secret) = key(&store, ada.id, 2).await;
    let seen = |seconds, ip| sighting(made.id, ada.id, secret, seconds, ip);
    store.record_observations(&[], &[]).await.unwrap();
    assert!(store.list_sightings(made.id).await.unwrap().is_empty());
    store.record_observations(&[seen(20, "192.0.2.1"), seen(30, "192.0.2.2")], &[]).await.unwrap();
    assert_eq!(store.list_sightings(made.id).await.unwrap(), [seen(30, "192.0.2.2")]);
    store.record_observations(&[seen(25, "192.0.2.3")], &[]).await.unwrap();
    assert_eq!(store.list_sightings(made.id).await.unwrap(), [seen(30, "192.0.2.2")]);
    let nameless = Sighting { ip: None, user_agent: None, ..seen(40, "192.0.2.4") };
    let old_half = Sighting { digest: digest(), ..seen(35, "192.0.2.5") };
    store.record_observations(&[nameless.clone(), old_half.clone()], &[]).await.unwrap();
    assert_eq!(store.list_sightings(made.id).await.unwrap(), [nameless, old_half]);
}

async fn many_sightings_are_written_at_once(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, _) = key(&store, ada.id, 2).await;
    let seen: Vec<_> =
        (0..1_200).map(|second| sighting(made.id, ada.id, digest(), second, "192.0.2.1")).collect();
    store.record_observations(&seen, &[]).await.unwrap();
    assert_eq!(store.list_sightings(made.id).await.unwrap().len(), 1_000, "one page of them");
}

async fn networks_are_noted_by_slot_and_bounded(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (other, _) = key(&store, ada.id, 3).await;
    let (made, secret) = key(&store, ada.id, 2).await;
    let seen = |seconds, ip: &str| sighting(made.id, ada.id, secret, seconds, ip);
    let slot = |seconds| at(seconds).floor_to(NETWORK_SLOT);
    let first = [seen(0, "192.0.2.1"), seen(1, "192.0.2.200"), seen(2, "2001:db8:1:2::3")];
    store.record_observations(&first, &[]).await.unwrap();
    store.record_observations(&[seen(3, "192.0.2.9"), seen(HOUR, "198.51.100.1")], &[]).await.unwrap();
    let expected = [
        (slot(0), "192.0.2.0/24".to_owned()),
        (slot(0), "2001:db8:1::/48".to_owned()),
        (slot(HOUR), "198.51.100.0/24".to_owned()),
    ];
    assert_eq!(networks(&store, made.id, 0).await, expected);
    assert_eq!(networks(&store, made.id, HOUR).await, expected[2..]);
    assert!(networks(&store, other.id, 0).await.is_empty());
    // From everywhere: as many as are noted at most, in one call and in the next.
    for call in 0..3 {
        let everywhere: Vec<_> =
            (0..200).map(|place| seen(2 * HOUR, &format!("10.{call}.{place}.1"))).collect();
        store.record_observations(&everywhere, &[]).await.unwrap();
        assert_eq!(networks(&store, made.id, 2 * HOUR).await.len(), 64);
    }
}

async fn a_refusal_reads_back_as_it_was_judged(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, _) = key(&store, ada.id, 2).await;
    let full = refusal(made.id, ada.id, 5);
    let bare = Refusal {
        code: Denial::KeyRevoked,
        facts: RefusalFacts {
            door: Door::Verify,
            method: None,
            path: None,
            plan: plan_id("gone"),
            plan_name: None,
            api_access: None,
            account_status: None,
            cost: 1,
            bucket: None,
        },
        ip: None,
        user_agent: None,
        ..refusal(made.id, ada.id, 6)
    };
    // Writing again what a flush was not sure of changes nothing.
    for _ in 0..2 {
        store.record_observations(&[], &[full.clone(), bare.clone()]).await.unwrap();
    }
    let named = RefusalFacts { plan_name: Some("AGENCY".to_owned()), ..full.facts.clone() };
    let full = Refusal { facts: named, ..full };
    assert_eq!(store.find_refusal(ada.id, full.request_id).await.unwrap(), Some(full.clone()));
    assert_eq!(store.list_refusals(ada.id, None, 9).await.unwrap(), [bare, full]);
}

async fn the_last_refusals_of_each_account_are_kept(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (made, _) = key(&store, ada.id, 2).await;
    let (other, _) = key(&store, ada.id, 2).await;
    let (of_bob, _) = key(&store, bob.id, 2).await;
    let mut flood: Vec<_> = (0..700).map(|second| refusal(made.id, ada.id, second)).collect();
    flood.push(refusal(of_bob.id, bob.id, 0));
    store.record_observations(&[], &flood).await.unwrap();
    let kept = limited(&store.list_refusals(ada.id, None, 1_000).await.unwrap());
    assert_eq!((kept.len(), kept[0], kept[199]), (200, at(699), at(500)));
    let more: Vec<_> = (800..803).map(|second| refusal(other.id, ada.id, second)).collect();
    store.record_observations(&[], &more).await.unwrap();
    let kept = limited(&store.list_refusals(ada.id, None, 1_000).await.unwrap());
    assert_eq!((kept.len(), kept[0], kept[199]), (200, at(802), at(503)));
    let of_key = store.list_refusals(ada.id, Some(other.id), 2).await.unwrap();
    assert_eq!(limited(&of_key), [at(802), at(801)]);
    assert_eq!(store.list_refusals(bob.id, None, 9).await.unwrap().len(), 1);
}

async fn another_accounts_refusal_is_not_there(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (made, _) = key(&store, ada.id, 2).await;
    let refused = refusal(made.id, ada.id, 5);
    store.record_observations(&[], std::slice::from_ref(&refused)).await.unwrap();
    assert_eq!(store.find_refusal(bob.id, refused.request_id).await.unwrap(), None);
    assert!(store.list_refusals(bob.id, Some(made.id), 9).await.unwrap().is_empty());
}

async fn a_hostile_path_fits_what_is_kept(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, _) = key(&store, ada.id, 2).await;
    let mut refused = refusal(made.id, ada.id, 5);
    refused.facts.path = Some("/\"\\\0\u{202e}".repeat(9_000));
    refused.facts.method = Some("\"".repeat(9_000));
    store.record_observations(&[], std::slice::from_ref(&refused)).await.unwrap();
    let kept = store.find_refusal(ada.id, refused.request_id).await.unwrap().unwrap().facts;
    assert_eq!(kept.path.unwrap(), "/\"\\".repeat(171)[..512]);
    assert_eq!(kept.method.unwrap().len(), 32);
}

async fn record_use(store: &Store, key_id: KeyId, digest: Digest, seconds: &[u64]) {
    let uses: Vec<_> = seconds.iter().map(|second| LastUse { digest, key_id, at: at(*second) }).collect();
    store.record_usage(&[], &uses).await.unwrap();
}

/// Seconds since the tests' first hour began.
fn into_first_hour(moment: Timestamp) -> u64 {
    moment.since(at(0).floor_to(Duration::from_secs(HOUR))).as_secs()
}

async fn hours_of_a_secret_tell_when_it_was_in_use(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, secret) = key(&store, ada.id, 2).await;
    let start = HOUR - into_first_hour(at(0));
    record_use(&store, made.id, secret, &[start + 100, start + 40]).await;
    record_use(&store, made.id, secret, &[start + 110]).await;
    record_use(&store, made.id, secret, &[start + 900, start + HOUR + 30]).await;
    let hours = store.secret_hours(secret, at(0)).await.unwrap();
    let told: Vec<_> = hours
        .iter()
        .map(|hour| {
            (into_first_hour(hour.first_at), into_first_hour(hour.last_at), hour.longest_pause.as_secs())
        })
        .collect();
    assert_eq!(told, [(HOUR + 40, HOUR + 900, 790), (2 * HOUR + 30, 2 * HOUR + 30, 0)]);
    assert!(hours.iter().all(|hour| hour.digest == secret));
    assert_eq!(store.secret_hours(secret, hours[1].hour).await.unwrap(), hours[1..]);
    let (_, other) = key(&store, ada.id, 3).await;
    assert!(store.secret_hours(other, at(0)).await.unwrap().is_empty());
}

async fn use_that_is_told_late_never_shortens_a_pause(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, secret) = key(&store, ada.id, 2).await;
    let start = HOUR - into_first_hour(at(0));
    for seconds in [1_000, 400, 1_010, 700] {
        record_use(&store, made.id, secret, &[start + seconds]).await;
    }
    let hours = store.secret_hours(secret, at(0)).await.unwrap();
    assert_eq!(hours.len(), 1);
    assert_eq!((hours[0].first_at, hours[0].last_at), (at(start + 400), at(start + 1_010)));
    assert_eq!(hours[0].longest_pause, Duration::from_secs(600));
}

async fn observations_are_forgotten_on_time(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, secret) = key(&store, ada.id, 2).await;
    let times = [0, 2 * HOUR, 4 * HOUR, 6 * HOUR];
    let seen: Vec<_> =
        times.iter().map(|seconds| sighting(made.id, ada.id, digest(), *seconds, "192.0.2.1")).collect();
    let refused: Vec<_> = times.iter().map(|seconds| refusal(made.id, ada.id, *seconds)).collect();
    store.record_observations(&seen, &refused).await.unwrap();
    record_use(&store, made.id, secret, &times).await;
    for (batch, gone) in [(2, 2), (2, 1), (2, 0)] {
        assert_eq!(store.prune_sightings(at(5 * HOUR), batch).await.unwrap(), gone);
        assert_eq!(store.prune_networks(at(5 * HOUR), batch).await.unwrap(), gone);
        assert_eq!(store.prune_refusals(at(5 * HOUR), batch).await.unwrap(), gone);
        assert_eq!(store.prune_secret_hours(at(5 * HOUR), batch).await.unwrap(), gone);
    }
    assert_eq!(store.list_sightings(made.id).await.unwrap(), seen[3..]);
    assert_eq!(networks(&store, made.id, 0).await.len(), 1);
    assert_eq!(limited(&store.list_refusals(ada.id, None, 9).await.unwrap()), [at(6 * HOUR)]);
    assert_eq!(store.secret_hours(secret, at(0)).await.unwrap().len(), 1);
}

async fn what_was_observed_goes_with_its_account(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let mut seen = Vec::new();
    let mut refused = Vec::new();
    for owner in [ada.id, bob.id] {
        let (made, secret) = key(&store, owner, 2).await;
        seen.push(sighting(made.id, owner, secret, 5, "192.0.2.1"));
        refused.push(refusal(made.id, owner, 5));
        record_use(&store, made.id, secret, &[5]).await;
    }
    store.record_observations(&seen, &refused).await.unwrap();
    store.delete_account(ada.id, change(7), event(Action::AccountDeleted)).await.unwrap();
    let left = async |of: usize| {
        let (sighting, refusal) = (&seen[of], &refused[of]);
        store.list_sightings(sighting.key_id).await.unwrap().len()
            + networks(&store, sighting.key_id, 0).await.len()
            + usize::from(
                store.find_refusal(sighting.account_id, refusal.request_id).await.unwrap().is_some(),
            )
            + store.secret_hours(sighting.digest, at(0)).await.unwrap().len()
    };
    assert_eq!((left(0).await, left(1).await), (0, 4));
    // What a node noted before it heard of the deletion is not written any more.
    store.record_observations(&seen, &refused).await.unwrap();
    record_use(&store, seen[0].key_id, seen[0].digest, &[9]).await;
    assert_eq!(left(0).await, 0);
    // What was written while it was being deleted.
    let late =
        format!("INSERT INTO key_networks VALUES ('{}', 1, '10.0.0.0/24', '{}')", seen[0].key_id, ada.id);
    tamper(database, &late).await;
    let hour = "INSERT INTO secret_hours SELECT digest, 1700000000000, 1700000000000, 1700000000000, 0
                FROM key_secrets WHERE key_id = ";
    tamper(database, &format!("{hour}'{}'", seen[0].key_id)).await;
    assert_eq!(store.sweep_observations(at(8)).await.unwrap(), 0, "deleted before that");
    assert_eq!(store.sweep_observations(at(7)).await.unwrap(), 2);
    assert_eq!((left(0).await, left(1).await), (0, 4));
}
