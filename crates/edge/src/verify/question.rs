//! The question as it lies in the body: read without copying, and what of it must make sense.
//!
//! The asker answers for `ip` and `cost`. Method, path and user agent are what his own caller wrote, and decide
//! nothing: whatever they hold is taken, so that no caller can make the asker's question a bad one.

use std::borrow::Cow;
use std::net::IpAddr;

use rndrkit_api::error::FieldError;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::RequestId;
use serde::Deserialize;

use crate::credential::{self, Credential, TakenFrom};
use crate::observe::{Presented, Said};

/// Characters of a text of the asker's caller that a log line repeats.
const LOGGED_CHARACTERS: usize = 256;

/// `rndrkit_api::verify::VerifyRequest`, borrowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question<'a> {
    #[serde(borrow)]
    secret: Cow<'a, str>,
    cost: Option<u32>,
    #[serde(borrow)]
    context: Option<Context<'a>>,
}

/// `rndrkit_api::verify::VerifyContext`, borrowed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context<'a> {
    #[serde(borrow)]
    ip: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    user_agent: Option<Text<'a>>,
}

// A type of its own, because an optional `Cow` would be read as a copy.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Question<'_> {
    /// The secret as every door reads it. A comma comes from several headers that the asker's server joined.
    pub(super) fn credential(&self) -> Credential<'_> {
        if self.secret.contains(',') {
            let detail = Some("Send one API key in one X-Api-Key header, without a comma.");
            return Credential::Refused { denial: Denial::InvalidRequest, detail };
        }
        credential::judge_text(self.secret.as_bytes(), TakenFrom::ApiKey)
    }

    /// Requests to spend.
    pub(super) fn cost(&self) -> u32 {
        self.cost.unwrap_or(1)
    }

    /// The address of the asker's caller, if it is known.
    pub(super) fn client(&self) -> Result<Option<IpAddr>, FieldError> {
        let Some(Text(text)) = self.context.as_ref().and_then(|context| context.ip.as_ref()) else {
            return Ok(None);
        };
        // A link-local address comes with the name of an interface: fe80::1%eth0.
        let address = text.split('%').next().unwrap_or_default();
        let parsed = address.parse::<IpAddr>().map_err(|_| FieldError {
            pointer: "/context/ip".to_owned(),
            detail: "Send an IPv4 or IPv6 address, such as 192.0.2.1.".to_owned(),
        })?;
        Ok(Some(parsed.to_canonical()))
    }

    /// The request that is asked about. An asker that says nothing of it is not asked again.
    pub(super) fn presented(&self, request_id: RequestId, client: Option<IpAddr>) -> Presented<'_> {
        let context = self.context.as_ref();
        Presented {
            request_id,
            client,
            cost: self.cost(),
            method: context.and_then(|context| context.method.as_ref()).map(|Text(text)| text.as_ref()),
            path: context.and_then(|context| context.path.as_ref()).map(|Text(text)| text.as_ref()),
            user_agent: Said::Text(
                context.and_then(|context| context.user_agent.as_ref()).map_or("", |Text(text)| text),
            ),
        }
    }

    /// What the asker's caller wrote about himself, for a log line.
    pub(super) fn logged(&self) -> Logged<'_> {
        let context = self.context.as_ref();
        Logged {
            method: shortened(context.and_then(|context| context.method.as_ref())),
            // Secrets do get into query strings, and must not get into logs.
            path: shortened(context.and_then(|context| context.path.as_ref()))
                .split('?')
                .next()
                .unwrap_or_default(),
            user_agent: shortened(context.and_then(|context| context.user_agent.as_ref())),
        }
    }
}

/// Texts of bounded length. To be written with their control characters escaped.
pub(super) struct Logged<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) user_agent: &'a str,
}

fn shortened<'a>(text: Option<&'a Text<'_>>) -> &'a str {
    let text = text.map_or("", |Text(text)| text);
    let end = text.char_indices().nth(LOGGED_CHARACTERS).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rndrkit_api::verify::{VerifyContext, VerifyRequest};

    use super::*;

    fn read(text: &str) -> Question<'_> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_a_client_can_say_is_understood_and_not_copied() {
        let context = VerifyContext {
            ip: Some("192.0.2.1".to_owned()),
            method: Some("GET".to_owned()),
            path: Some("/a".to_owned()),
            user_agent: Some("curl".to_owned()),
        };
        let question = VerifyRequest { secret: "s".to_owned(), cost: Some(2), context: Some(context) };
        let text = serde_json::to_string(&question).unwrap();
        let question = read(&text);
        assert!(matches!(question.secret, Cow::Borrowed("s")));
        let context = question.context.as_ref().unwrap();
        for (field, expected) in [
            (&context.ip, "192.0.2.1"),
            (&context.method, "GET"),
            (&context.path, "/a"),
            (&context.user_agent, "curl"),
        ] {
            assert!(matches!(field, Some(Text(Cow::Borrowed(found))) if *found == expected), "{expected}");
        }
        assert_eq!((question.cost(), question.client()), (2, Ok(Some([192, 0, 2, 1].into()))));
    }

    #[test]
    fn addresses_are_read_in_every_way_that_frameworks_write_them() {
        for (ip, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("", None),
            ("somewhere", None),
            ("192.0.2.1:80", None),
            ("192.0.2.1, 10.0.0.1", None),
            ("%eth0", None),
        ] {
            let text = format!("{{\"secret\":\"s\",\"context\":{{\"ip\":\"{ip}\"}}}}");
            let client = read(&text).client();
            let expected = expected.map(|ip| ip.parse().unwrap());
            assert_eq!(client.as_ref().ok().copied().flatten(), expected, "{ip}");
            if let Err(error) = client {
                assert_eq!(error.pointer, "/context/ip");
            }
        }
        assert_eq!(read(r#"{"secret":"s","context":{"ip":null}}"#).client(), Ok(None));
    }

    #[test]
    fn a_log_line_repeats_a_bounded_part_and_no_query() {
        let path = format!("/{}", "ä".repeat(1_000));
        let text = format!("{{\"secret\":\"s\",\"context\":{{\"path\":\"{path}\",\"method\":\"\"}}}}");
        assert_eq!(read(&text).logged().path.chars().count(), LOGGED_CHARACTERS);
        let question = read(r#"{"secret":"s","context":{"path":"/a?api_key=k","user_agent":"x\ny"}}"#);
        let logged = question.logged();
        assert_eq!((logged.path, logged.method, logged.user_agent), ("/a", "", "x\ny"));
    }
}
