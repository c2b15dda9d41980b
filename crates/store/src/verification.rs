//! What a verifier needs to know about a secret, read in one statement: one snapshot, with the position of
//! the feed at that moment, so that a slow answer can be told from a current one.

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::text::ExternalId;
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;

use crate::accounts::{read_external_id, read_status};
use crate::error::Error;
use crate::open::Store;
use crate::plans::read_rate_limit;
use crate::value::{digest, read, read_id, read_optional_time};

/// Answer to one look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedKey {
    /// Newest change that the answer takes into account.
    pub head: FeedNumber,
    /// The key behind the secret; none when there is no such secret.
    pub found: Option<KeyFacts>,
}

/// A key with its account and plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key.
    pub key_id: KeyId,
    /// Its account.
    pub account_id: AccountId,
    /// The operator's own id for the account.
    pub external_id: Option<ExternalId>,
    /// The account's status.
    pub status: AccountStatus,
    /// The account's plan.
    pub plan: PlanId,
    /// Whether the plan includes API access.
    pub api_access: bool,
    /// The plan's budget.
    pub rate_limit: RateLimit,
    /// Rises with every change of the account, and of the plans.
    pub revision: i64,
    /// When the key ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When this secret ends (the old half of a rotation).
    pub ends_at: Option<Timestamp>,
    /// Whether somebody ended the key.
    pub revoked: bool,
}

#[derive(FromQueryResult)]
struct LoadRow {
    head: i64,
    key_id: Option<String>,
    ends_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct FactsRow {
    account_id: String,
    external_id: Option<String>,
    status: String,
    plan_id: String,
    api_access: i64,
    requests_per_minute: i64,
    burst: i64,
    revision: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl Store {
    /// Looks a secret up by its digest.
    pub async fn load_key(&self, secret: Digest) -> Result<LoadedKey, Error> {
        let row: LoadedRow = self
            .reader()
            .one(
                "SELECT h.number AS head, s.key_id, s.ends_at, k.account_id, k.expires_at, k.revoked_at,
                        a.external_id, a.status, a.plan_id, a.rev + r.revision AS revision,
                        p.api_access, p.requests_per_minute, p.burst
                 FROM feed_head AS h
                 LEFT JOIN key_secrets AS s ON s.digest = $1
                 LEFT JOIN api_keys AS k ON k.id = s.key_id
                 LEFT JOIN accounts AS a ON a.id = k.account_id
                 LEFT JOIN plans AS p ON p.id = a.plan_id
                 LEFT JOIN revisions AS r ON r.name = 'plans'",
                [digest(&secret)],
            )
            .await?;
        row.into_loaded()
    }
}

/// The outer join's row: a head always, a key perhaps.
struct LoadedRow {
    load: LoadRow,
    facts: Option<FactsRow>,
}

impl FromQueryResult for LoadedRow {
    fn from_query_result(row: &sea_orm::QueryResult, prefix: &str) -> Result<Self, sea_orm::DbErr> {
        let load = LoadRow::from_query_result(row, prefix)?;
        let facts = load.key_id.as_ref().map(|_| FactsRow::from_query_result(row, prefix)).transpose()?;
        Ok(Self { load, facts })
    }
}

impl LoadedRow {
    fn into_loaded(self) -> Result<LoadedKey, Error> {
        let LoadRow { head, key_id, ends_at } = self.load;
        let (Some(key_id), Some(facts)) = (key_id, self.facts) else {
            return Ok(LoadedKey { head, found: None });
        };
        let found = KeyFacts {
            key_id: read_id(&key_id)?,
            account_id: read_id(&facts.account_id)?,
            external_id: read_external_id(facts.external_id.as_deref())?,
            status: read_status(&facts.status)?,
            plan: read(PlanId::parse(&facts.plan_id), "a plan's id")?,
            api_access: facts.api_access != 0,
            rate_limit: read_rate_limit(facts.requests_per_minute, facts.burst)?,
            revision: facts.revision,
            expires_at: read_optional_time(facts.expires_at),
            ends_at: read_optional_time(ends_at),
            revoked: facts.revoked_at.is_some(),
        };
        Ok(LoadedKey { head, found: Some(found) })
    }
}
