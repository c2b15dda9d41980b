//! Accounts. The account's row is the lock of everything that belongs to it: changes update it first.

use rndrkit_domain::account::{Account, AccountStatus, User};
use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::mail::MailKind;
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::text::{Email, ExternalId, Name};
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::audit;
use crate::change::{Change, Committed};
use crate::email_changes;
use crate::error::Error;
use crate::feed::{self, News};
use crate::idempotency::{self, Idempotency};
use crate::observations;
use crate::open::Store;
use crate::outbox;
use crate::page::{Page, PageRequest};
use crate::sql::Transaction;
use crate::value::{optional_text, read, read_id, read_small, read_time, text, time};

/// An account about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Id.
    pub id: AccountId,
    /// Contact address.
    pub email: Email,
    /// Display name.
    pub name: Name,
    /// Its plan.
    pub plan: PlanId,
    /// The operator's own id.
    pub external_id: Option<ExternalId>,
}

/// What to change; none = stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountUpdate {
    /// Another plan.
    pub plan: Option<PlanId>,
    /// Another status.
    pub status: Option<AccountStatus>,
    /// Another name.
    pub name: Option<Name>,
    /// Another address.
    pub email: Option<Email>,
    /// Another external id; `Some(None)` removes it.
    pub external_id: Option<Option<ExternalId>>,
}

/// Which accounts; none = all. Compared as given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountFilter {
    /// Only the one with this address, in lower case.
    pub email: Option<String>,
    /// Only the one with this external id.
    pub external_id: Option<String>,
}

/// Columns of an [`AccountRow`]; `$1` is the moment at which active keys are counted.
macro_rules! account_columns {
    () => {
        "accounts.id, accounts.external_id, accounts.email, accounts.name, accounts.status, accounts.plan_id,
         accounts.rev, accounts.state_number, accounts.created_at,
         (SELECT count(*) FROM api_keys AS k WHERE k.account_id = accounts.id AND k.revoked_at IS NULL
             AND (k.expires_at IS NULL OR k.expires_at > $1)) AS active_keys"
    };
}
pub(crate) use account_columns;

/// A page of accounts under a condition on `$2` (address) and `$3` (external id). One statement for each filter:
/// under `email = $2 OR $2 IS NULL` SQLite uses no index and reads every account.
macro_rules! page_of_accounts {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            account_columns!(),
            " FROM accounts WHERE deleted_at IS NULL AND (created_at, id) < ($4, $5) AND ",
            $condition,
            " ORDER BY created_at DESC, id DESC LIMIT $6"
        )
    };
}

const ALL_ACCOUNTS: &str = page_of_accounts!("$2 IS NULL AND $3 IS NULL");
const ACCOUNTS_BY_EMAIL: &str = page_of_accounts!("email = $2 AND ($3 IS NULL OR external_id = $3)");
const ACCOUNTS_BY_EXTERNAL_ID: &str = page_of_accounts!("$2 IS NULL AND external_id = $3");

/// An account that is not deleted.
#[derive(FromQueryResult)]
pub(crate) struct AccountRow {
    id: String,
    external_id: Option<String>,
    email: String,
    name: String,
    status: String,
    plan_id: String,
    rev: i64,
    pub(crate) state_number: i64,
    created_at: i64,
    active_keys: i64,
}

impl AccountRow {
    pub(crate) fn into_account(self) -> Result<Account, Error> {
        Ok(Account {
            id: read_id(&self.id)?,
            external_id: read_external_id(self.external_id.as_deref())?,
            email: read(Email::parse(&self.email), "an account's address")?,
            name: read(Name::parse(&self.name), "an account's name")?,
            status: read_status(&self.status)?,
            plan: read(PlanId::parse(&self.plan_id), "a plan's id")?,
            active_keys: read_small(self.active_keys)?,
            revision: self.rev,
            created_at: read_time(self.created_at),
        })
    }
}

pub(crate) fn read_status(column: &str) -> Result<AccountStatus, Error> {
    AccountStatus::parse(column).ok_or_else(|| Error::corrupt("an account's status"))
}

pub(crate) fn read_external_id(column: Option<&str>) -> Result<Option<ExternalId>, Error> {
    column.map(|id| read(ExternalId::parse(id), "an external id")).transpose()
}

/// Takes an account's lock without changing it, for what belongs to it but decides nothing (sessions,
/// links): a deletion either sees the new row or makes this fail.
pub(crate) async fn lock(tx: &Transaction, id: AccountId) -> Result<(), Error> {
    let locked =
        tx.execute("UPDATE accounts SET rev = rev WHERE id = $1 AND deleted_at IS NULL", [text(id)]).await?;
    if locked == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Writes a new account, up to its feed number.
pub(crate) async fn insert(tx: &Transaction, new: &NewAccount, change: &Change) -> Result<Account, Error> {
    tx.execute(
        "INSERT INTO accounts (id, external_id, email, name, status, plan_id, rev, state_number, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7)",
        [
            text(new.id),
            optional_text(new.external_id.as_ref()),
            text(&new.email),
            text(&new.name),
            text(AccountStatus::Active.as_str()),
            text(&new.plan),
            time(change.at),
        ],
    )
    .await?;
    Ok(Account {
        id: new.id,
        external_id: new.external_id.clone(),
        email: new.email.clone(),
        name: new.name.clone(),
        status: AccountStatus::Active,
        plan: new.plan.clone(),
        active_keys: 0,
        revision: 1,
        created_at: change.at,
    })
}

impl Store {
    /// Makes an account.
    pub async fn insert_account(
        &self,
        new: NewAccount,
        idempotency: Option<Idempotency>,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<Account>, Error> {
        let tx = self.begin().await?;
        idempotency::claim(&tx, &change, idempotency, new.id).await?;
        let account = insert(&tx, &new, &change).await?;
        audit::append(&tx, &change, &[event]).await?;
        let number = feed::publish(&tx, &change, News::of_account(new.id)).await?;
        tx.commit().await?;
        Ok(Committed::done(account, number))
    }

    /// One account; deleted ones are not found. Active keys are counted at `now`.
    pub async fn find_account(&self, id: AccountId, now: Timestamp) -> Result<Option<Account>, Error> {
        let row: Option<AccountRow> = self
            .reader()
            .optional(
                concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $2 AND deleted_at IS NULL"),
                [time(now), text(id)],
            )
            .await?;
        row.map(AccountRow::into_account).transpose()
    }

    /// Accounts, newest first. Active keys are counted at `now`.
    pub async fn list_accounts(
        &self,
        filter: AccountFilter,
        page: PageRequest,
        now: Timestamp,
    ) -> Result<Page<Account>, Error> {
        let [after_time, after_id] = page.position();
        let statement = match filter {
            AccountFilter { email: Some(_), .. } => ACCOUNTS_BY_EMAIL,
            AccountFilter { external_id: Some(_), .. } => ACCOUNTS_BY_EXTERNAL_ID,
            AccountFilter { email: None, external_id: None } => ALL_ACCOUNTS,
        };
        let (email, external_id) = (optional_text(filter.email), optional_text(filter.external_id));
        let values = [time(now), email, external_id, after_time, after_id, page.probe()];
        let rows: Vec<AccountRow> = self.reader().all(statement, values).await?;
        let items = rows.into_iter().map(AccountRow::into_account).collect::<Result<_, _>>()?;
        Ok(Page::cut(items, page.limit))
    }

    /// Changes an account. When its address changes and its only user signs in with that address, theirs changes with
    /// it, and the old one is told. `events` reports the difference between before and after, and that user as they
    /// were; nothing is written, and `events` is not asked, when there is none.
    pub async fn update_account(
        &self,
        id: AccountId,
        update: AccountUpdate,
        change: Change,
        events: impl FnOnce(&Account, &Account, Option<&User>) -> Vec<NewEvent> + Send,
    ) -> Result<Committed<Account>, Error> {
        let tx = self.begin().await?;
        let row: Option<AccountRow> = tx
            .optional(
                concat!(
                    "UPDATE accounts SET rev = rev + 1 WHERE id = $2 AND deleted_at IS NULL
                     RETURNING ",
                    account_columns!()
                ),
                [time(change.at), text(id)],
            )
            .await?;
        let row = row.ok_or(Error::NotFound)?;
        let state_number = row.state_number;
        let mut before = row.into_account()?;
        before.revision -= 1;
        let after = applied(&before, update);
        if after == before {
            tx.rollback().await?;
            return Ok(Committed::unchanged(before, state_number));
        }
        let after = Account { revision: before.revision + 1, ..after };
        write(&tx, &after).await?;
        let user = if after.email == before.email {
            None
        } else {
            email_changes::follow_account(&tx, id, &before.email, &after.email, change.at).await?
        };
        let events = events(&before, &after, user.as_ref());
        if let (Some(user), Some(event)) = (user, events.last()) {
            email_changes::tell(&tx, MailKind::EmailChanged, event, &user, &change).await?;
        }
        audit::append(&tx, &change, &events).await?;
        let number = feed::publish(&tx, &change, News::of_account(id)).await?;
        tx.commit().await?;
        Ok(Committed::done(after, number))
    }

    /// Deletes an account: its keys are revoked, its users, sessions and links go, and everything personal
    /// is erased, from the audit trail too. Repeating it changes nothing.
    pub async fn delete_account(
        &self,
        id: AccountId,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<()>, Error> {
        let tx = self.begin().await?;
        let row: Option<DeletionRow> = tx
            .optional(
                "UPDATE accounts SET rev = rev + 1 WHERE id = $1 RETURNING deleted_at, state_number",
                [text(id)],
            )
            .await?;
        let row = row.ok_or(Error::NotFound)?;
        if row.deleted_at.is_some() {
            tx.rollback().await?;
            return Ok(Committed::unchanged((), row.state_number));
        }
        erase(&tx, id, &change).await?;
        audit::erase_people(&tx, id).await?;
        audit::append(&tx, &change, &[event]).await?;
        // A repeated revocation of one of its keys waits for this number too.
        let number = feed::publish(&tx, &change, News::of_deleted_account(id)).await?;
        tx.commit().await?;
        Ok(Committed::done((), number))
    }
}

#[derive(FromQueryResult)]
struct DeletionRow {
    deleted_at: Option<i64>,
    state_number: i64,
}

fn applied(before: &Account, update: AccountUpdate) -> Account {
    Account {
        plan: update.plan.unwrap_or_else(|| before.plan.clone()),
        status: update.status.unwrap_or(before.status),
        name: update.name.unwrap_or_else(|| before.name.clone()),
        email: update.email.unwrap_or_else(|| before.email.clone()),
        external_id: update.external_id.unwrap_or_else(|| before.external_id.clone()),
        ..before.clone()
    }
}

async fn write(tx: &Transaction, account: &Account) -> Result<(), Error> {
    tx.execute(
        "UPDATE accounts SET plan_id = $2, status = $3, name = $4, email = $5, external_id = $6
         WHERE id = $1",
        [
            text(account.id),
            text(&account.plan),
            text(account.status.as_str()),
            text(&account.name),
            text(&account.email),
            optional_text(account.external_id.as_ref()),
        ],
    )
    .await?;
    Ok(())
}

async fn erase(tx: &Transaction, id: AccountId, change: &Change) -> Result<(), Error> {
    tx.execute(
        "UPDATE api_keys SET revoked_at = $2, revoked_reason = 'account_deleted'
         WHERE account_id = $1 AND revoked_at IS NULL",
        [text(id), time(change.at)],
    )
    .await?;
    outbox::erase(tx, id).await?;
    observations::erase(tx, id).await?;
    // Sessions, links, changes of address and places refer to users, users to the account.
    tx.execute("DELETE FROM sessions WHERE account_id = $1", [text(id)]).await?;
    tx.execute("DELETE FROM links WHERE account_id = $1", [text(id)]).await?;
    tx.execute("DELETE FROM email_changes WHERE account_id = $1", [text(id)]).await?;
    tx.execute(
        "DELETE FROM known_places WHERE user_id IN (SELECT id FROM users WHERE account_id = $1)",
        [text(id)],
    )
    .await?;
    tx.execute("DELETE FROM users WHERE account_id = $1", [text(id)]).await?;
    tx.execute(
        "UPDATE accounts SET email = NULL, name = NULL, external_id = NULL, deleted_at = $2 WHERE id = $1",
        [text(id), time(change.at)],
    )
    .await?;
    Ok(())
}
