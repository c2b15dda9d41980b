//! Whom an account's mail goes to.

use rndrkit_domain::id::{AccountId, UserId};
use rndrkit_domain::text::Email;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::error::Error;
use crate::open::Store;
use crate::sql::Sql;
use crate::value::{read, read_id, text};

/// The most people of one account that are told: those who joined first. More than that is a mailing list's work.
pub(crate) const RECIPIENTS_MAX: i64 = 50;

#[derive(FromQueryResult)]
struct RecipientRow {
    id: Option<String>,
    email: String,
}

/// The people of an account; its own address while nobody has joined it.
pub(crate) async fn list<C: ConnectionTrait>(
    sql: &Sql<C>,
    account_id: AccountId,
) -> Result<Vec<(Option<UserId>, Email)>, Error> {
    let mut rows: Vec<RecipientRow> = sql
        .all(
            "SELECT id, email FROM users WHERE account_id = $1 ORDER BY created_at, id LIMIT $2",
            [text(account_id), RECIPIENTS_MAX.into()],
        )
        .await?;
    if rows.is_empty() {
        let own = "SELECT NULL AS id, email FROM accounts WHERE id = $1 AND email IS NOT NULL";
        rows = sql.all(own, [text(account_id)]).await?;
    }
    rows.into_iter()
        .map(|row| {
            let user_id = row.id.as_deref().map(read_id).transpose()?;
            Ok((user_id, read(Email::parse(&row.email), "an address to mail to")?))
        })
        .collect()
}

impl Store {
    /// Whom an account's mail goes to, in the order in which they joined; nobody when there is no such account.
    pub async fn list_recipients(&self, account_id: AccountId) -> Result<Vec<Email>, Error> {
        Ok(list(self.reader(), account_id).await?.into_iter().map(|(_, email)| email).collect())
    }
}
