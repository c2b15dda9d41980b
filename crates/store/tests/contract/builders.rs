//! Short ways to what a test needs before it begins.

use std::num::NonZeroU32;
use std::time::Duration;

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::{Action, Actor, ActorType, NewEvent, Origin, Target};
use rndrkit_domain::id::{AccountId, EventId, KeyId, RequestId, TokenId, UserId};
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::place::Place;
use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use rndrkit_domain::random::{self, OsEntropy};
use rndrkit_domain::text::{Email, Name};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_store::{
    Change, NewAccount, NewKey, NewToken, NewUser, OpenOptions, PageRequest, SessionSeed, Store,
};
use rndrkit_testkit::database::TestDatabase;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};

/// A moment this many seconds after the tests' beginning.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

pub(crate) fn change(seconds: u64) -> Change {
    Change::new(at(seconds), &OsEntropy)
}

pub(crate) fn digest() -> Digest {
    Digest(random::bytes(&OsEntropy))
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

pub(crate) fn plan_id(text: &str) -> PlanId {
    PlanId::parse(text).unwrap()
}

pub(crate) fn event(action: Action) -> NewEvent {
    NewEvent {
        id: EventId::generate(at(0), &OsEntropy),
        at: at(0),
        action,
        actor: Actor { kind: ActorType::User, id: Some("usr_1".to_owned()), name: Some("Ada".to_owned()) },
        account_id: None,
        target: Target { kind: "key", id: "key_1".to_owned() },
        origin: Origin {
            ip: Some("192.0.2.7".parse().unwrap()),
            user_agent: Some("curl/8".to_owned()),
            request_id: Some(RequestId::generate(at(0), &OsEntropy)),
        },
        details: vec![("from", "starter".to_owned())],
    }
}

pub(crate) fn event_of(account_id: AccountId, action: Action) -> NewEvent {
    NewEvent { account_id: Some(account_id), ..event(action) }
}

pub(crate) fn plan(id: &str, api_access: bool, active_keys: u32) -> Plan {
    let number = |value| NonZeroU32::new(value).unwrap();
    Plan {
        id: plan_id(id),
        name: id.to_uppercase(),
        api_access,
        active_keys,
        rate_limit: RateLimit { per_minute: number(600), burst: number(100) },
    }
}

pub(crate) fn plans() -> Vec<Plan> {
    vec![plan("starter", false, 5), plan("agency", true, 5), plan("agency_plus", true, 7)]
}

/// A store with plans.
pub(crate) async fn open(database: &TestDatabase) -> Store {
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    store.sync_plans(&plans(), change(0), event(Action::PlansChanged)).await.unwrap();
    store
}

/// A connection past the store, to look behind it or to tamper.
pub(crate) async fn behind(database: &TestDatabase) -> DatabaseConnection {
    Database::connect(database.url()).await.unwrap()
}

pub(crate) async fn tamper(database: &TestDatabase, statement: &str) -> u64 {
    let connection = behind(database).await;
    let touched = connection.execute_unprepared(statement).await.unwrap().rows_affected();
    connection.close().await.unwrap();
    touched
}

pub(crate) fn new_account(label: &str) -> NewAccount {
    NewAccount {
        id: AccountId::generate(at(0), &OsEntropy),
        email: email(&format!("{label}@example.com")),
        name: name(label),
        plan: plan_id("agency"),
        external_id: None,
    }
}

pub(crate) async fn account(store: &Store, label: &str) -> Account {
    let new = new_account(label);
    let event = event_of(new.id, Action::AccountCreated);
    store.insert_account(new, None, change(1), event).await.unwrap().value
}

pub(crate) fn prefix() -> KeyPrefix {
    KeyPrefix::parse("rk_live_").unwrap()
}

pub(crate) fn new_key(account_id: AccountId) -> NewKey {
    let minted = mint(&prefix(), &OsEntropy);
    NewKey {
        id: KeyId::generate(at(0), &OsEntropy),
        account_id,
        name: name("CI/CD Pipeline"),
        environment: None,
        expires_at: None,
        digest: minted.digest,
        prefix: prefix(),
        mask: minted.mask,
    }
}

/// A key with its digest.
pub(crate) async fn key(store: &Store, account_id: AccountId, seconds: u64) -> (ApiKey, Digest) {
    let new = new_key(account_id);
    let digest = new.digest;
    let event = event_of(account_id, Action::KeyCreated);
    (store.insert_key(new, None, change(seconds), event).await.unwrap().value, digest)
}

pub(crate) fn new_token(label: &str) -> NewToken {
    NewToken {
        id: TokenId::generate(at(0), &OsEntropy),
        digest: digest(),
        name: name(label),
        scope: Scope::Read,
        expires_at: None,
    }
}

pub(crate) fn new_user(label: &str) -> NewUser {
    NewUser {
        id: UserId::generate(at(0), &OsEntropy),
        email: email(&format!("{label}@example.com")),
        password_hash: format!("hash of {label}"),
    }
}

pub(crate) fn seed(expires_at: u64) -> SessionSeed {
    SessionSeed {
        digest: digest(),
        expires_at: at(expires_at),
        ip: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("Firefox".to_owned()),
        place: Place::of(Some("2001:db8::1".parse().unwrap()), Some("Firefox")),
    }
}

pub(crate) fn page(limit: u32) -> PageRequest {
    PageRequest { limit, after: None }
}

/// For measuring how long something took.
#[allow(clippy::disallowed_methods, reason = "the test measures real time")]
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
