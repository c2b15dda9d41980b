//! `kill -9` at each step between an event and its mail. No mail is lost; a second copy comes only when the process
//! dies after the mail server took it and before that was written down, and then under the same id.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rndrkit_testkit::database::meddle;

use crate::harness::Server;
use crate::receiver::{Mail, Receiver, until};

/// A server whose mail goes to this receiver, with an account; its id.
pub async fn server_with(receiver: &Receiver) -> (Server, String) {
    let url = receiver.url();
    let from = "RndrKit <keys@mail.example>";
    let server = Server::start(&[("RNDRKIT_SMTP_URL", &url), ("RNDRKIT_MAIL_FROM", from)]).await;
    let account = server.account("ada@example.com", "agency").await;
    (server, account)
}

/// Kills the process, makes its lease run out, and starts it again.
async fn kill_and_restart(server: &mut Server, receiver: &Receiver) {
    server.kill();
    receiver.behave("accept");
    let url = format!("sqlite://{}", server.data().join("rndrkit.db").display());
    meddle(&url, "UPDATE outbox SET due_at = 0 WHERE sent_at IS NULL").await;
    server.spawn().await;
}

/// Holds SQLite's write lock, as a backup tool might.
struct Lock(Child);

impl Lock {
    async fn take(server: &Server) -> Self {
        let script = "import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
c.execute('BEGIN IMMEDIATE')
open(sys.argv[2], 'w').close()
time.sleep(600)";
        let sign = server.data().join("locked");
        let child = Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(server.data().join("rndrkit.db"))
            .arg(&sign)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let lock = Self(child);
        assert!(until(async || sign.exists()).await, "the lock was not had");
        lock
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// After a while in which a copy too many would have come.
async fn settled(receiver: &Receiver, count: usize) -> Vec<Mail> {
    receiver.wait_for_mails(count).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    receiver.mails()
}

#[tokio::test]
async fn killed_before_a_mail_is_taken_it_goes_once() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (mut server, account) = server_with(&receiver).await;
    receiver.behave("silent");
    server.key(&account, "Deployment Script").await;
    kill_and_restart(&mut server, &receiver).await;
    assert_eq!(settled(&receiver, 1).await.len(), 1);
}

#[tokio::test]
async fn killed_after_a_mail_was_taken_it_goes_once() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (mut server, account) = server_with(&receiver).await;
    receiver.behave("silent");
    server.key(&account, "Deployment Script").await;
    assert!(until(async || receiver.steps("connected") > 0).await, "{}", server.log());
    kill_and_restart(&mut server, &receiver).await;
    assert_eq!(settled(&receiver, 1).await.len(), 1);
}

#[tokio::test]
async fn killed_in_the_middle_of_a_mail_it_goes_once() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (mut server, account) = server_with(&receiver).await;
    receiver.behave("hang-in-data");
    server.key(&account, "Deployment Script").await;
    assert!(until(async || receiver.steps("data") > 0).await, "{}", server.log());
    kill_and_restart(&mut server, &receiver).await;
    assert_eq!(settled(&receiver, 1).await.len(), 1);
}

#[tokio::test]
async fn killed_between_the_servers_yes_and_the_mark_a_copy_has_the_same_id() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (mut server, account) = server_with(&receiver).await;
    receiver.behave("hold");
    server.key(&account, "Deployment Script").await;
    receiver.wait_for_mails(1).await;
    let lock = Lock::take(&server).await;
    receiver.behave("accept");
    assert!(until(async || receiver.steps("answered") > 0).await);
    // The answer is on its way or there; the mark waits for the lock.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    drop(lock);
    kill_and_restart(&mut server, &receiver).await;
    let mails = settled(&receiver, 2).await;
    assert_eq!(mails.len(), 2, "one copy, and no more");
    assert!(mails[0].id().starts_with("<evt_"), "{}", mails[0].text);
    assert_eq!(mails[0], mails[1], "to the byte");
}

#[tokio::test]
async fn stopped_in_order_nothing_is_sent_twice() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (mut server, account) = server_with(&receiver).await;
    receiver.behave("hold");
    server.key(&account, "Deployment Script").await;
    receiver.wait_for_mails(1).await;
    let hold = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        receiver.behave("accept");
    };
    server.signal("TERM");
    hold.await;
    assert_eq!(server.terminate(), Some(0), "{}", server.log());
    kill_and_restart(&mut server, &receiver).await;
    assert_eq!(settled(&receiver, 1).await.len(), 1);
}
