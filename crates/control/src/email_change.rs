//! Changing the address that one signs in with: asked for with the password, confirmed from the new address.

use std::time::Duration;

use rndrkit_domain::account::User;
use rndrkit_domain::audit::{Action, Origin};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::text::Email;
use rndrkit_domain::time::Timestamp;
use rndrkit_store::{AskingLimit, EmailChangeRecord, Error as StoreError, NewEmailChange, Proven};

use crate::event::Subject;
use crate::password_change::wrong_password;
use crate::sessions::Seated;
use crate::{Context, Control, Error};

/// How long the link in the mail works: as long as people wait for a mail, and a password reset does.
const LINK_LIFETIME: Duration = Duration::from_secs(3_600);
/// How often one person may ask in that time: mail goes to addresses that nobody has confirmed yet.
const ASKED_AT_MOST: u32 = 5;

/// A change of address that waits for its confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingEmail {
    /// The new address.
    pub email: Email,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

impl From<EmailChangeRecord> for WaitingEmail {
    fn from(record: EmailChangeRecord) -> Self {
        Self { email: record.email, expires_at: record.expires_at }
    }
}

impl Control {
    /// Asks for another address to sign in with. A link goes to it, and word of it to the one so far. Whether the new
    /// one is taken shows in nothing but the mail to it: whoever asks could otherwise try who has an account here.
    pub async fn ask_email_change(
        &self,
        context: &Context,
        current_password: &str,
        email: &str,
    ) -> Result<(), Error> {
        let asker = Seated::of(context)?;
        let user = asker.person()?;
        if !self.settings().sends_mail {
            return Err(Error::NoMail);
        }
        let email = Email::parse(email).map_err(|problem| Error::invalid("email", problem))?;
        if email == user.email {
            return Err(Error::invalid("email", "You sign in with this address already."));
        }
        let hash = self.check_current_password(user, current_password, &context.origin).await?;
        let proven =
            Proven { account_id: asker.account_id, user_id: user.id, session: asker.session, hash: &hash };
        let at = self.now();
        let secret = self.link_secret();
        let url = format!("{}/confirm-email?link={}", self.settings().public_url, secret.reveal());
        let new = NewEmailChange { digest: secret.digest(), email, expires_at: at.plus(LINK_LIFETIME) };
        let limit = AskingLimit { times: ASKED_AT_MOST, since: at.minus(LINK_LIFETIME) };
        let action = Action::UserEmailChangeAsked;
        let event = self.event(context, at, action, Some(asker.account_id), Subject::User(user.id));
        match self.store().ask_email_change(proven, new, &url, limit, self.change(at), event).await {
            Err(StoreError::PasswordChanged) => Err(wrong_password()),
            Err(StoreError::TooManyEmailChanges) => Err(Error::invalid(
                "email",
                "You have asked for several addresses within an hour. Wait an hour and ask again.",
            )),
            outcome => Ok(outcome?),
        }
    }

    /// The change of address of whoever asks that waits for its confirmation.
    pub async fn waiting_email_change(&self, context: &Context) -> Result<Option<WaitingEmail>, Error> {
        let Some(user) = Seated::of(context)?.user else { return Ok(None) };
        let waiting = self.store().find_waiting_email_change(user.id, self.now()).await?;
        Ok(waiting.map(WaitingEmail::from))
    }

    /// Gives it up: its link is void.
    pub async fn cancel_email_change(&self, context: &Context) -> Result<(), Error> {
        let user = Seated::of(context)?.person()?;
        Ok(self.store().cancel_email_change(user, self.change(self.now())).await?)
    }

    /// What the link in a mail confirms, for the page that it opens. Does not use it up.
    pub async fn look_up_email_change(&self, link: &str) -> Result<Option<WaitingEmail>, Error> {
        let found = self.store().find_email_change(Digest::of(link), self.now()).await?;
        Ok(found.map(WaitingEmail::from))
    }

    /// Changes the address as the link says; whose it was, with the new one. Whoever has the link may: it came to the
    /// new address, and its asking took the password.
    pub async fn confirm_email_change(&self, link: &str, origin: &Origin) -> Result<User, Error> {
        let digest = Digest::of(link);
        let at = self.now();
        let asked = self.store().find_email_change(digest, at).await?.ok_or(Error::LinkInvalid)?;
        let (control, origin) = (self.clone(), origin.clone());
        self.to_the_end(async move {
            let reporter = control.clone();
            let event = move |user: &User, account_too: bool| {
                let mut event = reporter.user_event(user, &origin, at, Action::UserEmailChanged);
                if account_too {
                    event.details = vec![("account_email", "yes".to_owned())];
                }
                event
            };
            let change = control.change(at);
            let user = match control.store().confirm_email_change(digest, change, event).await {
                Ok(confirmed) => confirmed.user,
                Err(error @ StoreError::OutcomeUnknown(_)) => {
                    let look = || async {
                        let found = control.store().find_user_by_email(&asked.email).await?;
                        Ok(found.map(|(user, _)| user).filter(|user| user.id == asked.user_id))
                    };
                    control.find_made(error, look).await?.0
                }
                Err(error) => return Err(error.into()),
            };
            // No decision about a request reads an address.
            control.wake();
            Ok(user)
        })
        .await
    }
}
