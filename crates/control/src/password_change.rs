//! Changing one's own password, with the current one. Setting one through a link is in `sign_in`.

use rndrkit_domain::account::User;
use rndrkit_domain::audit::{Action, Origin};
use rndrkit_domain::key_text::Digest;
use rndrkit_store::{Error as StoreError, Proven};

use crate::event::Subject;
use crate::sessions::Seated;
use crate::{Context, Control, Error, OpenedSession, password};

impl Control {
    /// Changes the password of whoever asks. All other sessions of theirs end and their links are void; the session
    /// that asks goes on with another cookie.
    pub async fn change_password(
        &self,
        context: &Context,
        current: &str,
        chosen: &str,
    ) -> Result<OpenedSession, Error> {
        let asker = Seated::of(context)?;
        let user = asker.person()?.clone();
        // Before the current one is checked: that costs, and a slip of the finger is not an attempt to guess.
        if let Some(refusal) = self.password_refusal(chosen, user.email.as_str()) {
            return Err(Error::invalid("new_password", refusal));
        }
        let old_hash = self.check_current_password(&user, current, &context.origin).await?;
        if current == chosen {
            return Err(Error::invalid("new_password", "Use a password other than the current one."));
        }
        let new_hash = self.inner.hasher.hash(chosen.to_owned(), self.entropy()).await?;
        let at = self.now();
        let opening = self.open_session(at, &context.origin);
        let (account_id, session) = (asker.account_id, asker.session);
        let event =
            self.event(context, at, Action::UserPasswordChanged, Some(account_id), Subject::User(user.id));
        let control = self.clone();
        self.to_the_end(async move {
            let (expires_at, fresh) = (opening.seed.expires_at, opening.seed.digest);
            let proven = Proven { account_id, user_id: user.id, session, hash: &old_hash };
            let change = control.change(at);
            let changed = control.store().change_password(proven, &new_hash, opening.seed, change, event);
            if let Err(error) = changed.await {
                match error {
                    StoreError::OutcomeUnknown(_) => {}
                    StoreError::PasswordChanged => return Err(wrong_password()),
                    error => return Err(error.into()),
                }
                // All of it is one transaction: with the new session there is the new password.
                control.find_made(error, || control.store().find_session(fresh, at)).await?;
            }
            Ok(OpenedSession { token: opening.token, account_id, expires_at, return_to: None })
        })
        .await
    }

    /// Checks the password that somebody signed in has typed once more, slowed down like a sign-in and together with
    /// it; the hash that it was checked against.
    pub(crate) async fn check_current_password(
        &self,
        user: &User,
        typed: &str,
        origin: &Origin,
    ) -> Result<String, Error> {
        if typed.is_empty() {
            return Err(Error::invalid("current_password", "Enter your current password."));
        }
        if typed.len() > password::MAX_PASSWORD_BYTES {
            return Err(wrong_password());
        }
        let account = Digest::of(user.email.as_str());
        let begun = self.inner.throttle.begin(account, origin.ip, self.inner.clock.monotonic());
        begun.map_err(|retry_after| Error::TooManyAttempts { retry_after })?;
        let stored = self.store().find_password_hash(user.id).await?;
        let right = self.inner.hasher.verify(typed.to_owned(), stored.clone()).await?;
        let Some(hash) = stored.filter(|_| right) else {
            self.record_wrong_password(user, origin, self.now()).await?;
            return Err(wrong_password());
        };
        self.inner.throttle.succeeded(account, origin.ip);
        Ok(hash)
    }
}

pub(crate) fn wrong_password() -> Error {
    Error::invalid("current_password", "This is not your current password.")
}
