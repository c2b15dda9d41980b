//! Accounts are walls: what each kind of asker may do.

use rndrkit_control::{AccountPatch, Billing, Context, Error, LinkInput, PageQuery, Principal, SignUpPolicy};
use rndrkit_domain::audit::Origin;
use rndrkit_domain::token::Scope;
use rndrkit_testkit::database::on_sqlite;

use crate::setup::{admin, operator, setup, setup_with};

#[test]
fn a_user_sees_and_changes_nothing_of_another_account() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let (ada, bob) = (
            setup.account("ada@example.com", "agency").await,
            setup.account("bob@example.com", "agency").await,
        );
        let key = setup.control.create_key(&admin(), ada, "x", None, None).await.unwrap().value.id;
        let stranger = setup.user_of(bob).await;
        let holder = Context {
            principal: Principal::KeyHolder {
                account_id: bob,
                key_id: setup.control.create_key(&admin(), bob, "y", None, None).await.unwrap().value.id,
            },
            origin: Origin::default(),
        };
        let adas = setup.control.get_account(&admin(), ada).await.unwrap().account;
        for asker in [&stranger, &holder] {
            let control = &setup.control;
            assert!(matches!(control.get_account(asker, ada).await, Err(Error::NotFound)));
            assert!(matches!(control.get_key(asker, key).await, Err(Error::NotFound)));
            assert!(matches!(
                control.list_keys(asker, ada, PageQuery::default()).await,
                Err(Error::NotFound)
            ));
            assert!(matches!(control.key_overview(asker, &adas).await, Err(Error::NotFound)));
            assert!(matches!(control.revoke_key(asker, key).await, Err(Error::NotFound)));
            assert!(matches!(control.create_key(asker, ada, "z", None, None).await, Err(Error::NotFound)));
            assert!(matches!(control.daily_usage(asker, ada, None, None).await, Err(Error::NotFound)));
            assert!(matches!(control.delete_account(asker, ada).await, Err(Error::NotFound)));
            assert!(matches!(control.notification_settings(asker, ada).await, Err(Error::NotFound)));
            assert!(matches!(control.choose_notifications(asker, ada, &[]).await, Err(Error::NotFound)));
            let patch = AccountPatch { plan: Some("starter"), ..AccountPatch::default() };
            assert!(matches!(control.update_account(asker, ada, patch).await, Err(Error::NotFound)));
            assert!(matches!(
                control.create_link(asker, bob, LinkInput { kind: "sign_in", ..LinkInput::default() }).await,
                Err(Error::NotFound)
            ));
            assert!(matches!(
                control.list_events(asker, Some(ada), PageQuery::default()).await,
                Err(Error::NotFound)
            ));
            assert!(matches!(
                control.list_events(asker, None, PageQuery::default()).await,
                Err(Error::NotFound)
            ));
        }
        assert!(setup.control.get_key(&admin(), key).await.unwrap().revoked.is_none());
    });
}

#[test]
fn a_key_can_neither_make_nor_list_keys_but_can_end_itself() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        let key = setup.control.create_key(&admin(), account, "x", None, None).await.unwrap().value.id;
        let other = setup.control.create_key(&admin(), account, "y", None, None).await.unwrap().value.id;
        let holder = Context {
            principal: Principal::KeyHolder { account_id: account, key_id: key },
            origin: Origin::default(),
        };
        assert!(setup.control.create_key(&holder, account, "z", None, None).await.is_err());
        assert!(setup.control.list_keys(&holder, account, PageQuery::default()).await.is_err());
        assert!(setup.control.get_key(&holder, other).await.is_err());
        assert!(setup.control.revoke_key(&holder, other).await.is_err());
        assert!(setup.control.get_account(&holder, account).await.is_ok());
        assert!(setup.control.revoke_key(&holder, key).await.is_ok());
    });
}

#[test]
fn scopes_bound_what_a_token_may_do() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        for scope in [Scope::Read, Scope::Verify] {
            let context = operator(scope);
            let created = setup.control.create_key(&context, account, "x", None, None).await;
            assert!(matches!(created, Err(Error::InsufficientScope)), "{scope:?}");
            let read = setup.control.get_account(&context, account).await;
            assert_eq!(read.is_ok(), scope == Scope::Read, "{scope:?}");
        }
    });
}

#[test]
fn users_change_their_plan_only_where_that_is_free() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Invite, Billing::Operator).await;
        let account = setup.account("ada@example.com", "starter").await;
        let user = setup.user_of(account).await;
        let patch = AccountPatch { plan: Some("agency"), ..AccountPatch::default() };
        let refused = setup.control.update_account(&user, account, patch).await;
        assert!(matches!(refused, Err(Error::PlanChangeNotYours)));
        assert!(setup.control.update_account(&admin(), account, patch).await.is_ok());
    });
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "starter").await;
        let user = setup.user_of(account).await;
        let patch = AccountPatch { plan: Some("agency"), ..AccountPatch::default() };
        assert!(setup.control.update_account(&user, account, patch).await.is_ok());
        let suspend = AccountPatch { status: Some("suspended"), ..AccountPatch::default() };
        assert!(setup.control.update_account(&user, account, suspend).await.is_err());
    });
}
