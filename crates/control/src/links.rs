//! Single-use links: made by the operator (and once by the server itself), stored hashed, used up by the
//! page's button.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rndrkit_domain::account::{Account, User};
use rndrkit_domain::audit::Action;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::key_text::{Digest, Secret};
use rndrkit_domain::link::LinkKind;
use rndrkit_domain::random;
use rndrkit_domain::text::{Email, Name};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_store::NewLink as StoredLink;

use crate::event::Subject;
use crate::{Context, Control, Error};

/// The shortest and the longest life that a link's maker may choose.
const LIFETIME_SECONDS: std::ops::RangeInclusive<u64> = 60..=2_592_000;
/// The longest `return_to`.
const MAX_RETURN_TO_BYTES: usize = 256;

/// A link to make.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkInput<'a> {
    /// `invite`, `password_reset` or `sign_in`.
    pub kind: &'a str,
    /// Whose password is reset; of the account's own address, or else of who joined first, when absent.
    pub email: Option<&'a str>,
    /// How long it works; by kind when absent.
    pub expires_in_seconds: Option<u64>,
    /// Path of the dashboard to open afterwards.
    pub return_to: Option<&'a str>,
}

/// A link just made.
#[derive(Debug)]
pub struct NewLink {
    /// Where to send the person. Holds the link's secret.
    pub url: Secret,
    /// Its kind.
    pub kind: LinkKind,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// A link as its page shows it, before it is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// Its kind.
    pub kind: LinkKind,
    /// The address it is for, when it is for an account.
    pub email: Option<Email>,
    /// That account's name.
    pub account_name: Option<Name>,
}

impl Control {
    /// Makes a link for an account: `invite`, `password_reset` or `sign_in`.
    pub async fn create_link(
        &self,
        context: &Context,
        account_id: AccountId,
        input: LinkInput<'_>,
    ) -> Result<NewLink, Error> {
        context.require_operator(Scope::Admin)?;
        let (kind, lifetime) = check_link(&input)?;
        let account = self.store().find_account(account_id, self.now()).await?.ok_or(Error::NotFound)?;
        let user_id = match kind {
            LinkKind::PasswordReset => Some(self.user_to_reset(&account, input.email).await?),
            _ => None,
        };
        let at = self.now();
        let secret = self.link_secret();
        let expires_at = at.plus(lifetime);
        let link = StoredLink {
            digest: secret.digest(),
            kind,
            account_id,
            user_id,
            return_to: input.return_to.map(str::to_owned),
            expires_at,
        };
        let mut event =
            self.event(context, at, Action::LinkCreated, Some(account_id), Subject::Account(account_id));
        event.details = vec![("kind", kind.as_str().to_owned())];
        self.store().insert_link(link, self.change(at), event).await?;
        Ok(NewLink { url: self.link_url(kind, &secret), kind, expires_at })
    }

    /// Whose password a reset link of this account sets: the user with the given address; when none is given,
    /// the one with the account's own address, or else the one who joined first.
    async fn user_to_reset(&self, account: &Account, email: Option<&str>) -> Result<UserId, Error> {
        let users = self.store().list_users(account.id).await?;
        if let Some(email) = email {
            let email = Email::parse(email).ok();
            let named = users.iter().find(|user| Some(&user.email) == email.as_ref());
            return named
                .map(|user| user.id)
                .ok_or_else(|| Error::invalid("email", "Nobody with this address has joined this account."));
        }
        let own = users.iter().find(|user| user.email == account.email);
        let first = users.iter().min_by_key(|user| (user.created_at, user.id));
        own.or(first).map(|user: &User| user.id).ok_or_else(|| {
            Error::invalid("kind", "Nobody has joined this account yet. Make an `invite` link instead.")
        })
    }

    /// The link that makes the first account of an installation; none once somebody has joined. Replaces
    /// the one of the last start.
    pub async fn first_account_link(&self) -> Result<Option<NewLink>, Error> {
        if self.store().has_users().await? {
            return Ok(None);
        }
        let at = self.now();
        let kind = LinkKind::FirstAccount;
        let secret = self.link_secret();
        let expires_at = at.plus(kind.default_lifetime());
        self.store().replace_first_account_link(secret.digest(), expires_at, self.change(at)).await?;
        Ok(Some(NewLink { url: self.link_url(kind, &secret), kind, expires_at }))
    }

    /// What a link is, for the page that it opens. Does not use it up.
    pub async fn look_up_link(&self, link: &str) -> Result<Option<LinkView>, Error> {
        let Some(record) = self.store().find_link(Digest::of(link), self.now()).await? else {
            return Ok(None);
        };
        let account = match record.account_id {
            Some(id) => self.store().find_account(id, self.now()).await?,
            None => None,
        };
        let mut email = account.as_ref().map(|account| account.email.clone());
        if let (Some(user_id), Some(account)) = (record.user_id, &account) {
            let users = self.store().list_users(account.id).await?;
            email = users.into_iter().find(|user| user.id == user_id).map(|user| user.email).or(email);
        }
        Ok(Some(LinkView { kind: record.kind, email, account_name: account.map(|account| account.name) }))
    }

    pub(crate) fn link_secret(&self) -> Secret {
        Secret::from_text(URL_SAFE_NO_PAD.encode(random::bytes::<32>(self.entropy())))
    }

    fn link_url(&self, kind: LinkKind, secret: &Secret) -> Secret {
        let page = match kind {
            LinkKind::FirstAccount | LinkKind::Invite => "sign-up",
            LinkKind::PasswordReset => "reset",
            LinkKind::SignIn => "sign-in",
        };
        Secret::from_text(format!("{}/{page}?link={}", self.settings().public_url, secret.reveal()))
    }
}

fn check_link(input: &LinkInput<'_>) -> Result<(LinkKind, Duration), Error> {
    let LinkInput { kind, email, expires_in_seconds, return_to } = *input;
    let mut checks = crate::accounts::Checks::default();
    let kind = LinkKind::parse(kind).filter(|kind| *kind != LinkKind::FirstAccount);
    let kind = checks.read("kind", kind.ok_or("Use `invite`, `password_reset` or `sign_in`."));
    if email.is_some() && kind.is_some_and(|kind| kind != LinkKind::PasswordReset) {
        checks.add("email", "Leave it out: only a `password_reset` link is for one person of an account.");
    }
    if expires_in_seconds.is_some_and(|seconds| !LIFETIME_SECONDS.contains(&seconds)) {
        checks.add("expires_in_seconds", "Use 60 to 2592000 seconds (one minute to 30 days).");
    }
    if return_to.is_some_and(|path| !is_own_path(path)) {
        checks.add("return_to", "Use a path of the dashboard, such as /settings#api-keys.");
    }
    checks.finish()?;
    let kind = kind.ok_or_else(|| Error::internal("checks passed without a kind"))?;
    let lifetime = expires_in_seconds.map_or_else(|| kind.default_lifetime(), Duration::from_secs);
    Ok((kind, lifetime))
}

/// Whether a text is a path on this very site: `//host` and `/\host` lead elsewhere in browsers.
fn is_own_path(path: &str) -> bool {
    path.len() <= MAX_RETURN_TO_BYTES
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_cannot_return_to_another_site() {
        assert!(is_own_path("/settings#api-keys"));
        for bad in
            ["https://evil.example", "//evil.example", "/\\evil.example", "settings", "/a b", "/\r\nX: y"]
        {
            assert!(!is_own_path(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_first_account_link_cannot_be_asked_for() {
        let check = |kind, expires_in_seconds| {
            check_link(&LinkInput { kind, expires_in_seconds, ..LinkInput::default() })
        };
        assert!(check("first_account", None).is_err());
        assert!(check("invite", Some(59)).is_err());
        assert_eq!(check("sign_in", None).unwrap().1, Duration::from_secs(600));
    }
}
