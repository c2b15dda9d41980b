//! What a mail server may say, against a listener that says it.

use std::time::Duration;

use rndrkit_mail::{DeliveryError, Sender, Session, SmtpServer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// A first line that never ends: read to its end, it would fill the memory.
#[tokio::test]
async fn an_answer_without_an_end_is_given_up_after_some_kilobytes() {
    const SAID: usize = 64 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let piece = [b'x'; 16 * 1024];
        let mut told = 0;
        while told < SAID && peer.write_all(&piece).await.is_ok() {
            told += piece.len();
        }
        told
    });
    let server = SmtpServer::parse(&format!("smtp://localhost:{port}")).unwrap();
    let sender = Sender::parse("RndrKit <keys@example.com>").unwrap();
    let opened =
        tokio::time::timeout(Duration::from_secs(20), Session::open(&server, &sender)).await.unwrap();
    let Err(DeliveryError::Service(why)) = opened.map(|_| ()) else { panic!("a session") };
    assert!(why.contains("has no end"), "{why}");
    assert!(told.await.unwrap() < SAID, "all of it was taken");
}
