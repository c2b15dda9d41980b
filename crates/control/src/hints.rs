//! What deserves a look about an account and its keys: the facts behind the domain's rules, read beside the list.
//!
//! A fact that cannot be read now is left out, and never keeps the keys from being shown.

use rndrkit_domain::account::{Account, AccountStatus};
use rndrkit_domain::hint::{self, KeyFacts, KeyHint, LimitFacts, LimitHint};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::plan::Plan;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_store::{Error as StoreError, MinutePeak};

use crate::{Context, Control, Error, KeyOverview};

/// Hints about an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// About its use of the limit.
    pub limit: Option<LimitHint>,
    /// About active keys, in the order of the list: of each the most urgent one.
    pub keys: Vec<(KeyId, KeyHint)>,
    /// Whether all facts could be read. Without some there may be hints that are not here.
    pub complete: bool,
}

impl Hints {
    /// The hint about a key.
    #[must_use]
    pub fn of_key(&self, id: KeyId) -> Option<KeyHint> {
        self.keys.iter().find(|(key, _)| *key == id).map(|(_, hint)| *hint)
    }
}

/// The most networks of each key within an hour; keys that are not named have few.
type Networks = Vec<(KeyId, usize)>;

impl Control {
    /// What the dashboard's list of keys shows, with what deserves a look.
    pub async fn key_overview_with_hints(
        &self,
        context: &Context,
        account: &Account,
    ) -> Result<(KeyOverview, Hints), Error> {
        context.require_operator_or_user(account.id, Scope::Read)?;
        let now = self.now();
        let limit_since = now.minus(hint::LIMIT_LOOKED_BACK);
        let (overview, networks, peak) = tokio::join!(
            self.key_overview(context, account),
            self.networks(account.id, now),
            self.store().minute_peak(account.id, limit_since),
        );
        let overview = overview?;
        let hints = self.hints(account, &overview, networks, peak, now).await;
        Ok((overview, hints))
    }

    async fn hints(
        &self,
        account: &Account,
        overview: &KeyOverview,
        networks: Result<Networks, StoreError>,
        peak: Result<MinutePeak, StoreError>,
        now: Timestamp,
    ) -> Hints {
        // Keys that answer 403 are not used because they cannot be, and the page says so already.
        let in_use = overview.plan.api_access && account.status == AccountStatus::Active;
        if !in_use || overview.active.is_empty() {
            return Hints { complete: true, ..Hints::default() };
        }
        let (networks, peak) = (known("networks", networks), known("minutes of use", peak));
        let complete = networks.is_some() && peak.is_some();
        let of_key = |key: &rndrkit_domain::key::ApiKey| {
            let networks = networks.as_ref().map(|all| all.iter().find(|(id, _)| *id == key.id));
            let facts = KeyFacts {
                last_used_at: key.last_used_at,
                secret_created_at: key.secret_created_at,
                networks: networks.map(|found| found.map_or(0, |(_, networks)| *networks)),
            };
            let first = hint::of_key(&facts, self.settings().rotate_after, now).into_iter().next();
            first.map(|hint| (key.id, hint))
        };
        let limit = match peak {
            Some(peak) => self.limit_hint(&overview.plan, peak).await,
            None => None,
        };
        Hints { limit, keys: overview.active.iter().filter_map(of_key).collect(), complete }
    }

    async fn limit_hint(&self, plan: &Plan, peak: MinutePeak) -> Option<LimitHint> {
        let facts = LimitFacts {
            per_minute: plan.rate_limit.per_minute.get(),
            busiest_minute: peak.allowed,
            limited: peak.limited,
            can_grow: false,
        };
        hint::of_limit(&facts)?;
        // Only now, because it is rare: is there more to be had?
        let plans = self.list_plans().await.unwrap_or_default();
        let is_bigger =
            |other: &Plan| other.api_access && other.rate_limit.per_minute > plan.rate_limit.per_minute;
        hint::of_limit(&LimitFacts { can_grow: plans.iter().any(is_bigger), ..facts })
    }

    /// Most accounts have no key that was used from many networks in a whole day; only for others the hours matter.
    async fn networks(&self, account_id: AccountId, now: Timestamp) -> Result<Networks, StoreError> {
        let since = now.minus(hint::NETWORKS_LOOKED_BACK);
        let usual = hint::USUAL_NETWORKS as u64;
        let mut most = Networks::new();
        for id in self.store().list_keys_beyond_networks(account_id, since, usual).await? {
            let seen = self.store().list_networks(id, since).await?;
            let networks = seen.iter().map(|(slot, network)| (*slot, network.as_str()));
            most.push((id, hint::most_networks(networks)));
        }
        Ok(most)
    }
}

fn known<T>(what: &str, read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(%error, "hints go without {what}")).ok()
}
