//! The mail server: the whole way up to where a mail would be handed over; and one test mail, if asked for.

use std::time::{Duration, UNIX_EPOCH};

use rndrkit_domain::id::RequestId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock as _, SystemClock};
use rndrkit_mail::{Letter, Security, Session};

use super::Finding;
use crate::config::{Mail, Settings};

const NAME: &str = "mail server";

/// Connects, encrypts, signs in and says good-bye. Nothing when there is no mail to send.
pub(super) async fn check(settings: &Settings) -> Option<Finding> {
    let mail = settings.mail.as_ref()?;
    Some(match Session::open(&mail.server, &mail.from).await {
        Ok(session) => {
            session.close().await;
            let how = match mail.server.security {
                Security::Tls | Security::StartTls => "encrypted",
                Security::None => "not encrypted",
            };
            Finding::ok(NAME, format!("{} takes mail from {}, {how}", place(mail), mail.from))
        }
        Err(error) => Finding::fail(
            NAME,
            format!("{} cannot be used: {error}", place(mail)),
            "look at smtp_url; until it works, mail waits for up to two days",
        ),
    })
}

/// Sends one mail to this address.
pub(super) async fn send_trial(settings: &Settings, recipient: &str) -> Finding {
    let Some(mail) = &settings.mail else {
        return Finding::fail(NAME, "there is none", "set smtp_url and mail_from first");
    };
    let now = SystemClock::default().now();
    let id = RequestId::generate(now, &OsEntropy).to_string();
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.unix_ms()).unwrap_or_default());
    let brand = &settings.site.brand_name;
    let Ok(letter) = Letter::trial(recipient, brand, &mail.from, &id, at) else {
        return Finding::fail(NAME, "nobody can be mailed at this address", "write it as you@example.com");
    };
    let sent = async {
        let mut session = Session::open(&mail.server, &mail.from).await?;
        session.deliver(&letter).await?;
        session.close().await;
        Ok::<(), rndrkit_mail::DeliveryError>(())
    };
    match sent.await {
        Ok(()) => Finding::ok(NAME, format!("{} took a test mail to {recipient}", place(mail))),
        Err(error) => Finding::fail(
            NAME,
            format!("{} did not take a test mail: {error}", place(mail)),
            "look at smtp_url and mail_from; what the server answered is above",
        ),
    }
}

fn place(mail: &Mail) -> String {
    format!("{}:{}", mail.server.host, mail.server.port)
}
