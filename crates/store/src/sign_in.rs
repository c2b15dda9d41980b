//! The ways into the dashboard that change more than a session: signing up, and using a link.

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::link::LinkKind;

use crate::accounts::{self, NewAccount};
use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::links;
use crate::open::Store;
use crate::passwords;
use crate::sessions::{self, NewSession, SessionSeed};
use crate::users::{self, NewUser};
use crate::value::text;

/// What a used link has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedByLink {
    /// Whose dashboard.
    pub account_id: AccountId,
    /// Who signed in; none when an operator's link opened it.
    pub user_id: Option<UserId>,
    /// Where to go now.
    pub return_to: Option<String>,
}

impl Store {
    /// Makes an account with its first user, signed in. With a first-account link, uses that up.
    pub async fn sign_up(
        &self,
        first_link: Option<Digest>,
        account: NewAccount,
        user: NewUser,
        seed: SessionSeed,
        change: Change,
        events: Vec<NewEvent>,
    ) -> Result<Committed<Account>, Error> {
        let tx = self.begin().await?;
        if let Some(link) = first_link {
            links::consume(&tx, link, LinkKind::FirstAccount, change.at).await?;
        }
        let made = accounts::insert(&tx, &account, &change).await?;
        users::insert(&tx, made.id, &user, &change).await?;
        let session = NewSession { seed, account_id: made.id, user_id: Some(user.id) };
        sessions::insert(&tx, &session, &change).await?;
        audit::append(&tx, &change, &events).await?;
        let number = feed::publish(&tx, &change, News::of_account(made.id)).await?;
        tx.commit().await?;
        Ok(Committed::done(made, number))
    }

    /// Joins an existing account through an invite, signed in.
    pub async fn accept_invite(
        &self,
        link: Digest,
        user: NewUser,
        seed: SessionSeed,
        change: Change,
        events: Vec<NewEvent>,
    ) -> Result<OpenedByLink, Error> {
        let tx = self.begin().await?;
        let account_id = links::lock_account(&tx, link).await?;
        let consumed = links::consume(&tx, link, LinkKind::Invite, change.at).await?;
        users::insert(&tx, account_id, &user, &change).await?;
        let session = NewSession { seed, account_id, user_id: Some(user.id) };
        sessions::insert(&tx, &session, &change).await?;
        audit::append(&tx, &change, &events).await?;
        tx.commit().await?;
        Ok(OpenedByLink { account_id, user_id: Some(user.id), return_to: consumed.return_to })
    }

    /// Sets a user's password through a link. Every other session of that user ends, and every other link
    /// of theirs is void.
    pub async fn reset_password(
        &self,
        link: Digest,
        new_hash: &str,
        seed: SessionSeed,
        change: Change,
        event: NewEvent,
    ) -> Result<OpenedByLink, Error> {
        let tx = self.begin().await?;
        let account_id = links::lock_account(&tx, link).await?;
        let consumed = links::consume(&tx, link, LinkKind::PasswordReset, change.at).await?;
        let user_id = consumed.user_id.ok_or_else(|| Error::corrupt("a reset link without a user"))?;
        tx.execute("UPDATE users SET password_hash = $2 WHERE id = $1", [text(user_id), text(new_hash)])
            .await?;
        tx.execute("DELETE FROM sessions WHERE user_id = $1", [text(user_id)]).await?;
        passwords::void_links(&tx, user_id, change.at).await?;
        let session = NewSession { seed, account_id, user_id: Some(user_id) };
        passwords::append_changed(&tx, &session, user_id, &change, event).await?;
        tx.commit().await?;
        Ok(OpenedByLink { account_id, user_id: Some(user_id), return_to: consumed.return_to })
    }

    /// Opens an account's dashboard through an operator's link.
    pub async fn sign_in_by_link(
        &self,
        link: Digest,
        seed: SessionSeed,
        change: Change,
        event: NewEvent,
    ) -> Result<OpenedByLink, Error> {
        let tx = self.begin().await?;
        let account_id = links::lock_account(&tx, link).await?;
        let consumed = links::consume(&tx, link, LinkKind::SignIn, change.at).await?;
        let session = NewSession { seed, account_id, user_id: consumed.user_id };
        let is_new_place = sessions::insert(&tx, &session, &change).await?;
        audit::append(&tx, &change, &[sessions::marked(event, is_new_place)]).await?;
        tx.commit().await?;
        Ok(OpenedByLink { account_id, user_id: consumed.user_id, return_to: consumed.return_to })
    }
}
