//! Commits whose answer is lost: what happened is found out, and only then is anybody told anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rndrkit_control::{AccountPatch, Billing, Error, PageQuery, SignUpPolicy};
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key::KeyStatus;
use rndrkit_testkit::database::{TestDatabase, on_postgres};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{Setup, admin, setup_at};

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Fate {
    Answered = 0,
    /// It happens, and the connection breaks before the answer is back.
    HappensUnheard = 1,
    /// The connection breaks before it reaches the server.
    NeverArrives = 2,
}

/// Stands between the store and PostgreSQL, and knows a commit when it sees one.
struct Wire {
    address: SocketAddr,
    next: Arc<AtomicU8>,
}

impl Wire {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let next = Arc::new(AtomicU8::new(Fate::Answered as u8));
        let for_all = next.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, for_all.clone()));
            }
        });
        Self { address, next }
    }

    fn next_commit(&self, fate: Fate) {
        self.next.store(fate as u8, Ordering::SeqCst);
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, next: Arc<AtomicU8>) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let is_commit = asked[..length].windows(7).any(|text| text == b"COMMIT\0");
                let fate = if is_commit { next.swap(Fate::Answered as u8, Ordering::SeqCst) } else { 0 };
                if fate == Fate::NeverArrives as u8 {
                    return;
                }
                server.write_all(&asked[..length]).await.unwrap();
                if fate == Fate::HappensUnheard as u8 {
                    // It has happened when the server says so; nobody else hears that.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn over_a_wire(database: &TestDatabase) -> (Setup, Wire, AccountId) {
    let (before, rest) = database.url().split_once('@').unwrap();
    let (server, name) = rest.split_once('/').unwrap();
    let wire = Wire::to(server.to_owned()).await;
    let url = format!("{before}@{}/{name}?sslmode=disable", wire.address);
    let setup = setup_at(&url, SignUpPolicy::Invite, Billing::Off).await;
    let account = setup.account("ada@example.com", "agency").await;
    (setup, wire, account)
}

#[test]
fn a_key_whose_commit_was_not_heard_of_is_found_and_shown_with_its_secret() {
    on_postgres(async |database| {
        let (setup, wire, account) = over_a_wire(database).await;
        wire.next_commit(Fate::HappensUnheard);
        let made = setup.control.create_key(&admin(), account, "CI", None, None).await.unwrap();
        assert!(made.secret.is_some());
        let stored = setup.control.list_keys(&admin(), account, PageQuery::default()).await.unwrap().items;
        assert_eq!(stored.iter().map(|key| key.id).collect::<Vec<_>>(), [made.value.id]);
    });
}

#[test]
fn a_key_whose_commit_never_arrived_is_not_there_and_the_call_says_that_it_does_not_know() {
    on_postgres(async |database| {
        let (setup, wire, account) = over_a_wire(database).await;
        wire.next_commit(Fate::NeverArrives);
        let made = setup.control.create_key(&admin(), account, "CI", None, None).await;
        assert!(matches!(made, Err(Error::Unavailable(_))), "{made:?}");
        let stored = setup.control.list_keys(&admin(), account, PageQuery::default()).await.unwrap();
        assert!(stored.items.is_empty());
    });
}

#[test]
fn a_change_whose_commit_was_lost_either_way_is_made_and_confirmed() {
    on_postgres(async |database| {
        let (setup, wire, account) = over_a_wire(database).await;
        let control = &setup.control;
        for fate in [Fate::HappensUnheard, Fate::NeverArrives] {
            let key = control.create_key(&admin(), account, "CI", None, None).await.unwrap().value.id;
            setup.nodes.asked();
            wire.next_commit(fate);
            control.revoke_key(&admin(), key).await.unwrap();
            let confirmed = setup.nodes.asked();
            let key = control.get_key(&admin(), key).await.unwrap();
            assert_eq!(key.status(control.now()), KeyStatus::Revoked, "{fate:?}");
            control.revoke_key(&admin(), key.id).await.unwrap();
            assert_eq!(setup.nodes.asked(), confirmed, "{fate:?}: waited for another number");

            wire.next_commit(fate);
            let plan = if fate == Fate::NeverArrives { "agency" } else { "starter" };
            let patch = AccountPatch { plan: Some(plan), ..AccountPatch::default() };
            let changed = control.update_account(&admin(), account, patch).await.unwrap();
            assert_eq!(changed.view.plan.id.as_str(), plan, "{fate:?}");
            control
                .update_account(&admin(), account, AccountPatch { plan: Some("agency"), ..patch })
                .await
                .unwrap();
        }
    });
}

#[test]
fn an_account_and_a_token_whose_commit_was_not_heard_of_are_found() {
    on_postgres(async |database| {
        let (setup, wire, _) = over_a_wire(database).await;
        wire.next_commit(Fate::HappensUnheard);
        setup.account("bob@example.com", "agency").await;
        wire.next_commit(Fate::HappensUnheard);
        let token = setup.control.create_token(&admin(), "CI", "read", None, None).await.unwrap();
        assert!(token.secret.is_some());
    });
}
