//! What a mail server can do to a mail, and what becomes of it.

use std::process::Command;

use rndrkit_testkit::database::meddle;

use crate::harness::Server;
use crate::kills::server_with;
use crate::receiver::{Receiver, until};

async fn make_due(server: &Server) {
    let url = format!("sqlite://{}", server.data().join("rndrkit.db").display());
    meddle(&url, "UPDATE outbox SET due_at = 0 WHERE sent_at IS NULL").await;
}

async fn counted(server: &Server, outcome: &str) -> f64 {
    server.metric(&format!("rndrkit_mail_total{{outcome=\"{outcome}\"}}")).await
}

#[tokio::test]
async fn a_mail_that_is_not_taken_now_is_sent_later_under_the_same_id_and_counted() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (server, account) = server_with(&receiver).await;
    let mut later = 0.0;
    receiver.behave("later");
    server.key(&account, "Deployment Script").await;
    for mode in ["later", "close-in-data"] {
        receiver.behave(mode);
        make_due(&server).await;
        later += 1.0;
        let seen = until(async || counted(&server, "later").await >= later).await;
        assert!(seen, "{mode}: {}", server.log());
    }
    assert!(until(async || receiver.steps("data") > 0).await, "{}", server.log());
    assert_eq!(receiver.mails(), []);
    assert!(until(async || server.metric("rndrkit_mail_waiting").await == 1.0).await);
    for name in ["rndrkit_mail_total", "rndrkit_mail_waiting"] {
        assert!(server.metrics().await.contains(&format!("# HELP {name} ")), "{name} is not explained");
    }
    receiver.behave("accept");
    make_due(&server).await;
    let mails = receiver.wait_for_mails(1).await;
    assert!(
        mails[0].id().starts_with("<evt_") && mails[0].id().ends_with("@mail.example>"),
        "{}",
        mails[0].text
    );
    assert!(until(async || counted(&server, "sent").await == 1.0).await);
    assert!(until(async || server.metric("rndrkit_mail_waiting").await == 0.0).await);
    assert_eq!(counted(&server, "given_up").await, 0.0);
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_given_up_and_said_without_the_address() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (server, account) = server_with(&receiver).await;
    receiver.behave("refuse");
    server.key(&account, "Deployment Script").await;
    assert!(until(async || counted(&server, "given_up").await == 1.0).await, "{}", server.log());
    let log = server.log();
    assert!(log.contains("a mail is given up") && log.contains("refused by the mail server"), "{log}");
    assert!(!log.contains("ada@example.com"), "{log}");
    receiver.behave("accept");
    server.key(&account, "CI/CD Pipeline").await;
    let mails = receiver.wait_for_mails(1).await;
    assert!(mails[0].text.contains("CI/CD Pipeline"), "the next one goes: {}", mails[0].text);
}

#[tokio::test]
async fn mail_of_a_kind_that_a_newer_version_wrote_keeps_no_other_mail_from_being_sent() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let (server, account) = server_with(&receiver).await;
    let url = format!("sqlite://{}", server.data().join("rndrkit.db").display());
    let rows = |from: u32, created_at: &str| {
        format!(
            "WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {from} + 39)
             INSERT INTO outbox (id, account_id, kind, payload, recipient, created_at, due_at)
             SELECT 'row_' || i, '{account}', 'of_a_newer_version', '?', 'ada@example.com', {created_at}, 0 FROM n"
        )
    };
    meddle(&url, &rows(1, "unixepoch() * 1000")).await;
    meddle(&url, &rows(41, "(unixepoch() - 3 * 86400) * 1000")).await;
    server.key(&account, "Deployment Script").await;
    let mails = receiver.wait_for_mails(1).await;
    assert!(mails[0].text.contains("Deployment Script"), "{}", mails[0].text);
    let judged =
        async || (counted(&server, "later").await, counted(&server, "given_up").await) == (40.0, 40.0);
    assert!(until(judged).await, "the young wait, the old are given up: {}", server.log());
    assert_eq!(receiver.mails().len(), 1);
    assert!(!server.log().contains("ada@example.com"), "{}", server.log());
}

#[tokio::test]
async fn mail_goes_encrypted_and_signed_in_and_doctor_tries_the_way_without_sending() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let Some(receiver) = Receiver::with_tls_or_notice(&certificate, &key).await else { return };
    let url = |password: &str| format!("smtp://ada:{password}@localhost:{}?tls=required", receiver.port);
    let trusted = certificate.display().to_string();
    let settings = |url: String| {
        [
            ("RNDRKIT_SMTP_URL", url),
            ("RNDRKIT_MAIL_FROM", "keys@mail.example".to_owned()),
            ("SSL_CERT_FILE", trusted.clone()),
        ]
    };
    let doctor = |password: &str| {
        let data = folder.path().join("doctor");
        let output = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
            .args(["doctor", "--data-dir"])
            .arg(data)
            .env_clear()
            .envs(settings(url(password)))
            .current_dir(folder.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let report = doctor("p%40ss%3Aword");
    assert!(report.contains("takes mail from"), "{report}");
    let report = doctor("wrong");
    assert!(report.contains("signing in") && !report.contains("ada:"), "{report}");
    assert_eq!(receiver.mails(), [], "doctor sends nothing");

    let settings = settings(url("p%40ss%3Aword"));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Server::start(&settings).await;
    let account = server.account("ada@example.com", "agency").await;
    server.key(&account, "Deployment Script").await;
    let mails = receiver.wait_for_mails(1).await;
    assert!(mails[0].over_tls, "{:?}", mails[0]);
}
