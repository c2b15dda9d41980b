//! Getting in and staying in: links, passwords, sessions.

use std::time::Duration;

use rndrkit_control::{Billing, Context, Error, LinkInput, Principal, SignUpInput, SignUpPolicy};
use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};

use crate::setup::{PASSWORD, admin, link_of_kind, origin, secret_of, setup, setup_with};

fn ada(link: Option<&str>) -> SignUpInput<'_> {
    SignUpInput { link, email: "ada@example.com", name: None, password: PASSWORD }
}

async fn first_account(database: &TestDatabase) {
    let setup = setup(database).await;
    let old = setup.control.first_account_link().await.unwrap().unwrap();
    let new = setup.control.first_account_link().await.unwrap().unwrap();
    let late = setup.control.sign_up(ada(Some(secret_of(old.url.reveal()))), &origin()).await;
    assert!(matches!(late, Err(Error::LinkInvalid)), "the link of an earlier start still worked");

    let link = secret_of(new.url.reveal());
    let opened = setup.control.sign_up(ada(Some(link)), &origin()).await.unwrap();
    let session = setup.control.session(opened.token.reveal()).await.unwrap().unwrap();
    assert_eq!(session.account.email.as_str(), "ada@example.com");
    assert_eq!(session.account.plan.as_str(), "starter");
    let again = setup.control.sign_up(ada(Some(link)), &origin()).await;
    assert!(matches!(again, Err(Error::LinkInvalid)), "a link worked twice");
    assert!(setup.control.first_account_link().await.unwrap().is_none(), "there is an account already");
}

#[test]
fn the_first_account_link_works_once_and_only_the_newest_does() {
    on_sqlite(first_account);
    on_postgres(first_account);
}

async fn sign_in(database: &TestDatabase) {
    let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
    setup.control.sign_up(ada(None), &origin()).await.unwrap();
    let opened = setup.control.sign_in(" ADA@example.com ", PASSWORD, &origin()).await.unwrap();
    assert!(setup.control.session(opened.token.reveal()).await.unwrap().is_some());
    let wrong = setup.control.sign_in("ada@example.com", "not the password at all", &origin()).await;
    let unknown = setup.control.sign_in("eve@example.com", PASSWORD, &origin()).await;
    let (Err(wrong), Err(unknown)) = (wrong, unknown) else { panic!("let in") };
    assert_eq!(wrong.public_text(), unknown.public_text());
    let taken = setup.control.sign_up(ada(None), &origin()).await;
    assert!(matches!(taken, Err(Error::EmailTaken)));
}

#[test]
fn unknown_addresses_and_wrong_passwords_sound_the_same() {
    on_sqlite(sign_in);
    on_postgres(sign_in);
}

#[test]
fn guessing_is_slowed_down_and_the_right_password_works_after_the_wait() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
        setup.control.sign_up(ada(None), &origin()).await.unwrap();
        for _ in 0..5 {
            let wrong = setup.control.sign_in("ada@example.com", "wrong wrong wrong", &origin()).await;
            assert!(matches!(wrong, Err(Error::SignInRefused)));
        }
        let slowed = setup.control.sign_in("ada@example.com", PASSWORD, &origin()).await;
        let Err(Error::TooManyAttempts { retry_after }) = slowed else { panic!("not slowed down") };
        setup.clock.advance(retry_after);
        assert!(setup.control.sign_in("ada@example.com", PASSWORD, &origin()).await.is_ok());
    });
}

#[test]
fn a_session_ends_after_a_day_unused_and_after_thirty_days_in_use() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
        let opened = setup.control.sign_up(ada(None), &origin()).await.unwrap();
        let alive = async || setup.control.session(opened.token.reveal()).await.unwrap().is_some();
        for _ in 0..29 {
            setup.clock.advance(Duration::from_secs(86_000));
            assert!(alive().await);
        }
        setup.clock.advance(Duration::from_secs(86_000 * 2));
        assert!(!alive().await, "unused for two days");

        let opened = setup.control.sign_in("ada@example.com", PASSWORD, &origin()).await.unwrap();
        for _ in 0..30 {
            setup.clock.advance(Duration::from_secs(86_000));
            setup.control.session(opened.token.reveal()).await.unwrap();
        }
        setup.clock.advance(Duration::from_secs(15_000));
        assert!(setup.control.session(opened.token.reveal()).await.unwrap().is_none(), "31 days in use");
    });
}

#[test]
fn signing_out_ends_the_session_on_the_server() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
        let opened = setup.control.sign_up(ada(None), &origin()).await.unwrap();
        let session = setup.control.session(opened.token.reveal()).await.unwrap().unwrap();
        let context = Context { principal: session.principal, origin: origin() };
        setup.control.sign_out(&context).await.unwrap();
        assert!(setup.control.session(opened.token.reveal()).await.unwrap().is_none());
    });
}

#[test]
fn a_reset_sets_the_password_and_ends_every_other_session() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
        let before = setup.control.sign_up(ada(None), &origin()).await.unwrap();
        let link = setup
            .control
            .create_link(&admin(), before.account_id, link_of_kind("password_reset"))
            .await
            .unwrap();
        let secret = secret_of(link.url.reveal());
        let weak = setup.control.reset_password(secret, "short", &origin()).await;
        assert!(matches!(weak, Err(Error::Invalid(_))), "and the link is still good");
        let new_password = "green ladder piano nine";
        let opened = setup.control.reset_password(secret, new_password, &origin()).await.unwrap();
        assert!(setup.control.session(before.token.reveal()).await.unwrap().is_none());
        assert!(setup.control.session(opened.token.reveal()).await.unwrap().is_some());
        assert!(setup.control.sign_in("ada@example.com", PASSWORD, &origin()).await.is_err());
        assert!(setup.control.sign_in("ada@example.com", new_password, &origin()).await.is_ok());
        assert!(setup.control.reset_password(secret, PASSWORD, &origin()).await.is_err());
    });
}

#[test]
fn a_reset_is_for_the_person_with_the_address_and_for_nobody_outside_the_account() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Open, Billing::Off).await;
        let account = setup.control.sign_up(ada(None), &origin()).await.unwrap().account_id;
        let join = async |account, email: &'static str| {
            let invite = setup.control.create_link(&admin(), account, link_of_kind("invite")).await.unwrap();
            let link = Some(secret_of(invite.url.reveal()));
            let input = SignUpInput { link, email, name: None, password: PASSWORD };
            setup.control.sign_up(input, &origin()).await.unwrap()
        };
        join(account, "bob@example.com").await;
        join(setup.account("eve@example.com", "agency").await, "eve@example.com").await;
        let make = async |kind, email| {
            let input = LinkInput { email: Some(email), ..link_of_kind(kind) };
            setup.control.create_link(&admin(), account, input).await
        };
        let link = make("password_reset", " BOB@example.com ").await.unwrap();
        let new_password = "green ladder piano nine";
        setup.control.reset_password(secret_of(link.url.reveal()), new_password, &origin()).await.unwrap();
        assert!(setup.control.sign_in("bob@example.com", new_password, &origin()).await.is_ok());
        assert!(setup.control.sign_in("ada@example.com", PASSWORD, &origin()).await.is_ok());

        for (kind, email) in
            [("password_reset", "eve@example.com"), ("password_reset", "?"), ("sign_in", "bob@example.com")]
        {
            let Err(Error::Invalid(fields)) = make(kind, email).await else { panic!("{kind} {email}") };
            assert_eq!(fields.iter().map(|field| field.field).collect::<Vec<_>>(), ["email"]);
        }
    });
}

#[test]
fn an_invite_makes_a_user_of_an_existing_account() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        let reset = setup.control.create_link(&admin(), account, link_of_kind("password_reset")).await;
        assert!(matches!(reset, Err(Error::Invalid(_))), "nobody has a password to reset yet");
        let link = setup.control.create_link(&admin(), account, link_of_kind("invite")).await.unwrap();
        let opened = setup.control.sign_up(ada(Some(secret_of(link.url.reveal()))), &origin()).await.unwrap();
        assert_eq!(opened.account_id, account);
        let session = setup.control.session(opened.token.reveal()).await.unwrap().unwrap();
        assert!(matches!(session.principal, Principal::User { user: Some(_), .. }));
    });
}

#[test]
fn strangers_need_an_invite_unless_sign_up_is_open_and_closed_means_closed() {
    on_sqlite(async |database| {
        let setup = setup_with(database, SignUpPolicy::Closed, Billing::Off).await;
        assert!(matches!(setup.control.sign_up(ada(None), &origin()).await, Err(Error::SignUpClosed)));
        let account = setup.account("ada@example.com", "agency").await;
        let link = setup.control.create_link(&admin(), account, link_of_kind("invite")).await.unwrap();
        let invited = setup.control.sign_up(ada(Some(secret_of(link.url.reveal()))), &origin()).await;
        assert!(matches!(invited, Err(Error::SignUpClosed)));
    });
}
