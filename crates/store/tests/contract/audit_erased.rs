//! Who did it and from where is erased from the audit trail with an account, and for no other reason.

use rndrkit_domain::audit::Action;
use rndrkit_store::{AuditFault, Store, check_audit_export};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::audit::{dropped, fault, sign, signer};
use crate::builders::{account, at, change, event_of, key, open, tamper};

on_both_databases!(
    who_did_it_cannot_be_taken_out_while_the_account_lives,
    what_came_after_a_deletion_or_is_of_no_account_is_never_erased,
    retention_keeps_the_deletion_that_explains_what_it_keeps,
    a_deletion_made_up_for_an_account_that_lives_is_named,
);

async fn blank(database: &TestDatabase, place: &str) {
    let statement = format!(
        "UPDATE audit_events SET ip = NULL, user_agent = NULL, actor_name = NULL, personal_salt = NULL WHERE {place}"
    );
    assert_ne!(tamper(database, &statement).await, 0, "{place}");
}

/// What the check says of the database and of its export.
async fn faults(store: &Store) -> (Option<AuditFault>, Option<AuditFault>) {
    let mut file = Vec::new();
    store.export_audit(at(60), &mut file).await.unwrap();
    (fault(store).await, check_audit_export(&*file, &[signer(7).public_key()]).unwrap().fault)
}

async fn deleted(store: &Store, label: &str) {
    let owner = account(store, label).await;
    key(store, owner.id, 2).await;
    store.delete_account(owner.id, change(9), event_of(owner.id, Action::AccountDeleted)).await.unwrap();
}

fn both(seq: i64) -> (Option<AuditFault>, Option<AuditFault>) {
    (Some(AuditFault::Blanked { seq }), Some(AuditFault::Blanked { seq }))
}

async fn who_did_it_cannot_be_taken_out_while_the_account_lives(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    for second in 1..=2 {
        key(&store, ada.id, second).await;
    }
    // Events 5 to 7; another account's deletion explains nothing.
    deleted(&store, "bob").await;
    sign(&store, 0).await;
    assert_eq!(faults(&store).await, (None, None));
    blank(database, "seq = 4").await;
    assert_eq!(faults(&store).await, both(4), "all hashes and signatures fit");
    blank(database, "seq = 3").await;
    assert_eq!(faults(&store).await, both(3), "the first is named");
    store.delete_account(ada.id, change(9), event_of(ada.id, Action::AccountDeleted)).await.unwrap();
    assert_eq!(faults(&store).await, (None, None), "now nobody is to know any more");
}

async fn what_came_after_a_deletion_or_is_of_no_account_is_never_erased(database: &TestDatabase) {
    let store = open(database).await;
    deleted(&store, "ada").await;
    assert_eq!(faults(&store).await, (None, None));
    blank(database, "action = 'account.deleted'").await;
    assert_eq!(faults(&store).await, both(4), "who deleted it");
    blank(database, "account_id IS NULL").await;
    assert_eq!(faults(&store).await, both(1));
}

async fn retention_keeps_the_deletion_that_explains_what_it_keeps(database: &TestDatabase) {
    let store = open(database).await;
    deleted(&store, "ada").await;
    for left in (1..=3).rev() {
        assert_eq!(dropped(&store, at(99), 1, at(99), Some(&signer(7))).await, 1);
        assert_eq!(faults(&store).await, (None, None), "{left} left");
    }
}

async fn a_deletion_made_up_for_an_account_that_lives_is_named(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    // Whoever can write to the database can append an event whose hashes fit, and a node signs it later.
    store.append_event(change(3), event_of(ada.id, Action::AccountDeleted)).await.unwrap();
    sign(&store, 0).await;
    blank(database, "seq = 2").await;
    assert_eq!(fault(&store).await, Some(AuditFault::NotDeleted { seq: 3 }));
}
