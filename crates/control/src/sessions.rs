//! Sessions of the dashboard: a random cookie value whose digest is stored.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rndrkit_domain::account::Account;
use rndrkit_domain::audit::{Action, Origin};
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key_text::{Digest, Secret};
use rndrkit_domain::random;
use rndrkit_domain::time::Timestamp;
use rndrkit_store::SessionSeed;

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
