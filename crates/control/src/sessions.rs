//! Sessions of the dashboard: a random cookie value whose digest is stored.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rndrkit_domain::account::{Account, User};
use rndrkit_domain::audit::{Action, Origin};
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::{Digest, Secret};
use rndrkit_domain::place::Place;
use rndrkit_domain::random;
use rndrkit_domain::time::Timestamp;
use rndrkit_store::{EndSession, EndSessions, Error as StoreError, SessionSeed};

use crate::event::Subject;
use crate::{Context, Control, Error, Principal};

/// A session ends this long after its last use (NIST SP 800-63B, AAL1).
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(86_400);
/// A session ends this long after signing in, whatever happens.
pub(crate) const ABSOLUTE_LIMIT: Duration = Duration::from_secs(30 * 86_400);
/// How often a session's last use is written down: a page load is not a write.
const TOUCH_EVERY: Duration = Duration::from_secs(300);
/// 32 random bytes in base64url.
const COOKIE_CHARS: usize = 43;
/// 128 bits: nobody guesses one, and no two are alike.
const HANDLE_BYTES: usize = 16;

/// A session just begun.
#[derive(Debug)]
pub struct OpenedSession {
    /// The cookie's value.
    pub token: Secret,
    /// Whose dashboard it opens.
    pub account_id: AccountId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Where the link that opened it wants to go.
    pub return_to: Option<String>,
}

/// A live session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Who is signed in; always [`Principal::User`].
    pub principal: Principal,
    /// Their account.
    pub account: Account,
}

/// A browser that is signed in, as the list of them shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedInBrowser {
    /// Names the session in forms. Tells nothing about its cookie.
    pub handle: String,
    /// Whether it is the one that asks.
    pub this: bool,
    /// Whether an operator's link opened it, and not a person's password.
    pub by_link: bool,
    /// Its address when it signed in.
    pub ip: Option<String>,
    /// Its own description of itself when it signed in.
    pub user_agent: Option<String>,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it was last used, to a few minutes.
    pub last_seen_at: Timestamp,
}

/// A session that somebody has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedSession {
    /// The one that asked, now or before by another browser.
    This,
    /// Another one.
    Another,
}

/// Somebody on the dashboard, by the session that asks.
pub(crate) struct Seated<'a> {
    pub(crate) account_id: AccountId,
    pub(crate) user: Option<&'a User>,
    pub(crate) session: Digest,
}

impl<'a> Seated<'a> {
    /// Sessions belong to people of the dashboard; to all others they do not exist.
    pub(crate) fn of(context: &'a Context) -> Result<Self, Error> {
        match &context.principal {
            Principal::User { account_id, user, session } => {
                Ok(Self { account_id: *account_id, user: user.as_ref(), session: *session })
            }
            _ => Err(Error::NotFound),
        }
    }

    /// The person; an operator's link opens a dashboard for nobody in particular.
    pub(crate) fn person(&self) -> Result<&'a User, Error> {
        self.user.ok_or(Error::SignedInByLink)
    }

    fn user_id(&self) -> Option<UserId> {
        self.user.map(|user| user.id)
    }

    fn subject(&self) -> Subject {
        self.user.map_or(Subject::Account(self.account_id), |user| Subject::User(user.id))
    }
}

/// A session's name in pages. A digest of its own, because the stored one is what a cookie is looked up by.
fn handle_of(session: &Digest) -> String {
    let mut text = "rndrkit session handle ".to_owned();
    for byte in session.0 {
        let _infallible = write!(text, "{byte:02x}");
    }
    Digest::of(&text).0.iter().take(HANDLE_BYTES).fold(String::new(), |mut handle, byte| {
        let _infallible = write!(handle, "{byte:02x}");
        handle
    })
}

/// A cookie value and what is stored of it.
pub(crate) struct Opening {
    pub(crate) token: Secret,
    pub(crate) seed: SessionSeed,
}

impl Control {
    pub(crate) fn open_session(&self, at: Timestamp, origin: &Origin) -> Opening {
        let token = Secret::from_text(URL_SAFE_NO_PAD.encode(random::bytes::<32>(self.entropy())));
        let seed = SessionSeed {
            digest: token.digest(),
            expires_at: at.plus(ABSOLUTE_LIMIT),
            ip: origin.ip,
            user_agent: origin.user_agent.clone(),
            place: Place::of(origin.ip, origin.user_agent.as_deref()),
        };
        Opening { token, seed }
    }

    /// Who a cookie belongs to; none when there is no such session or it has ended.
    pub async fn session(&self, cookie_value: &str) -> Result<Option<SessionView>, Error> {
        if cookie_value.len() != COOKIE_CHARS {
            return Ok(None);
        }
        let now = self.now();
        let digest = Digest::of(cookie_value);
        let Some(record) = self.store().find_session(digest, now).await? else { return Ok(None) };
        let unused_for = now.since(record.last_seen_at);
        if unused_for >= IDLE_LIMIT {
            return Ok(None);
        }
        if unused_for >= TOUCH_EVERY {
            // A session that cannot be touched (a full disk) is still a session.
            if let Err(error) = self.store().touch_session(digest, now).await {
                tracing::warn!(%error, "a session's last use was not stored");
            }
        }
        let account = record.account;
        let principal = Principal::User { account_id: account.id, user: record.user, session: digest };
        Ok(Some(SessionView { principal, account }))
    }

    /// How many people are signed in now.
    pub async fn live_sessions(&self) -> Result<u64, Error> {
        let now = self.now();
        Ok(self.store().count_sessions(now, now.minus(IDLE_LIMIT)).await?)
    }

    /// The browsers that are signed in as this person or through a link to this account: the one that asks first, then
    /// the last used.
    pub async fn signed_in_browsers(&self, context: &Context) -> Result<Vec<SignedInBrowser>, Error> {
        let asker = Seated::of(context)?;
        let (now, user_id) = (self.now(), asker.user_id());
        let seen_after = now.minus(IDLE_LIMIT);
        let listed = self.store().list_sessions(asker.account_id, user_id, now, seen_after).await?;
        let mut browsers: Vec<SignedInBrowser> = listed
            .into_iter()
            .map(|session| SignedInBrowser {
                handle: handle_of(&session.digest),
                this: session.digest == asker.session,
                by_link: session.user_id.is_none(),
                ip: session.ip,
                user_agent: session.user_agent,
                created_at: session.created_at,
                last_seen_at: session.last_seen_at,
            })
            .collect();
        browsers.sort_by_key(|browser| !browser.this);
        Ok(browsers)
    }

    /// Ends one of [`Control::signed_in_browsers`]. In force on every node when it answers: no node keeps sessions.
    pub async fn end_session(&self, context: &Context, handle: &str) -> Result<EndedSession, Error> {
        let asker = Seated::of(context)?;
        let (now, user_id) = (self.now(), asker.user_id());
        let listed =
            self.store().list_sessions(asker.account_id, user_id, now, now.minus(IDLE_LIMIT)).await?;
        let named = listed.iter().find(|session| handle_of(&session.digest) == handle);
        let session = named.ok_or(Error::NotFound)?.digest;
        let event =
            self.event(context, now, Action::UserSessionEnded, Some(asker.account_id), asker.subject());
        let change = self.change(now);
        let account_id = asker.account_id;
        let which = EndSession { account_id, user_id, asking: asker.session, ended: session };
        match self.store().end_session(which, change, event).await {
            Ok(true) if session != asker.session => Ok(EndedSession::Another),
            // Itself, or another browser was faster: the one that asks is out.
            Ok(true) | Err(StoreError::NotFound) => Ok(EndedSession::This),
            Ok(false) => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends all of [`Control::signed_in_browsers`] but the one that asks, or with it; how many.
    pub async fn end_sessions(&self, context: &Context, this_too: bool) -> Result<u64, Error> {
        let asker = Seated::of(context)?;
        let at = self.now();
        let which = EndSessions {
            account_id: asker.account_id,
            user_id: asker.user_id(),
            asking: asker.session,
            this_too,
        };
        let mut event =
            self.event(context, at, Action::UserSignedOutEverywhere, Some(asker.account_id), asker.subject());
        let reported = move |ended: u64| {
            event.details = vec![("sessions", ended.to_string())];
            if this_too {
                event.details.push(("this_too", "yes".to_owned()));
            }
            event
        };
        Ok(self.store().end_sessions(which, self.change(at), reported).await?)
    }

    /// Ends the session that asks.
    pub async fn sign_out(&self, context: &Context) -> Result<(), Error> {
        let Principal::User { account_id, user, session } = &context.principal else { return Ok(()) };
        let at = self.now();
        let subject = user.as_ref().map_or(Subject::Account(*account_id), |user| Subject::User(user.id));
        let event = self.event(context, at, Action::UserSignedOut, Some(*account_id), subject);
        self.store().delete_session(*session, self.change(at), Some(event)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_session_in_pages_is_not_what_its_cookie_is_looked_up_by() {
        let digest = Digest::of("a cookie");
        let handle = handle_of(&digest);
        assert_eq!(handle.len(), 2 * HANDLE_BYTES);
        assert_ne!(handle_of(&Digest::of("another")), handle);
        let stored = digest.0.map(|byte| format!("{byte:02x}")).concat();
        assert!(!stored.contains(&handle) && handle != stored);
    }
}
