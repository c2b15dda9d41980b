//! A connection to the mail server: said hello, encrypted, signed in, and then as many mails as one likes.
//!
//! What fails is sorted by whose fault it is: the service's, of which other mail would suffer too, or this mail's.

use std::fmt::Display;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bounded::Bounded;
use crate::message::{Letter, Sender};
use crate::server::{Security, SmtpServer};

/// How long connecting, TLS and signing in may take together.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// How long handing over one mail may take. The RFC would have a client wait ten minutes for the last answer; who
/// gives up earlier may send a second copy, under the same id.
const DELIVER_WITHIN: Duration = Duration::from_secs(60);
/// How long a good-bye may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Why a mail did not go. The texts may hold the recipient's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The server cannot be used now; no other mail would go either.
    #[error("{0}")]
    Service(String),
    /// The server does not take this mail now.
    #[error("{0}")]
    Later(String),
    /// The server will never take this mail.
    #[error("{0}")]
    Refused(String),
}

/// An open connection.
pub struct Session {
    connection: AsyncSmtpConnection,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, and signs in where the server's address has an account.
    pub async fn open(server: &SmtpServer, sender: &Sender) -> Result<Self, DeliveryError> {
        match timeout(OPEN_WITHIN, Self::connect(server, sender)).await {
            Ok(opened) => opened,
            Err(_) => Err(late("connecting", OPEN_WITHIN)),
        }
    }

    async fn connect(server: &SmtpServer, sender: &Sender) -> Result<Self, DeliveryError> {
        let hello = ClientId::Domain(sender.domain().to_owned());
        let service = |step: &'static str| move |error| DeliveryError::Service(said(step, &error));
        let tls = match server.security {
            Security::None => None,
            _ => Some(TlsParameters::new(server.host.clone()).map_err(service("TLS"))?),
        };
        let mut connection = greeted(server, &hello, tls.clone()).await?;
        if let (Security::StartTls, Some(tls)) = (server.security, tls) {
            connection.starttls(tls, &hello).await.map_err(service("STARTTLS"))?;
        }
        if let Some(account) = &server.account {
            let credentials = Credentials::new(account.user.clone(), account.password.reveal().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, &credentials).await.map_err(service("signing in"))?;
        }
        Ok(Self { connection })
    }

    /// Hands a mail over. After an error the connection is of no use any more.
    pub async fn deliver(&mut self, letter: &Letter) -> Result<(), DeliveryError> {
        match timeout(DELIVER_WITHIN, self.hand_over(letter)).await {
            Ok(delivered) => delivered,
            // It may have the mail; the next attempt has the same id.
            Err(_) => Err(late("the mail", DELIVER_WITHIN)),
        }
    }

    async fn hand_over(&mut self, letter: &Letter) -> Result<(), DeliveryError> {
        let options = self.options(letter)?;
        let envelope = &letter.envelope;
        // Who may send is the installation's matter and not this mail's.
        let from = Mail::new(envelope.from().cloned(), options);
        self.command(from).await.map_err(|error| DeliveryError::Service(said("mail_from", &error)))?;
        for recipient in envelope.to() {
            let to = Rcpt::new(recipient.clone(), Vec::new());
            self.command(to).await.map_err(|error| about_mail("the recipient", &error))?;
        }
        self.command(Data).await.map_err(|error| about_mail("the mail", &error))?;
        self.connection.message(&letter.bytes).await.map_err(|error| about_mail("the mail", &error))?;
        Ok(())
    }

    async fn command<C: Display>(&mut self, command: C) -> Result<(), lettre::transport::smtp::Error> {
        self.connection.command(command).await.map(|_| ())
    }

    fn options(&self, letter: &Letter) -> Result<Vec<MailParameter>, DeliveryError> {
        let addresses = letter.envelope.from().into_iter().chain(letter.envelope.to());
        let mut options = Vec::new();
        if !addresses.into_iter().all(|address| address.to_string().is_ascii()) {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(DeliveryError::Refused("the server takes ASCII addresses only".to_owned()));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !letter.bytes.is_ascii() {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(options)
    }

    /// Says good-bye; a server that does not answer is left without.
    pub async fn close(mut self) {
        // Everything is said already.
        let _ = timeout(CLOSE_WITHIN, self.connection.quit()).await;
    }
}

/// Connects and says hello. Whoever stands in the way may answer before there is TLS, so that what is read until then is
/// bounded; a server that has shown its certificate is the operator's own choice.
async fn greeted(
    server: &SmtpServer,
    hello: &ClientId,
    tls: Option<TlsParameters>,
) -> Result<AsyncSmtpConnection, DeliveryError> {
    let address = (server.host.as_str(), server.port);
    let connected = if server.security == Security::Tls {
        AsyncSmtpConnection::connect_tokio1(address, Some(OPEN_WITHIN), hello, tls, None).await
    } else {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| DeliveryError::Service(format!("connecting: {error}")))?;
        AsyncSmtpConnection::connect_with_transport(Box::new(Bounded::new(stream)), hello).await
    };
    connected.map_err(|error| DeliveryError::Service(said("connecting", &error)))
}

fn late(step: &str, limit: Duration) -> DeliveryError {
    DeliveryError::Service(format!("{step}: no answer within {} s", limit.as_secs()))
}

/// The error with its causes; the answers of a server are its own words.
fn said(step: &str, error: &lettre::transport::smtp::Error) -> String {
    let mut text = format!("{step}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn about_mail(step: &str, error: &lettre::transport::smtp::Error) -> DeliveryError {
    let text = said(step, error);
    if error.is_permanent() {
        DeliveryError::Refused(text)
    } else if error.is_transient() {
        DeliveryError::Later(text)
    } else {
        DeliveryError::Service(text)
    }
}
