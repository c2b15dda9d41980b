//! Revoking a key, with all its secrets.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::{ApiKey, RevokedReason};
use rndrkit_domain::key_text::Digest;
use sea_orm::FromQueryResult;

use crate::audit;
use crate::change::{Change, Committed};
use crate::error::Error;
use crate::feed::{self, News};
use crate::key_owner::{self, Revision};
use crate::keys::{KeyRow, key_columns};
use crate::open::Store;
use crate::sql::Transaction;
use crate::value::{read_digest, text, time};

#[derive(FromQueryResult)]
pub(crate) struct DigestRow {
    pub(crate) digest: Vec<u8>,
}

impl Store {
    /// Revokes a key. Repeating it changes nothing and answers with the first time and reason. With
    /// `only_account`, a key of another account is not found.
    pub async fn revoke_key(
        &self,
        id: KeyId,
        reason: RevokedReason,
        only_account: Option<AccountId>,
        change: Change,
        event: NewEvent,
    ) -> Result<Committed<ApiKey>, Error> {
        let tx = self.begin().await?;
        let account_id = key_owner::lock(&tx, id, only_account, Revision::Rises).await?.account_id;
        let before = read_key(&tx, id).await?;
        if before.revoked_at.is_some() {
            let number = before.state_number;
            tx.rollback().await?;
            return Ok(Committed::unchanged(before.into_key()?, number));
        }
        tx.execute(
            "UPDATE api_keys SET revoked_at = $2, revoked_reason = $3 WHERE id = $1",
            [text(id), time(change.at), text(reason.as_str())],
        )
        .await?;
        let digests = digests_of(&tx, id).await?;
        // Whoever asked may not know whose key it is; the account's own trail must show it all the same.
        let event = NewEvent { account_id: Some(account_id), ..event };
        audit::append(&tx, &change, &[event]).await?;
        let news = News::of_key(FeedKind::KeyRevoked, account_id, id, digests);
        let number = feed::publish(&tx, &change, news).await?;
        tx.commit().await?;
        let key = ApiKey { revoked: Some((change.at, reason)), ..before.into_key()? };
        Ok(Committed::done(key, number))
    }
}

pub(crate) async fn read_key(tx: &Transaction, id: KeyId) -> Result<KeyRow, Error> {
    tx.one(concat!("SELECT ", key_columns!(), " FROM api_keys AS k WHERE k.id = $1"), [text(id)]).await
}

pub(crate) async fn digests_of(tx: &Transaction, id: KeyId) -> Result<Vec<Digest>, Error> {
    let rows: Vec<DigestRow> = tx
        .all("SELECT digest FROM key_secrets WHERE key_id = $1 ORDER BY created_at, digest", [text(id)])
        .await?;
    rows.iter().map(|row| read_digest(&row.digest)).collect()
}
