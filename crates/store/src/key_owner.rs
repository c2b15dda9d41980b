//! Finding the account of a key and taking its lock, with which every change of a key begins.

use rndrkit_domain::id::{AccountId, KeyId};
use sea_orm::FromQueryResult;

use crate::error::Error;
use crate::keys::OwnerRow;
use crate::sql::Transaction;
use crate::value::{optional_text, read_id, text};

/// What the lock does to the account's revision, by which nodes tell what they hold of it from what is newer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Revision {
    /// Nothing that a node holds changes.
    Stays,
    /// It rises.
    Rises,
}

/// The account of a key, whose lock is held.
pub(crate) struct KeyOwner {
    pub(crate) account_id: AccountId,
    /// Of a deleted account all keys are revoked; they can still be asked about.
    pub(crate) is_deleted: bool,
    /// Its status and plan.
    pub(crate) row: OwnerRow,
}

#[derive(FromQueryResult)]
struct LockedRow {
    account_id: String,
    deleted_at: Option<i64>,
    #[sea_orm(nested)]
    owner: OwnerRow,
}

/// Locks the row of the account that a key belongs to. A key never changes its account, so finding and locking it
/// in one statement is safe. With `only_account`, a key of another account is not found.
pub(crate) async fn lock(
    tx: &Transaction,
    id: KeyId,
    only_account: Option<AccountId>,
    revision: Revision,
) -> Result<KeyOwner, Error> {
    let step: i64 = match revision {
        Revision::Stays => 0,
        Revision::Rises => 1,
    };
    let row: Option<LockedRow> = tx
        .optional(
            "UPDATE accounts SET rev = rev + $3
             WHERE id = (SELECT account_id FROM api_keys
                         WHERE id = $1 AND ($2 IS NULL OR account_id = $2))
             RETURNING id AS account_id, deleted_at, status, plan_id",
            [text(id), optional_text(only_account), step.into()],
        )
        .await?;
    let row = row.ok_or(Error::NotFound)?;
    Ok(KeyOwner {
        account_id: read_id(&row.account_id)?,
        is_deleted: row.deleted_at.is_some(),
        row: row.owner,
    })
}
