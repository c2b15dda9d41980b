//! Changing one's own password, and ending one's own sessions.

use std::time::Duration;

use rndrkit_control::{Billing, Context, EndedSession, Error, OpenedSession, SignUpInput, SignUpPolicy};
use rndrkit_domain::audit::Origin;
use rndrkit_domain::token::Scope;
use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};

use crate::setup::{PASSWORD, Setup, admin, link_of_kind, operator, origin, secret_of, setup, setup_with};

const NEW_PASSWORD: &str = "green ladder piano nine";
const EMAIL: &str = "ada@example.com";

/// An installation that anybody may join, with Ada signed in.
async fn with_ada(database: &TestDatabase) -> (Setup, Context) {
    let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
    let opened = sign_up(&setup, EMAIL).await;
    let ada = context(&setup, &opened).await;
    (setup, ada)
}

async fn sign_up(setup: &Setup, email: &str) -> OpenedSession {
    let input = SignUpInput { link: None, email, name: None, password: PASSWORD };
    setup.control.sign_up(input, &origin()).await.unwrap()
}

async fn context(setup: &Setup, opened: &OpenedSession) -> Context {
    let session = setup.control.session(opened.token.reveal()).await.unwrap().unwrap();
    Context { principal: session.principal, origin: origin() }
}

async fn runs(setup: &Setup, opened: &OpenedSession) -> bool {
    setup.control.session(opened.token.reveal()).await.unwrap().is_some()
}

async fn change(database: &TestDatabase) {
    let (setup, ada) = with_ada(database).await;
    let elsewhere = setup.control.sign_in(EMAIL, PASSWORD, &origin()).await.unwrap();
    let fresh = setup.control.change_password(&ada, PASSWORD, NEW_PASSWORD).await.unwrap();
    assert!(runs(&setup, &fresh).await && !runs(&setup, &elsewhere).await);
    assert!(setup.control.sign_in(EMAIL, NEW_PASSWORD, &origin()).await.is_ok());
    assert!(setup.control.sign_in(EMAIL, PASSWORD, &origin()).await.is_err());
    let again = setup.control.change_password(&ada, NEW_PASSWORD, PASSWORD).await;
    assert!(matches!(again, Err(Error::NotFound)), "the session that asked before has ended: {again:?}");
}

#[test]
fn a_new_password_holds_at_once_and_signs_out_everywhere_else() {
    on_sqlite(change);
    on_postgres(change);
}

#[test]
fn a_password_is_changed_only_to_a_good_one_and_only_with_the_current_one() {
    on_sqlite(async |database| {
        let (setup, ada) = with_ada(database).await;
        for (current, chosen, wrong) in [
            ("", NEW_PASSWORD, "current_password"),
            ("not the password", NEW_PASSWORD, "current_password"),
            (&"x".repeat(300), NEW_PASSWORD, "current_password"),
            (PASSWORD, "short", "new_password"),
            (PASSWORD, "passwordpassword", "new_password"),
            (PASSWORD, "ada@example.com 1", "new_password"),
            (PASSWORD, PASSWORD, "new_password"),
        ] {
            let refused = setup.control.change_password(&ada, current, chosen).await;
            let Err(Error::Invalid(fields)) = refused else { panic!("{current:?} {chosen:?}: {refused:?}") };
            assert_eq!(fields.iter().map(|field| field.field).collect::<Vec<_>>(), [wrong]);
        }
        assert!(setup.control.sign_in(EMAIL, PASSWORD, &origin()).await.is_ok());
    });
}

#[test]
fn guessing_the_current_password_is_slowed_down_together_with_signing_in() {
    on_sqlite(async |database| {
        let (setup, ada) = with_ada(database).await;
        let elsewhere = Origin { ip: Some([198, 51, 100, 9].into()), ..origin() };
        let thief = Context { origin: elsewhere.clone(), ..ada.clone() };
        for _ in 0..5 {
            let refused = setup.control.change_password(&thief, "wrong wrong wrong", NEW_PASSWORD).await;
            assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        }
        let slowed = setup.control.change_password(&thief, PASSWORD, NEW_PASSWORD).await;
        let Err(Error::TooManyAttempts { retry_after }) = slowed else { panic!("{slowed:?}") };
        let at_the_door = setup.control.sign_in(EMAIL, PASSWORD, &elsewhere).await;
        assert!(matches!(at_the_door, Err(Error::TooManyAttempts { .. })), "{at_the_door:?}");
        setup.clock.advance(retry_after);
        assert!(setup.control.change_password(&thief, PASSWORD, NEW_PASSWORD).await.is_ok());
    });
}

#[test]
fn a_dashboard_that_a_link_opened_has_no_password_to_change() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account(EMAIL, "agency").await;
        let by_link = setup.user_of(account).await;
        let refused = setup.control.change_password(&by_link, PASSWORD, NEW_PASSWORD).await;
        assert!(matches!(refused, Err(Error::SignedInByLink)), "{refused:?}");
        for nobody in [admin(), operator(Scope::Read), Context::system()] {
            let refused = setup.control.change_password(&nobody, PASSWORD, NEW_PASSWORD).await;
            assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
            assert!(matches!(setup.control.signed_in_browsers(&nobody).await, Err(Error::NotFound)));
            assert!(matches!(setup.control.end_sessions(&nobody, false).await, Err(Error::NotFound)));
        }
    });
}

#[test]
fn this_browser_is_listed_first_and_one_that_was_left_alone_for_a_day_is_not_listed() {
    on_sqlite(async |database| {
        let (setup, ada) = with_ada(database).await;
        setup.clock.advance(Duration::from_secs(60));
        let phone = Origin { user_agent: Some("a telephone".to_owned()), ..origin() };
        let other = setup.control.sign_in(EMAIL, PASSWORD, &phone).await.unwrap();
        let listed = setup.control.signed_in_browsers(&ada).await.unwrap();
        assert_eq!(listed.iter().map(|browser| browser.this).collect::<Vec<_>>(), [true, false]);
        assert_eq!(listed[1].user_agent.as_deref(), Some("a telephone"));
        assert_eq!(listed[1].ip.as_deref(), Some("192.0.2.1"));
        setup.clock.advance(Duration::from_secs(86_300));
        assert!(runs(&setup, &other).await);
        setup.clock.advance(Duration::from_secs(86_300));
        let listed = setup.control.signed_in_browsers(&context(&setup, &other).await).await.unwrap();
        assert_eq!(listed.iter().map(|browser| browser.this).collect::<Vec<_>>(), [true]);
    });
}

async fn ending(database: &TestDatabase) {
    let (setup, ada) = with_ada(database).await;
    let other = setup.control.sign_in(EMAIL, PASSWORD, &origin()).await.unwrap();
    let eve = sign_up(&setup, "eve@example.com").await;
    let eves = setup.control.signed_in_browsers(&context(&setup, &eve).await).await.unwrap();
    let theirs = setup.control.end_session(&ada, &eves[0].handle).await;
    assert!(matches!(theirs, Err(Error::NotFound)), "{theirs:?}");
    assert!(runs(&setup, &eve).await);

    let listed = setup.control.signed_in_browsers(&ada).await.unwrap();
    let ended = setup.control.end_session(&ada, &listed[1].handle).await.unwrap();
    assert_eq!(ended, EndedSession::Another);
    assert!(!runs(&setup, &other).await);
    let again = setup.control.end_session(&ada, &listed[1].handle).await;
    assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    assert_eq!(setup.control.end_session(&ada, &listed[0].handle).await.unwrap(), EndedSession::This);
    assert!(setup.control.signed_in_browsers(&ada).await.unwrap().is_empty());
}

#[test]
fn people_end_their_own_sessions_and_nobody_elses() {
    on_sqlite(ending);
    on_postgres(ending);
}

#[test]
fn signing_out_everywhere_ends_what_a_link_opened_too_and_leaves_other_people() {
    on_sqlite(async |database| {
        let (setup, ada) = with_ada(database).await;
        let account = setup.control.sign_in(EMAIL, PASSWORD, &origin()).await.unwrap().account_id;
        let link = setup.control.create_link(&admin(), account, link_of_kind("sign_in")).await.unwrap();
        let by_link = setup.control.sign_in_by_link(secret_of(link.url.reveal()), &origin()).await.unwrap();
        let invite = setup.control.create_link(&admin(), account, link_of_kind("invite")).await.unwrap();
        let link = Some(secret_of(invite.url.reveal()));
        let input = SignUpInput { link, email: "bob@example.com", name: None, password: PASSWORD };
        let bob = setup.control.sign_up(input, &origin()).await.unwrap();
        assert_eq!(setup.control.signed_in_browsers(&ada).await.unwrap().len(), 3, "not Bob's");
        assert_eq!(setup.control.end_sessions(&ada, false).await.unwrap(), 2);
        assert!(!runs(&setup, &by_link).await && runs(&setup, &bob).await);
        assert_eq!(setup.control.signed_in_browsers(&ada).await.unwrap().len(), 1);
        assert_eq!(setup.control.end_sessions(&ada, true).await.unwrap(), 1);
    });
}
