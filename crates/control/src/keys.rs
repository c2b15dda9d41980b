//! API keys: created and shown once, listed, revoked everywhere before the answer.

use std::time::Duration;

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::Action;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::{ApiKey, RevokedReason};
use rndrkit_domain::key_text;
use rndrkit_domain::plan::Plan;
use rndrkit_domain::text::{Environment, Name};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_store::{Error as StoreError, NewKey};

use crate::accounts::Checks;
use crate::cursor::{Cursor, Page, PageQuery};
use crate::event::Subject;
use crate::idempotency::{Begin, repeated_resource};
use crate::{Confirmation, Context, Control, Created, Error, IdempotencyRequest, Principal};

/// How far back the dashboard's list of past keys goes.
const PAST_KEYS_SHOWN_FOR: Duration = Duration::from_secs(90 * 86_400);
/// Past keys that the dashboard lists at most.
const PAST_KEYS_MAX: u32 = 200;

/// What a revocation answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The key, revoked.
    pub key: ApiKey,
    /// When it was revoked; the same for every repeat.
    pub revoked_at: Timestamp,
    /// Who refuses it now.
    pub confirmation: Confirmation,
}

/// What the dashboard's list of keys shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOverview {
    /// The account's plan.
    pub plan: Plan,
    /// Active keys, newest first.
    pub active: Vec<ApiKey>,
    /// Keys that ended in the last 90 days, newest end first.
    pub past: Vec<ApiKey>,
}

/// What a key is called and where it is used, as somebody typed it. A name alone will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLabel<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// `production`, `staging`, `CI/CD`, or words of their own.
    pub environment: Option<&'a str>,
}

impl<'a> From<&'a str> for KeyLabel<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, environment: None }
    }
}

impl<'a> From<&'a String> for KeyLabel<'a> {
    fn from(name: &'a String) -> Self {
        Self { name, environment: None }
    }
}

impl Control {
    /// Makes a key. The secret is in the answer and nowhere else.
    pub async fn create_key<'a>(
        &self,
        context: &Context,
        account_id: AccountId,
        label: impl Into<KeyLabel<'a>> + Send,
        expires_at: Option<&str>,
        idempotency: Option<IdempotencyRequest<'_>>,
    ) -> Result<Created<ApiKey>, Error> {
        context.require_operator_or_user(account_id, Scope::Admin)?;
        let wanted = idempotency.map(|request| request.fingerprint);
        let route = format!("accounts/{account_id}/keys");
        // Before the checks: a repeat is answered as before even when the key's end has passed since.
        let place = match self.begin_create(context, &route, idempotency).await? {
            Begin::Fresh(place) => place,
            Begin::Repeat(id) => return self.repeated_key(context, &id).await,
        };
        let now = self.now();
        let mut checks = Checks::default();
        let label = label.into();
        let name = checks.read("name", Name::parse(label.name));
        let environment = label
            .environment
            .and_then(|environment| checks.read("environment", Environment::parse(environment)));
        let expires_at = check_expiry(&mut checks, expires_at, now);
        checks.finish()?;
        let name = name.ok_or_else(|| Error::internal("checks passed without a name"))?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            control.prefix_is_stored().await?;
            let minted = key_text::mint(&control.settings().key_prefix, control.entropy());
            let key = NewKey {
                id: KeyId::generate(now, control.entropy()),
                account_id,
                name,
                environment,
                expires_at,
                digest: minted.digest,
                prefix: control.settings().key_prefix.clone(),
                mask: minted.mask,
            };
            let event =
                control.event(&context, now, Action::KeyCreated, Some(account_id), Subject::Key(key.id));
            let (record, _place) = place.unzip();
            let id = key.id;
            let made = match control.store().insert_key(key, record, control.change(now), event).await {
                Err(unknown @ StoreError::OutcomeUnknown(_)) => {
                    control.find_made(unknown, || control.store().find_key(id)).await?.0
                }
                Err(error) => {
                    return control.repeated_key(&context, &repeated_resource(error, wanted)?).await;
                }
                Ok(committed) => committed.value,
            };
            // Nobody is waited for. No node can hold anything about a secret that was random a
            // moment ago, not even that it is unknown, so every node asks the database about it, and
            // a node that cannot ask answers "unavailable". What the look-up finds comes with the
            // account as it is then, and the newer one counts. Waiting would only keep new keys from
            // being made while some node does not answer. (A secret that somebody else chose could
            // have been tried before: importing one has to wait like a revocation.)
            control.wake();
            Ok(Created { value: made, secret: Some(minted.secret) })
        })
        .await
    }

    async fn repeated_key(&self, context: &Context, id: &str) -> Result<Created<ApiKey>, Error> {
        let id: KeyId = id.parse().map_err(Error::internal)?;
        Ok(Created { value: self.get_key(context, id).await?, secret: None })
    }

    /// One key. Somebody else's is not found.
    pub async fn get_key(&self, context: &Context, id: KeyId) -> Result<ApiKey, Error> {
        let key = self.store().find_key(id).await?;
        match (&context.principal, key) {
            (Principal::KeyHolder { key_id, .. }, Some(key)) if *key_id == key.id => Ok(key),
            (_, Some(key)) => {
                context.require_operator_or_user(key.account_id, Scope::Read)?;
                Ok(key)
            }
            // Scope first: a token that may not read does not learn what exists.
            (Principal::Operator { .. }, None) => {
                context.require_operator(Scope::Read)?;
                Err(Error::NotFound)
            }
            (_, None) => Err(Error::NotFound),
        }
    }

    /// All keys of an account, newest first.
    pub async fn list_keys(
        &self,
        context: &Context,
        account_id: AccountId,
        page: PageQuery,
    ) -> Result<Page<ApiKey>, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        self.store().find_account(account_id, self.now()).await?.ok_or(Error::NotFound)?;
        let stored = self.store().list_keys(account_id, page.by_time()?).await?;
        Ok(Page::new(stored, |key| Cursor::TimeAndId(key.created_at, key.id.to_string())))
    }

    /// What the dashboard's list of keys shows, of an account as it was read a moment ago.
    pub async fn key_overview(&self, context: &Context, account: &Account) -> Result<KeyOverview, Error> {
        context.require_operator_or_user(account.id, Scope::Read)?;
        let now = self.now();
        let since = now.minus(PAST_KEYS_SHOWN_FOR);
        let (plan, active, past) = tokio::join!(
            self.get_plan(&account.plan),
            self.store().list_active_keys(account.id, now),
            self.store().list_past_keys(account.id, since, now, PAST_KEYS_MAX),
        );
        let (plan, active, past) = (plan?, active?, past?);
        // A key that is deleted between the two reads would be in neither list or in both; the status decides.
        let past = past.into_iter().filter(|key| active.iter().all(|other| other.id != key.id)).collect();
        Ok(KeyOverview { plan, active, past })
    }

    /// Revokes a key. Answers when no node accepts it any more; repeating it confirms anew.
    pub async fn revoke_key(&self, context: &Context, id: KeyId) -> Result<Receipt, Error> {
        let (reason, only_account) = match &context.principal {
            Principal::User { account_id, .. } => (RevokedReason::User, Some(*account_id)),
            Principal::KeyHolder { account_id, key_id } if *key_id == id => {
                (RevokedReason::Holder, Some(*account_id))
            }
            _ => {
                context.require_operator(Scope::Admin)?;
                (RevokedReason::Operator, None)
            }
        };
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            // The account is filled in by the store, which finds the key in the same transaction.
            let event = control.event(&context, at, Action::KeyRevoked, only_account, Subject::Key(id));
            let change = control.change(at);
            let revoke = || control.store().revoke_key(id, reason, only_account, change, event.clone());
            let committed = control.change_surely(revoke).await?;
            let confirmation = control.confirm(committed.number).await?;
            let key = committed.value;
            let revoked_at = key.revoked.map_or(at, |(revoked_at, _)| revoked_at);
            Ok(Receipt { key, revoked_at, confirmation })
        })
        .await
    }
}

pub(crate) fn check_expiry(checks: &mut Checks, text: Option<&str>, now: Timestamp) -> Option<Timestamp> {
    let end: Timestamp = checks.read("expires_at", text?.parse())?;
    if end <= now {
        checks.add("expires_at", "Use a moment in the future.");
        return None;
    }
    Some(end)
}
