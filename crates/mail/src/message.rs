//! A mail as it travels: headers and body, the same bytes on every attempt.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, header};
use rndrkit_domain::mail::{DueMail, MailKind};

use crate::words::Words;

/// Who mail comes from: an address, and perhaps a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads `keys@example.com` or `RndrKit <keys@example.com>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = !text.chars().any(char::is_control);
        text.trim().parse().ok().filter(|_| is_plain).map(Self)
    }

    /// The part after the `@`: mail ids end in it, and the server is greeted with it.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An address that no mail server would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not one that mail can be sent to")]
pub struct BadAddress;

/// A mail ready to go. `Debug` leaves out what it says.
#[derive(Clone)]
pub struct Letter {
    pub(crate) envelope: Envelope,
    pub(crate) bytes: Vec<u8>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Letter {
    /// Writes a mail down. Its id and its date are those of the row, so that every copy is the same.
    pub fn write(mail: &DueMail, words: &Words, sender: &Sender) -> Result<Self, BadAddress> {
        let text = words.of(mail);
        let is_news = matches!(mail.kind, Some(MailKind::News(_)));
        let message_id = format!("<{}@{}>", mail.id, sender.domain());
        let since_1970 = Duration::from_millis(u64::try_from(mail.created_at.unix_ms()).unwrap_or_default());
        let head = Head {
            message_id,
            date: UNIX_EPOCH + since_1970,
            settings: is_news.then(|| words.settings_url()),
        };
        Self::put_together(&mail.recipient, &text.subject, &text.body, sender, head)
    }

    /// A mail that says that mail works. `id` is new for each.
    pub fn trial(
        recipient: &str,
        brand: &str,
        sender: &Sender,
        id: &str,
        at: SystemTime,
    ) -> Result<Self, BadAddress> {
        let subject = format!("[{brand}] Mail works");
        let body = format!(
            "This is a test mail of {brand}, asked for by whoever runs it. That it is here means that \
             notifications can be sent.\n"
        );
        let head = Head { message_id: format!("<{id}@{}>", sender.domain()), date: at, settings: None };
        Self::put_together(recipient, &subject, &body, sender, head)
    }

    fn put_together(
        recipient: &str,
        subject: &str,
        body: &str,
        sender: &Sender,
        head: Head,
    ) -> Result<Self, BadAddress> {
        let recipient: lettre::Address = recipient.parse().map_err(|_| BadAddress)?;
        let envelope = Envelope::new(Some(sender.0.email.clone()), vec![recipient.clone()]);
        let mut builder = Message::builder()
            .from(sender.0.clone())
            .to(Mailbox::new(None, recipient))
            .subject(subject)
            .message_id(Some(head.message_id))
            .date(head.date)
            .header(ContentType::TEXT_PLAIN)
            .header(header::MIME_VERSION_1_0)
            .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()))
            .raw_header(raw("X-Auto-Response-Suppress", "All".to_owned()));
        if let Some(settings) = head.settings {
            builder = builder
                .raw_header(raw("List-Id", format!("<notifications.{}>", sender.domain())))
                .raw_header(raw("List-Unsubscribe", format!("<{settings}>")));
        }
        let message = builder.body(body.to_owned()).map_err(|_| BadAddress)?;
        Ok(Self { envelope: envelope.map_err(|_| BadAddress)?, bytes: message.formatted() })
    }

    /// As it travels, for tests and for whoever wants to look at one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

struct Head {
    message_id: String,
    date: SystemTime,
    settings: Option<String>,
}

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}
