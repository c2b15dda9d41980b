//! Plans: replaced as a whole, never from under an account.

use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedKind;
use rndrkit_store::{AccountUpdate, Error};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, change, event, key, open, plan, plan_id, plans};

on_both_databases!(
    plans_keep_their_order_and_figures,
    equal_plans_change_nothing,
    a_plan_that_accounts_hold_stays,
    deleted_accounts_hold_no_plan,
    changed_figures_are_newer_for_every_account,
);

async fn plans_keep_their_order_and_figures(database: &TestDatabase) {
    let store = open(database).await;
    assert_eq!(store.list_plans().await.unwrap(), plans());
    let mut turned = plans();
    turned.reverse();
    turned[0].active_keys = 9;
    let committed = store.sync_plans(&turned, change(1), event(Action::PlansChanged)).await.unwrap();
    assert!(committed.changed);
    assert_eq!(store.list_plans().await.unwrap(), turned);
    let entry = store.feed_entries(committed.number, 1).await.unwrap().remove(0);
    assert_eq!((entry.kind, entry.account_id, entry.key_id), (FeedKind::Plans, None, None));
}

async fn equal_plans_change_nothing(database: &TestDatabase) {
    let store = open(database).await;
    let head = store.feed_head().await.unwrap();
    let committed = store.sync_plans(&plans(), change(1), event(Action::PlansChanged)).await.unwrap();
    assert_eq!((committed.changed, committed.number), (false, head.number));
    assert_eq!(store.feed_head().await.unwrap(), head);
    assert_eq!(store.list_events(None, 9, None).await.unwrap().items.len(), 1);
}

async fn a_plan_that_accounts_hold_stays(database: &TestDatabase) {
    let store = open(database).await;
    account(&store, "ada").await;
    account(&store, "bob").await;
    let without = vec![plan("starter", false, 5)];
    match store.sync_plans(&without, change(2), event(Action::PlansChanged)).await {
        Err(Error::PlanInUse { plan, accounts }) => assert_eq!((plan.as_str(), accounts), ("agency", 2)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.list_plans().await.unwrap(), plans(), "all or nothing");
}

async fn deleted_accounts_hold_no_plan(database: &TestDatabase) {
    let store = open(database).await;
    let gone = account(&store, "ada").await;
    let (_, secret) = key(&store, gone.id, 1).await;
    store.delete_account(gone.id, change(2), event(Action::AccountDeleted)).await.unwrap();
    let without = vec![plan("starter", false, 5)];
    store.sync_plans(&without, change(3), event(Action::PlansChanged)).await.unwrap();
    assert_eq!(store.list_plans().await.unwrap(), without);
    assert!(store.load_key(secret).await.unwrap().found.unwrap().revoked, "the key is still known");
}

async fn changed_figures_are_newer_for_every_account(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (_, secret) = key(&store, owner.id, 1).await;
    let revision = || async { store.load_key(secret).await.unwrap().found.unwrap().revision };
    let first = revision().await;
    let mut changed = plans();
    changed[1].api_access = false;
    store.sync_plans(&changed, change(2), event(Action::PlansChanged)).await.unwrap();
    let second = revision().await;
    assert!(second > first, "a verifier keeps the higher revision");
    assert!(!store.load_key(secret).await.unwrap().found.unwrap().api_access);
    let update = AccountUpdate { plan: Some(plan_id("agency_plus")), ..AccountUpdate::default() };
    store.update_account(owner.id, update, change(3), |_, _, _| Vec::new()).await.unwrap();
    assert!(revision().await > second);
}
