//! Lists of an account's keys.

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult as _;

use crate::error::Error;
use crate::keys::{KeyRow, key_columns};
use crate::open::Store;
use crate::page::{Page, PageRequest};
use crate::value::{text, time};

/// The most keys that a list without pages gives. A plan may allow more; the operator API pages.
const MAX_LISTED_KEYS: u32 = 1_000;
/// Ids that one statement names: parameters by name are compared with all before them on SQLite.
const KEYS_PER_STATEMENT: usize = 100;

fn read_keys(rows: Vec<KeyRow>) -> Result<Vec<ApiKey>, Error> {
    rows.into_iter().map(KeyRow::into_key).collect()
}

impl Store {
    /// All keys of an account, whatever their status, newest first.
    pub async fn list_keys(&self, account_id: AccountId, page: PageRequest) -> Result<Page<ApiKey>, Error> {
        let [after_time, after_id] = page.position();
        let rows = self
            .reader()
            .all(
                concat!(
                    "SELECT ",
                    key_columns!(),
                    " FROM api_keys AS k WHERE k.account_id = $1
                        AND (k.created_at, k.id) < ($2, $3)
                      ORDER BY k.created_at DESC, k.id DESC LIMIT $4"
                ),
                [text(account_id), after_time, after_id, page.probe()],
            )
            .await?;
        Ok(Page::cut(read_keys(rows)?, page.limit))
    }

    /// Keys that are active at `now`, newest first, at most 1,000.
    pub async fn list_active_keys(
        &self,
        account_id: AccountId,
        now: Timestamp,
    ) -> Result<Vec<ApiKey>, Error> {
        let rows = self
            .reader()
            .all(
                concat!(
                    "SELECT ",
                    key_columns!(),
                    " FROM api_keys AS k WHERE k.account_id = $1 AND k.revoked_at IS NULL
                        AND (k.expires_at IS NULL OR k.expires_at > $2)
                      ORDER BY k.created_at DESC, k.id DESC LIMIT $3"
                ),
                [text(account_id), time(now), i64::from(MAX_LISTED_KEYS).into()],
            )
            .await?;
        read_keys(rows)
    }

    /// Those of these keys that are the account's, whatever their status, in no order.
    pub async fn find_keys(&self, account_id: AccountId, ids: &[KeyId]) -> Result<Vec<ApiKey>, Error> {
        let mut keys = Vec::with_capacity(ids.len());
        for ids in ids.chunks(KEYS_PER_STATEMENT) {
            let places: Vec<String> = (2..).take(ids.len()).map(|at| format!("${at}")).collect();
            let sql = format!(
                concat!(
                    "SELECT ",
                    key_columns!(),
                    " FROM api_keys AS k WHERE k.account_id = $1 AND k.id IN ({})"
                ),
                places.join(", ")
            );
            let values = [text(account_id)].into_iter().chain(ids.iter().map(text)).collect();
            let rows = self.reader().rows_built(sql, values).await?;
            let rows = rows.iter().map(|row| KeyRow::from_query_result(row, "").map_err(Error::from));
            keys.extend(read_keys(rows.collect::<Result<_, _>>()?)?);
        }
        Ok(keys)
    }

    /// Keys that were revoked or expired between `since` and `now`, newest end first.
    pub async fn list_past_keys(
        &self,
        account_id: AccountId,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ApiKey>, Error> {
        // A revoked key ended then, even if it would have expired since: that is the date people look for.
        let rows = self
            .reader()
            .all(
                concat!(
                    "SELECT ",
                    key_columns!(),
                    " FROM api_keys AS k WHERE k.account_id = $1
                        AND (k.revoked_at IS NOT NULL OR k.expires_at <= $3)
                        AND COALESCE(k.revoked_at, k.expires_at) >= $2
                      ORDER BY COALESCE(k.revoked_at, k.expires_at) DESC, k.id DESC LIMIT $4"
                ),
                [text(account_id), time(since), time(now), i64::from(limit.min(MAX_LISTED_KEYS)).into()],
            )
            .await?;
        read_keys(rows)
    }
}
