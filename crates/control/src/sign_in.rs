//! Getting in: by password, by link, by signing up.

use rndrkit_domain::account::User;
use rndrkit_domain::audit::{Action, NewEvent, Origin};
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::link::LinkKind;
use rndrkit_domain::text::Email;
use rndrkit_domain::time::Timestamp;
use rndrkit_store::{Error as StoreError, NewSession, NewUser};

use crate::accounts::{Checks, NewAccountInput};
use crate::event::Subject;
use crate::{Context, Control, Error, OpenedSession, Principal, SignUpPolicy, password};

/// What somebody typed into the sign-up form.
#[derive(Clone, Copy, Default)]
pub struct SignUpInput<'a> {
    /// The link that brought them, if one did.
    pub link: Option<&'a str>,
    /// Address to sign in with.
    pub email: &'a str,
    /// Name of the account; default: the address's local part. Ignored with an invite: the account has one.
    pub name: Option<&'a str>,
    /// The password they chose.
    pub password: &'a str,
}

impl Control {
    /// Whether strangers may sign up without a link.
    #[must_use]
    pub fn sign_up_open_to_strangers(&self) -> bool {
        self.settings().sign_up == SignUpPolicy::Open
    }

    /// Signs in with address and password. Unknown addresses and wrong passwords look and take the same.
    pub async fn sign_in(
        &self,
        email: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<OpenedSession, Error> {
        if password.is_empty() || password.len() > password::MAX_PASSWORD_BYTES {
            return Err(Error::SignInRefused);
        }
        let typed = email.trim().to_lowercase();
        let account = Digest::of(&typed);
        let begun = self.inner.throttle.begin(account, origin.ip, self.inner.clock.monotonic());
        begun.map_err(|retry_after| Error::TooManyAttempts { retry_after })?;

        let found = match Email::parse(&typed) {
            Ok(email) => self.store().find_user_by_email(&email).await?,
            Err(_) => None,
        };
        let (user, stored) = found.unzip();
        let right = self.inner.hasher.verify(password.to_owned(), stored.clone()).await?;
        let at = self.now();
        let tried = user.clone();
        let Some(user) = user.filter(|_| right) else {
            self.record_failure(tried.as_ref(), origin, at).await?;
            return Err(Error::SignInRefused);
        };
        self.inner.throttle.succeeded(account, origin.ip);
        let opening = self.open_session(at, origin);
        let expires_at = opening.seed.expires_at;
        let session = NewSession { seed: opening.seed, account_id: user.account_id, user_id: Some(user.id) };
        let event = self.user_event(&user, origin, at, Action::UserSignedIn);
        let account_id = user.account_id;
        self.store().insert_session(session, stored.as_deref(), self.change(at), event).await?;
        Ok(OpenedSession { token: opening.token, account_id, expires_at, return_to: None })
    }

    /// The same event for unknown addresses and wrong passwords, so that both take the same. Of a person whose
    /// address it was it has the ids, so that their account sees it; it never has what was typed, which may be a
    /// password typed into the wrong field.
    pub(crate) async fn record_failure(
        &self,
        tried: Option<&User>,
        origin: &Origin,
        at: Timestamp,
    ) -> Result<(), Error> {
        tracing::info!(ip = ?origin.ip, "a sign-in was refused");
        let context = Context { principal: Principal::Anonymous, origin: origin.clone() };
        let nobody = UserId::generate(at, self.entropy());
        let subject = Subject::User(tried.map_or(nobody, |user| user.id));
        let account_id = tried.map(|user| user.account_id);
        let event = self.event(&context, at, Action::UserSignInFailed, account_id, subject);
        self.record_within_bounds(at, event).await
    }

    /// The same of somebody who is signed in and was asked for the password once more: it is known who they are.
    pub(crate) async fn record_wrong_password(
        &self,
        user: &User,
        origin: &Origin,
        at: Timestamp,
    ) -> Result<(), Error> {
        tracing::info!(ip = ?origin.ip, "a current password was refused");
        self.record_within_bounds(at, self.user_event(user, origin, at, Action::UserSignInFailed)).await
    }

    /// Whoever guesses does not fill the audit log.
    async fn record_within_bounds(&self, at: Timestamp, event: NewEvent) -> Result<(), Error> {
        if !self.inner.throttle.may_record(self.inner.clock.monotonic()) {
            return Ok(());
        }
        Ok(self.store().append_event(self.change(at), event).await?)
    }

    pub(crate) fn user_event(&self, user: &User, origin: &Origin, at: Timestamp, action: Action) -> NewEvent {
        let principal = Principal::User {
            account_id: user.account_id,
            user: Some(user.clone()),
            session: Digest([0; 32]),
        };
        let context = Context { principal, origin: origin.clone() };
        self.event(&context, at, action, Some(user.account_id), Subject::User(user.id))
    }

    /// Signs up: with the first-account link, with an invite, or as a stranger where that is open.
    pub async fn sign_up(&self, input: SignUpInput<'_>, origin: &Origin) -> Result<OpenedSession, Error> {
        let link = match input.link {
            None => None,
            Some(text) => {
                let digest = Digest::of(text);
                let record = self.store().find_link(digest, self.now()).await?.ok_or(Error::LinkInvalid)?;
                Some((digest, record))
            }
        };
        match link {
            Some((digest, record)) if record.kind == LinkKind::Invite => {
                if self.settings().sign_up == SignUpPolicy::Closed {
                    return Err(Error::SignUpClosed);
                }
                let account_id = record.account_id.ok_or(Error::LinkInvalid)?;
                self.accept_invite(digest, account_id, input, origin).await
            }
            Some((digest, record)) if record.kind == LinkKind::FirstAccount => {
                self.sign_up_new_account(Some(digest), input, origin).await
            }
            Some(_) => Err(Error::LinkInvalid),
            None if self.sign_up_open_to_strangers() => {
                // The throttle bounds how many accounts and hashes one stranger causes.
                let stranger = Digest::of(&format!("sign-up {}", input.email.trim().to_lowercase()));
                let begun = self.inner.throttle.begin(stranger, origin.ip, self.inner.clock.monotonic());
                begun.map_err(|retry_after| Error::TooManyAttempts { retry_after })?;
                self.sign_up_new_account(None, input, origin).await
            }
            None => Err(Error::SignUpClosed),
        }
    }

    async fn sign_up_new_account(
        &self,
        link: Option<Digest>,
        input: SignUpInput<'_>,
        origin: &Origin,
    ) -> Result<OpenedSession, Error> {
        let new = NewAccountInput { email: input.email, name: input.name, plan: None, external_id: None };
        let account = self.check_new_account_and_password(new, input.password)?;
        let at = self.now();
        let user = self.new_user(account.email.clone(), input.password, at).await?;
        let opening = self.open_session(at, origin);
        let expires_at = opening.seed.expires_at;
        let joined = joined_user(&user, account.id, at);
        let events = vec![
            NewEvent {
                target: rndrkit_domain::audit::Target { kind: "account", id: account.id.to_string() },
                ..self.user_event(&joined, origin, at, Action::AccountCreated)
            },
            self.user_event(&joined, origin, at, Action::UserCreated),
        ];
        let account_id = account.id;
        let control = self.clone();
        self.to_the_end(async move {
            let change = control.change(at);
            if let Err(error) =
                control.store().sign_up(link, account, user, opening.seed, change, events).await
            {
                let StoreError::OutcomeUnknown(_) = error else { return Err(error.into()) };
                // All of it is one transaction: with the account there are the user and the session.
                control.find_made(error, || control.store().find_account(account_id, at)).await?;
            }
            // A new account has no key that a node could know.
            control.wake();
            Ok(OpenedSession { token: opening.token, account_id, expires_at, return_to: None })
        })
        .await
    }

    fn check_new_account_and_password(
        &self,
        new: NewAccountInput<'_>,
        chosen: &str,
    ) -> Result<rndrkit_store::NewAccount, Error> {
        let refusal = self.password_refusal(chosen, new.email);
        match (self.check_new_account(new), refusal) {
            (Ok(account), None) => Ok(account),
            (Ok(_), Some(refusal)) => Err(Error::invalid("password", refusal)),
            (Err(Error::Invalid(mut fields)), Some(refusal)) => {
                fields.push(crate::InvalidField { field: "password", detail: refusal });
                Err(Error::Invalid(fields))
            }
            (Err(error), _) => Err(error),
        }
    }

    pub(crate) fn password_refusal(&self, chosen: &str, email: &str) -> Option<String> {
        let settings = self.settings();
        password::refusal(chosen, settings.password_min_length, email, &settings.brand_name)
    }

    async fn new_user(&self, email: Email, chosen: &str, at: Timestamp) -> Result<NewUser, Error> {
        let password_hash = self.inner.hasher.hash(chosen.to_owned(), self.entropy()).await?;
        Ok(NewUser { id: UserId::generate(at, self.entropy()), email, password_hash })
    }

    async fn accept_invite(
        &self,
        link: Digest,
        account_id: AccountId,
        input: SignUpInput<'_>,
        origin: &Origin,
    ) -> Result<OpenedSession, Error> {
        let mut checks = Checks::default();
        let email = checks.read("email", Email::parse(input.email));
        if let Some(refusal) = self.password_refusal(input.password, input.email) {
            checks.add("password", refusal);
        }
        checks.finish()?;
        let email = email.ok_or_else(|| Error::internal("checks passed without an address"))?;
        let at = self.now();
        let user = self.new_user(email, input.password, at).await?;
        let opening = self.open_session(at, origin);
        let expires_at = opening.seed.expires_at;
        let events =
            vec![self.user_event(&joined_user(&user, account_id, at), origin, at, Action::UserCreated)];
        let opened = self.store().accept_invite(link, user, opening.seed, self.change(at), events).await?;
        Ok(OpenedSession { token: opening.token, account_id, expires_at, return_to: opened.return_to })
    }

    /// Sets a new password through a reset link. All other sessions of that user end.
    pub async fn reset_password(
        &self,
        link: &str,
        chosen: &str,
        origin: &Origin,
    ) -> Result<OpenedSession, Error> {
        let digest = Digest::of(link);
        let record = self.store().find_link(digest, self.now()).await?;
        let record =
            record.filter(|record| record.kind == LinkKind::PasswordReset).ok_or(Error::LinkInvalid)?;
        let (Some(account_id), Some(user_id)) = (record.account_id, record.user_id) else {
            return Err(Error::LinkInvalid);
        };
        let users = self.store().list_users(account_id).await?;
        let user = users.into_iter().find(|user| user.id == user_id).ok_or(Error::LinkInvalid)?;
        if let Some(refusal) = self.password_refusal(chosen, user.email.as_str()) {
            return Err(Error::invalid("password", refusal));
        }
        let hash = self.inner.hasher.hash(chosen.to_owned(), self.entropy()).await?;
        let at = self.now();
        let opening = self.open_session(at, origin);
        let expires_at = opening.seed.expires_at;
        let event = self.user_event(&user, origin, at, Action::UserPasswordReset);
        let opened = self.store().reset_password(digest, &hash, opening.seed, self.change(at), event).await?;
        Ok(OpenedSession { token: opening.token, account_id, expires_at, return_to: opened.return_to })
    }

    /// Opens an account's dashboard with a sign-in link.
    pub async fn sign_in_by_link(&self, link: &str, origin: &Origin) -> Result<OpenedSession, Error> {
        let digest = Digest::of(link);
        let record = self.store().find_link(digest, self.now()).await?;
        let record = record.filter(|record| record.kind == LinkKind::SignIn).ok_or(Error::LinkInvalid)?;
        let account_id = record.account_id.ok_or(Error::LinkInvalid)?;
        let at = self.now();
        let opening = self.open_session(at, origin);
        let expires_at = opening.seed.expires_at;
        let principal = Principal::User { account_id, user: None, session: opening.seed.digest };
        let context = Context { principal, origin: origin.clone() };
        let event =
            self.event(&context, at, Action::UserSignedIn, Some(account_id), Subject::Account(account_id));
        let opened = self.store().sign_in_by_link(digest, opening.seed, self.change(at), event).await?;
        Ok(OpenedSession { token: opening.token, account_id, expires_at, return_to: opened.return_to })
    }
}

/// The user that a sign-up is about to make, as its audit event names them.
fn joined_user(user: &NewUser, account_id: AccountId, at: Timestamp) -> User {
    User { id: user.id, account_id, email: user.email.clone(), created_at: at }
}
