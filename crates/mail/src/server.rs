//! The mail server, as its address says: `smtp://user:password@host:port`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rndrkit_domain::key_text::Secret;
use url::Url;

/// Where programs hand in mail, with STARTTLS (RFC 6409).
const SUBMISSION_PORT: u16 = 587;
/// The same with TLS from the first byte (RFC 8314).
const SUBMISSIONS_PORT: u16 = 465;

/// How the connection is kept from others' eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS before anything else is said; without it nothing is sent.
    StartTls,
    /// None: only to this machine, or where the operator says so.
    None,
}

/// Who hands in the mail.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Arc<Secret>,
}

/// A mail server. `Debug` leaves the account out.
#[derive(Clone)]
pub struct SmtpServer {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others' eyes.
    pub security: Security,
    pub(crate) account: Option<Account>,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}

/// Why an address of a mail server is not accepted. None repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    /// Not the shape of one.
    #[error(
        "must be smtp://user:password@host:port or smtps://user:password@host:port; write special characters of \
         user and password as %40 and the like"
    )]
    Shape,
    /// Something after the port that is no option.
    #[error("may end in ?tls=none or ?tls=required, and has no path and no other option")]
    Option,
    /// A password that everybody on the way could read.
    #[error("would send the password readable; take ?tls=none away, or user and password")]
    ReadablePassword,
}

impl SmtpServer {
    /// Reads the address.
    pub fn parse(text: &str) -> Result<Self, InvalidServer> {
        let url = Url::parse(text).map_err(|_| InvalidServer::Shape)?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(InvalidServer::Shape),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(InvalidServer::Shape)?.to_owned();
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(InvalidServer::Option);
        }
        let here = is_loopback(&host);
        let security = match (implicit, url.query()) {
            (true, None | Some("tls=required")) => Security::Tls,
            (false, Some("tls=none")) => Security::None,
            (false, None) if here => Security::None,
            (false, None | Some("tls=required")) => Security::StartTls,
            _ => return Err(InvalidServer::Option),
        };
        let account = account(&url)?;
        if account.is_some() && security == Security::None && !here {
            return Err(InvalidServer::ReadablePassword);
        }
        let port = url.port().unwrap_or(if implicit { SUBMISSIONS_PORT } else { SUBMISSION_PORT });
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port, security, account })
    }
}

fn account(url: &Url) -> Result<Option<Account>, InvalidServer> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| percent_decoded(text).ok_or(InvalidServer::Shape);
    let (user, password) = (decoded(url.username())?, decoded(url.password().unwrap_or_default())?);
    if user.is_empty() || password.is_empty() {
        return Err(InvalidServer::Shape);
    }
    Ok(Some(Account { user, password: Arc::new(Secret::from_text(password)) }))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_this_machine_nothing_is_sent_without_tls_unless_the_operator_says_so() {
        let read = |text| {
            let server = SmtpServer::parse(text).unwrap();
            (server.host, server.port, server.security)
        };
        let named = |port, security| ("mail.example".to_owned(), port, security);
        assert_eq!(read("smtp://mail.example"), named(587, Security::StartTls));
        assert_eq!(read("smtp://mail.example:25?tls=none"), named(25, Security::None));
        assert_eq!(read("smtps://mail.example"), named(465, Security::Tls));
        assert_eq!(read("smtp://127.0.0.1:2525"), ("127.0.0.1".to_owned(), 2525, Security::None));
        assert_eq!(read("smtp://[::1]:2525"), ("::1".to_owned(), 2525, Security::None));
        assert_eq!(read("smtp://localhost?tls=required").2, Security::StartTls);
    }

    #[test]
    fn user_and_password_may_hold_any_character_and_are_not_printed() {
        let server = SmtpServer::parse("smtps://ada%40example.com:p%3A%2F%25%C3%A9@mail.example").unwrap();
        let account = server.account.clone().unwrap();
        assert_eq!((account.user.as_str(), account.password.reveal()), ("ada@example.com", "p:/%é"));
        assert!(!format!("{server:?}").contains("ada"));
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_it() {
        for (text, why) in [
            ("mail.example", InvalidServer::Shape),
            ("http://mail.example", InvalidServer::Shape),
            ("smtp://", InvalidServer::Shape),
            ("smtp://ada@mail.example", InvalidServer::Shape),
            ("smtp://:x@mail.example", InvalidServer::Shape),
            ("smtp://ada:%zz@mail.example", InvalidServer::Shape),
            ("smtp://mail.example/inbox", InvalidServer::Option),
            ("smtp://mail.example?tls=maybe", InvalidServer::Option),
            ("smtps://mail.example?tls=none", InvalidServer::Option),
            ("smtp://ada:x@mail.example?tls=none", InvalidServer::ReadablePassword),
        ] {
            assert_eq!(SmtpServer::parse(text).unwrap_err(), why, "{text}");
        }
    }
}
