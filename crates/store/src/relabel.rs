//! Changing what a key is called and where it is used.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::text::{Environment, Name};

use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::key_owner::{self, Revision};
use crate::open::Store;
use crate::revoke::read_key;
use crate::value::{optional_text, text};

/// Changes to the words of a key; none = stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyUpdate {
    /// What its owner calls it.
    pub name: Option<Name>,
    /// Where its owner uses it; `Some(None)` removes the label.
    pub environment: Option<Option<Environment>>,
}

impl Store {
    /// Changes the words of a key. `event` reports the difference between before and after; nothing is written,
    /// and `event` is not asked, when there is none. With `only_account`, a key of another account is not found.
    ///
    /// The feed hears nothing of it: no decision, and no answer to one, knows these words.
    pub async fn update_key(
        &self,
        id: KeyId,
        update: KeyUpdate,
        only_account: Option<AccountId>,
        change: Change,
        event: impl FnOnce(&ApiKey, &ApiKey) -> NewEvent + Send,
    ) -> Result<Committed<ApiKey>, Error> {
        let tx = self.begin().await?;
        let owner = key_owner::lock(&tx, id, only_account, Revision::Stays).await?;
        if owner.is_deleted {
            return Err(Error::NotFound);
        }
        let account_id = owner.account_id;
        let row = read_key(&tx, id).await?;
        let number = row.state_number;
        let before = row.into_key()?;
        let after = ApiKey {
            name: update.name.unwrap_or_else(|| before.name.clone()),
            environment: update.environment.unwrap_or_else(|| before.environment.clone()),
            ..before.clone()
        };
        if after == before {
            tx.rollback().await?;
            return Ok(Committed::unchanged(before, number));
        }
        tx.execute(
            "UPDATE api_keys SET name = $2, environment = $3 WHERE id = $1",
            [text(id), text(&after.name), optional_text(after.environment.as_ref())],
        )
        .await?;
        // Whoever asked may not know whose key it is; the account's own trail must show it all the same.
        let event = NewEvent { account_id: Some(account_id), ..event(&before, &after) };
        audit::append(&tx, &change, &[event]).await?;
        tx.commit().await?;
        Ok(Committed::done(after, number))
    }
}
