//! Accounts: made, read, changed and deleted by the operator; users see and upgrade their own.

use rndrkit_domain::account::{Account, AccountStatus, User};
use rndrkit_domain::audit::{Action, NewEvent};
use rndrkit_domain::id::AccountId;
use rndrkit_domain::plan::{Plan, PlanId};
use rndrkit_domain::text::{Email, ExternalId, Name};
use rndrkit_domain::token::Scope;
use rndrkit_store::{AccountFilter, AccountUpdate, Error as StoreError, NewAccount};

use crate::cursor::{Cursor, Page, PageQuery};
use crate::error::InvalidField;
use crate::event::Subject;
use crate::idempotency::{Begin, repeated_resource};
use crate::{Billing, Confirmation, Context, Control, Created, Error, IdempotencyRequest, Principal};

/// An account with the plan it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// Its plan.
    pub plan: Plan,
}

/// An account after a change, and who follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedAccount {
    /// The account as it is now.
    pub view: AccountView,
    /// Who acts on the change.
    pub confirmation: Confirmation,
}

/// A new account as somebody typed it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewAccountInput<'a> {
    /// Contact address.
    pub email: &'a str,
    /// Display name; default: the address's local part.
    pub name: Option<&'a str>,
    /// Plan id; default: `default_plan`.
    pub plan: Option<&'a str>,
    /// The operator's own id.
    pub external_id: Option<&'a str>,
}

/// Changes to an account as somebody typed them; none = stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccountPatch<'a> {
    /// Plan id.
    pub plan: Option<&'a str>,
    /// `active` or `suspended`.
    pub status: Option<&'a str>,
    /// Display name.
    pub name: Option<&'a str>,
    /// Contact address.
    pub email: Option<&'a str>,
    /// The operator's own id; `Some(None)` removes it.
    pub external_id: Option<Option<&'a str>>,
}

/// Collects what is wrong with several inputs, so that all of it is said at once.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<InvalidField>);

impl Checks {
    pub(crate) fn read<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed.map_err(|error| self.add(field, error)).ok()
    }

    pub(crate) fn add(&mut self, field: &'static str, detail: impl std::fmt::Display) {
        self.0.push(InvalidField { field, detail: detail.to_string() });
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// The name of an account whose maker gave none: what stands before the `@`.
pub(crate) fn name_from(email: &Email) -> Name {
    let local = email.as_str().split('@').next().unwrap_or_default();
    let short: String = local.chars().take(Name::MAX_CHARS).collect();
    Name::parse(&short).unwrap_or_else(|_| fallback_name())
}

fn fallback_name() -> Name {
    #[expect(clippy::expect_used, reason = "a literal that follows the rule")]
    Name::parse("Account").expect("a plain word is a name")
}

impl Control {
    /// Makes an account. It has no user yet: send an invite or a sign-in link.
    pub async fn create_account(
        &self,
        context: &Context,
        input: NewAccountInput<'_>,
        idempotency: Option<IdempotencyRequest<'_>>,
    ) -> Result<Created<AccountView>, Error> {
        match self.try_create_account(context, input, idempotency).await {
            Err(error) => Err(self.name_plans(error).await),
            created => created,
        }
    }

    async fn try_create_account(
        &self,
        context: &Context,
        input: NewAccountInput<'_>,
        idempotency: Option<IdempotencyRequest<'_>>,
    ) -> Result<Created<AccountView>, Error> {
        context.require_operator(Scope::Admin)?;
        let new = self.check_new_account(input)?;
        let wanted = idempotency.map(|request| request.fingerprint);
        let place = match self.begin_create(context, "accounts", idempotency).await? {
            Begin::Fresh(place) => place,
            Begin::Repeat(id) => return self.repeated_account(context, &id).await,
        };
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            let event =
                control.event(&context, at, Action::AccountCreated, Some(new.id), Subject::Account(new.id));
            let (record, _place) = place.unzip();
            let id = new.id;
            let made = match control.store().insert_account(new, record, control.change(at), event).await {
                Err(unknown @ StoreError::OutcomeUnknown(_)) => {
                    control.find_made(unknown, || control.store().find_account(id, at)).await?.0
                }
                Err(error) => {
                    return control.repeated_account(&context, &repeated_resource(error, wanted)?).await;
                }
                Ok(committed) => committed.value,
            };
            // No key points to it yet, so no node holds anything that it could contradict.
            control.wake();
            Ok(Created { value: control.with_plan(made).await?, secret: None })
        })
        .await
    }

    async fn repeated_account(&self, context: &Context, id: &str) -> Result<Created<AccountView>, Error> {
        let id: AccountId = id.parse().map_err(Error::internal)?;
        Ok(Created { value: self.get_account(context, id).await?, secret: None })
    }

    pub(crate) fn check_new_account(&self, input: NewAccountInput<'_>) -> Result<NewAccount, Error> {
        let mut checks = Checks::default();
        let email = checks.read("email", Email::parse(input.email));
        let name = input.name.map(|name| checks.read("name", Name::parse(name)));
        let plan = match input.plan {
            None => Some(self.settings().default_plan.clone()),
            Some(plan) => checks.read("plan", PlanId::parse(plan).map_err(|_| UNKNOWN_PLAN)),
        };
        let external_id = input.external_id.map(|id| checks.read("external_id", ExternalId::parse(id)));
        checks.finish()?;
        let (Some(email), Some(plan)) = (email, plan) else {
            return Err(Error::internal("checks passed without values"));
        };
        Ok(NewAccount {
            id: AccountId::generate(self.now(), self.entropy()),
            name: name.flatten().unwrap_or_else(|| name_from(&email)),
            email,
            plan,
            external_id: external_id.flatten(),
        })
    }

    /// One account.
    pub async fn get_account(&self, context: &Context, id: AccountId) -> Result<AccountView, Error> {
        context.require_reader_of(id)?;
        let account = self.store().find_account(id, self.now()).await?.ok_or(Error::NotFound)?;
        self.with_plan(account).await
    }

    async fn with_plan(&self, account: Account) -> Result<AccountView, Error> {
        let plan = self.get_plan(&account.plan).await?;
        Ok(AccountView { account, plan })
    }

    /// Accounts, newest first; only those with this address or external id if given.
    pub async fn list_accounts(
        &self,
        context: &Context,
        email: Option<&str>,
        external_id: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<AccountView>, Error> {
        context.require_operator(Scope::Read)?;
        let filter = AccountFilter {
            email: email.map(|text| text.trim().to_lowercase()),
            external_id: external_id.map(str::to_owned),
        };
        let stored = self.store().list_accounts(filter, page.by_time()?, self.now()).await?;
        let found =
            Page::new(stored, |account| Cursor::TimeAndId(account.created_at, account.id.to_string()));
        let plans = self.list_plans().await?;
        let mut items = Vec::with_capacity(found.items.len());
        for account in found.items {
            let plan = plans.iter().find(|plan| plan.id == account.plan).cloned();
            let plan = plan.ok_or_else(|| Error::internal("an account is on a plan that does not exist"))?;
            items.push(AccountView { account, plan });
        }
        Ok(Page { items, next: found.next })
    }

    /// Changes an account. Effective on every node when it answers, also when nothing changed. A user may
    /// change the own account's plan, where plan changes are free, and name.
    pub async fn update_account(
        &self,
        context: &Context,
        id: AccountId,
        patch: AccountPatch<'_>,
    ) -> Result<ChangedAccount, Error> {
        match self.try_update_account(context, id, patch).await {
            Err(error) => Err(self.name_plans(error).await),
            updated => updated,
        }
    }

    async fn try_update_account(
        &self,
        context: &Context,
        id: AccountId,
        patch: AccountPatch<'_>,
    ) -> Result<ChangedAccount, Error> {
        self.require_patch_allowed(context, id, patch)?;
        let update = check_patch(patch)?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            let change = control.change(at);
            let update = || {
                let (writer, context) = (control.clone(), context.clone());
                let events = move |before: &Account, after: &Account, user: Option<&User>| {
                    let mut events = writer.update_events(&context, at, before, after);
                    events.extend(user.map(|user| {
                        let subject = Subject::User(user.id);
                        writer.event(&context, at, Action::UserEmailChanged, Some(after.id), subject)
                    }));
                    events
                };
                control.store().update_account(id, update.clone(), change, events)
            };
            let committed = control.change_surely(update).await?;
            let confirmation = control.confirm(committed.number).await?;
            Ok(ChangedAccount { view: control.with_plan(committed.value).await?, confirmation })
        })
        .await
    }

    fn require_patch_allowed(
        &self,
        context: &Context,
        id: AccountId,
        patch: AccountPatch<'_>,
    ) -> Result<(), Error> {
        context.require_operator_or_user(id, Scope::Admin)?;
        if !matches!(context.principal, Principal::User { .. }) {
            return Ok(());
        }
        if patch.plan.is_some() && self.settings().billing != Billing::Off {
            return Err(Error::PlanChangeNotYours);
        }
        if patch.status.is_some() || patch.email.is_some() || patch.external_id.is_some() {
            return Err(Error::NotFound);
        }
        Ok(())
    }

    fn update_events(
        &self,
        context: &Context,
        at: rndrkit_domain::time::Timestamp,
        before: &Account,
        after: &Account,
    ) -> Vec<NewEvent> {
        let event = |action| self.event(context, at, action, Some(after.id), Subject::Account(after.id));
        let mut events = Vec::new();
        if before.plan != after.plan {
            let mut changed = event(Action::AccountPlanChanged);
            changed.details = vec![("from", before.plan.to_string()), ("to", after.plan.to_string())];
            events.push(changed);
        }
        if before.status != after.status {
            events.push(event(match after.status {
                AccountStatus::Active => Action::AccountResumed,
                AccountStatus::Suspended => Action::AccountSuspended,
            }));
        }
        let changed_fields: Vec<&str> = [
            ("name", before.name != after.name),
            ("email", before.email != after.email),
            ("external_id", before.external_id != after.external_id),
        ]
        .into_iter()
        .filter_map(|(field, changed)| changed.then_some(field))
        .collect();
        if !changed_fields.is_empty() {
            let mut updated = event(Action::AccountUpdated);
            updated.details = vec![("fields", changed_fields.join(", "))];
            events.push(updated);
        }
        events
    }

    /// Deletes an account: its keys are revoked, sessions end, personal data is erased. Repeating it is
    /// safe.
    pub async fn delete_account(&self, context: &Context, id: AccountId) -> Result<(), Error> {
        context.require_operator(Scope::Admin)?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            let event = control.event(&context, at, Action::AccountDeleted, Some(id), Subject::Account(id));
            let change = control.change(at);
            let delete = || control.store().delete_account(id, change, event.clone());
            let committed = control.change_surely(delete).await?;
            control.confirm(committed.number).await?;
            Ok(())
        })
        .await
    }
}

/// Also what the store's own finding is called; which plans there are is added where they can be read.
pub(crate) const UNKNOWN_PLAN: &str = "There is no plan with this id.";

fn check_patch(patch: AccountPatch<'_>) -> Result<AccountUpdate, Error> {
    let mut checks = Checks::default();
    let status = patch
        .status
        .map(|text| checks.read("status", AccountStatus::parse(text).ok_or("Use `active` or `suspended`.")));
    let plan = patch.plan.map(|text| checks.read("plan", PlanId::parse(text).map_err(|_| UNKNOWN_PLAN)));
    let name = patch.name.map(|text| checks.read("name", Name::parse(text)));
    let email = patch.email.map(|text| checks.read("email", Email::parse(text)));
    let external_id =
        patch.external_id.map(|id| id.and_then(|text| checks.read("external_id", ExternalId::parse(text))));
    checks.finish()?;
    Ok(AccountUpdate {
        plan: plan.flatten(),
        status: status.flatten(),
        name: name.flatten(),
        email: email.flatten(),
        external_id,
    })
}
