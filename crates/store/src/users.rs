//! People who sign in.

use rndrkit_domain::account::User;
use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::text::Email;
use sea_orm::FromQueryResult;

use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::sql::{NumberRow, Transaction};
use crate::value::{read, read_id, read_time, text, time};

/// The most users of one account that are read.
const MAX_USERS: i64 = 1_000;

/// A user about to be made. `Debug` leaves the password's hash out.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Id.
    pub id: UserId,
    /// What they sign in with.
    pub email: Email,
    /// Hash of their password, with its parameters.
    pub password_hash: String,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("id", &self.id).field("email", &self.email).finish_non_exhaustive()
    }
}

#[derive(FromQueryResult)]
struct UserRow {
    id: String,
    account_id: String,
    email: String,
    created_at: i64,
}

impl UserRow {
    fn into_user(self) -> Result<User, Error> {
        Ok(User {
            id: read_id(&self.id)?,
            account_id: read_id(&self.account_id)?,
            email: read(Email::parse(&self.email), "a user's address")?,
            created_at: read_time(self.created_at),
        })
    }
}

#[derive(FromQueryResult)]
struct PasswordRow {
    password_hash: String,
}

#[derive(FromQueryResult)]
struct SigningIn {
    #[sea_orm(nested)]
    user: UserRow,
    #[sea_orm(nested)]
    password: PasswordRow,
}

pub(crate) async fn insert(
    tx: &Transaction,
    account_id: AccountId,
    new: &NewUser,
    change: &Change,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO users (id, account_id, email, password_hash, created_at) VALUES ($1, $2, $3, $4, $5)",
        [text(new.id), text(account_id), text(&new.email), text(&new.password_hash), time(change.at)],
    )
    .await?;
    // Once somebody has joined, nobody can be the first any more, however they came in.
    tx.execute("DELETE FROM links WHERE kind = 'first_account'", []).await?;
    Ok(())
}

pub(crate) async fn find(tx: &Transaction, id: UserId) -> Result<Option<User>, Error> {
    let row: Option<UserRow> =
        tx.optional("SELECT id, account_id, email, created_at FROM users WHERE id = $1", [text(id)]).await?;
    row.map(UserRow::into_user).transpose()
}

impl Store {
    /// Whether anybody can sign in.
    pub async fn has_users(&self) -> Result<bool, Error> {
        let row: Option<NumberRow> =
            self.reader().optional("SELECT created_at AS value FROM users LIMIT 1", []).await?;
        Ok(row.is_some())
    }

    /// Whoever signs in with this address, and the hash of their password.
    pub async fn find_user_by_email(&self, email: &Email) -> Result<Option<(User, String)>, Error> {
        let row: Option<SigningIn> = self
            .reader()
            .optional(
                "SELECT id, account_id, email, created_at, password_hash FROM users WHERE email = $1",
                [text(email)],
            )
            .await?;
        row.map(|row| Ok((row.user.into_user()?, row.password.password_hash))).transpose()
    }

    /// An account's users, oldest first.
    pub async fn list_users(&self, account_id: AccountId) -> Result<Vec<User>, Error> {
        let rows: Vec<UserRow> = self
            .reader()
            .all(
                "SELECT id, account_id, email, created_at FROM users WHERE account_id = $1
                 ORDER BY created_at, id LIMIT $2",
                [text(account_id), MAX_USERS.into()],
            )
            .await?;
        rows.into_iter().map(UserRow::into_user).collect()
    }
}
