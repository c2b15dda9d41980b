//! How an audit trail may begin, and that nobody signs over a beginning which retention did not make.

use rndrkit_domain::audit::Action;
use rndrkit_store::{
    AuditFault, AuditPruning, HeadSigning, KnownHead, OpenOptions, Store, TrailStart, check_audit_export,
};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::audit::{blob, dropped, fault, sign, signer, with_events};
use crate::builders::{at, behind, change, event, tamper};
use crate::opening::text_of;

on_both_databases!(
    the_old_end_of_a_young_trail_cannot_go_unnoticed_and_is_not_signed_over,
    a_checkpoint_written_by_hand_covers_up_nothing_that_was_signed,
    a_checkpoint_by_another_key_covers_up_nothing_that_was_signed,
    a_checkpoint_vouches_for_what_its_own_key_had_signed,
    a_trail_without_any_event_is_missing_whatever_a_checkpoint_says,
    retention_goes_on_with_another_key_and_tells_what_it_went_on_from,
    what_a_version_before_checkpoints_had_dropped_is_explained_by_the_upgrade_once,
    an_upgrade_forgets_when_forgotten_secrets_were_used_and_keeps_the_keys_last_use,
    a_head_of_a_clock_that_is_ahead_stops_no_signing,
);

/// What anybody can do who can write to the database.
const CHECKPOINT_BY_HAND: &str = "INSERT INTO audit_signatures (seq, kind, hash, at)
     SELECT seq - 1, 'checkpoint', previous_hash, at FROM audit_events ORDER BY seq LIMIT 1";

/// As version 4 left it.
const BACK_TO_VERSION_4: &str = "DROP INDEX audit_signatures_by_kind;
     DELETE FROM seaql_migrations WHERE version = 'm0005_explained_start';
     UPDATE schema_version SET version = 4";

async fn fault_of_export(store: &Store) -> Option<AuditFault> {
    let mut file = Vec::new();
    store.export_audit(at(60), &mut file).await.unwrap();
    check_audit_export(&*file, &[signer(7).public_key()]).unwrap().fault
}

async fn refused(store: &Store, before: u64) -> AuditFault {
    match store.prune_audit(at(before), 99, at(90), Some(&signer(7))).await.unwrap() {
        AuditPruning::Refused(fault) => fault,
        AuditPruning::Done { .. } => panic!("retention went on"),
    }
}

async fn append(store: &Store, second: u64) {
    let mut new = event(Action::UserSignedIn);
    new.at = at(second);
    store.append_event(change(second), new).await.unwrap();
}

async fn the_old_end_of_a_young_trail_cannot_go_unnoticed_and_is_not_signed_over(database: &TestDatabase) {
    let store = with_events(database, 8).await;
    tamper(database, "DELETE FROM audit_events WHERE seq <= 3").await;
    let missing = AuditFault::Missing { from: 1, to: 3 };
    assert_eq!(fault(&store).await, Some(missing.clone()));
    assert_eq!(fault_of_export(&store).await, Some(missing.clone()));
    assert_eq!(refused(&store, 0).await, missing, "also when nothing is old enough");
    assert_eq!(refused(&store, 6).await, missing);
    assert_eq!(store.list_events(None, 99, None).await.unwrap().items.len(), 5, "nothing more is gone");
    let signed = "SELECT kind FROM audit_signatures";
    assert_eq!(text_of(&behind(database).await, signed).await, [""; 0]);
}

async fn a_checkpoint_written_by_hand_covers_up_nothing_that_was_signed(database: &TestDatabase) {
    let store = with_events(database, 4).await;
    let early = sign(&store, 0).await;
    for second in 5..=8 {
        append(&store, second).await;
    }
    sign(&store, 1).await;
    tamper(database, "DELETE FROM audit_events WHERE seq <= 5").await;
    tamper(database, CHECKPOINT_BY_HAND).await;
    let gone = AuditFault::SignedAndGone { seq: 4 };
    assert_eq!(fault(&store).await, Some(gone.clone()));
    assert_eq!(fault_of_export(&store).await, Some(gone.clone()));
    assert_eq!(refused(&store, 7).await, gone);

    // With the head gone too, what is left of it is what a process remembers.
    tamper(database, "DELETE FROM audit_signatures WHERE seq = 4").await;
    let remembered = KnownHead::from(early);
    let signing = store.sign_audit_head(&signer(7), at(9_000), Some(&remembered)).await.unwrap();
    let missing = AuditFault::Missing { from: 4, to: 4 };
    assert!(matches!(&signing, HeadSigning::Refused(fault) if *fault == missing), "{signing:?}");
}

/// What the check and retention say of a checkpoint by this key where a head by key 7 over a dropped event is left.
async fn judged_with_a_head_left(database: &TestDatabase, key: u8) -> (Option<AuditFault>, AuditPruning) {
    let store = with_events(database, 4).await;
    sign(&store, 0).await;
    tamper(database, "CREATE TABLE kept AS SELECT * FROM audit_signatures").await;
    for second in 5..=8 {
        append(&store, second).await;
    }
    assert_eq!(dropped(&store, at(6), 99, at(50), Some(&signer(key))).await, 5);
    tamper(database, "INSERT INTO audit_signatures SELECT * FROM kept").await;
    let both = [signer(7).public_key(), signer(8).public_key()];
    let checked = store.verify_audit_trail(&both).await.unwrap().fault;
    (checked, store.prune_audit(at(7), 99, at(90), Some(&signer(7))).await.unwrap())
}

async fn a_checkpoint_by_another_key_covers_up_nothing_that_was_signed(database: &TestDatabase) {
    let (checked, pruned) = judged_with_a_head_left(database, 8).await;
    let gone = AuditFault::SignedAndGone { seq: 4 };
    assert_eq!((checked, pruned), (Some(gone.clone()), AuditPruning::Refused(gone)));
}

async fn a_checkpoint_vouches_for_what_its_own_key_had_signed(database: &TestDatabase) {
    let (checked, pruned) = judged_with_a_head_left(database, 7).await;
    assert_eq!((checked, pruned), (None, AuditPruning::Done { events: 1, unproven: None }));
}

async fn a_trail_without_any_event_is_missing_whatever_a_checkpoint_says(database: &TestDatabase) {
    let store = with_events(database, 4).await;
    let all = "INSERT INTO audit_signatures (seq, kind, hash, at)
               SELECT seq, 'checkpoint', hash, 1 FROM audit_head";
    tamper(database, all).await;
    tamper(database, "DELETE FROM audit_events").await;
    assert_eq!(fault(&store).await, Some(AuditFault::Missing { from: 4, to: 4 }));
}

async fn retention_goes_on_with_another_key_and_tells_what_it_went_on_from(database: &TestDatabase) {
    let store = with_events(database, 4).await;
    sign(&store, 0).await;
    for second in 5..=8 {
        append(&store, second).await;
    }
    assert_eq!(dropped(&store, at(4), 99, at(50), Some(&signer(7))).await, 3);
    let both = [signer(7).public_key(), signer(8).public_key()];
    let before = store.verify_audit_trail(&both).await.unwrap();
    let TrailStart::Checkpoint(checkpoint) = before.start else { panic!("{before:?}") };
    // The key was lost and made anew.
    let went_on = AuditPruning::Done { events: 3, unproven: Some(checkpoint) };
    assert_eq!(store.prune_audit(at(7), 99, at(51), Some(&signer(8))).await.unwrap(), went_on);
    let after = store.verify_audit_trail(&[signer(8).public_key()]).await.unwrap();
    assert_eq!((after.fault, after.signatures), (None, 1), "what the old key had signed went with it");
    assert_eq!(dropped(&store, at(8), 99, at(52), Some(&signer(8))).await, 1);
    assert_eq!(store.verify_audit_trail(&both).await.unwrap().fault, None);
}

async fn what_a_version_before_checkpoints_had_dropped_is_explained_by_the_upgrade_once(
    database: &TestDatabase,
) {
    let store = with_events(database, 8).await;
    store.close().await.unwrap();
    tamper(database, "DELETE FROM audit_events WHERE seq <= 3").await;
    tamper(database, BACK_TO_VERSION_4).await;
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    assert_eq!((fault(&store).await, fault_of_export(&store).await), (None, None));
    let TrailStart::Checkpoint(explained) = store.verify_audit_chain().await.unwrap().start else { panic!() };
    assert_eq!((explained.seq(), explained.public_key(), explained.at()), (3, None, at(4)));
    let went_on = AuditPruning::Done { events: 2, unproven: Some(explained) };
    assert_eq!(store.prune_audit(at(6), 99, at(50), Some(&signer(7))).await.unwrap(), went_on);
    assert_eq!(fault(&store).await, None);
    store.close().await.unwrap();

    // Another start explains nothing more.
    tamper(database, "DELETE FROM audit_signatures").await;
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    assert_eq!(fault(&store).await, Some(AuditFault::Missing { from: 1, to: 5 }));
}

async fn an_upgrade_forgets_when_forgotten_secrets_were_used_and_keeps_the_keys_last_use(
    database: &TestDatabase,
) {
    let store = with_events(database, 2).await;
    store.close().await.unwrap();
    for (digit, key, last) in [(1, "k1", 1), (2, "k1", 3), (3, "k1", 2), (4, "k2", 1), (5, "k3", 5)] {
        let digest = blob(database, &format!("{digit:02x}").repeat(32));
        let row = format!(
            "INSERT INTO key_usage (digest, key_id, last_used_at) VALUES ({digest}, '{key}', {last})"
        );
        tamper(database, &row).await;
    }
    tamper(database, BACK_TO_VERSION_4).await;
    Store::open(&OpenOptions::new(database.url())).await.unwrap();
    let left = "SELECT key_id || ' ' || CAST(last_used_at AS TEXT) FROM key_usage ORDER BY key_id";
    assert_eq!(text_of(&behind(database).await, left).await, ["k1 3", "k2 1", "k3 5"]);
}

async fn a_head_of_a_clock_that_is_ahead_stops_no_signing(database: &TestDatabase) {
    let store = with_events(database, 4).await;
    assert_eq!(sign(&store, 1_000).await.at(), at(3_600_000));
    append(&store, 5).await;
    let signed = sign(&store, 1).await;
    assert_eq!((signed.seq(), signed.at()), (5, at(3_600)), "by the clock that is right");
    let report = store.verify_audit_chain().await.unwrap();
    let newest = report.newest_head.as_ref().map(rndrkit_store::AuditSignature::at);
    assert_eq!((report.fault, newest), (None, Some(at(3_600))));
    assert_eq!(report.latest_head_at, Some(at(3_600_000)), "a person can see that one was ahead");
    // Within the hour clocks may differ.
    for seconds in [1_800, 5_000] {
        let again = store.sign_audit_head(&signer(7), at(seconds), None).await.unwrap();
        assert!(matches!(again, HeadSigning::AlreadySigned(_)), "{seconds}: {again:?}");
    }
}
