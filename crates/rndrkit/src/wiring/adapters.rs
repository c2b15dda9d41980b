//! The verifier's traits over the store: where the two halves of the product meet. Conversions only.

use std::future::Future;
use std::sync::Arc;

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedNumber};
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::observation::{Refusal, Sighting};
use rndrkit_domain::time::Clock;
use rndrkit_domain::usage::{LastUse, UsageDelta};
use rndrkit_store::{BudgetDraw, BudgetGrant, Store};
use rndrkit_verifier::{
    AccountFacts, BoxFuture, BudgetAuthority, ChangeFeed, Draw, Grant, KeyFacts, KeySource, Loaded,
    LoadedTokens, ObservationSink, SourceError, TokenFacts, UsageSink,
};

use super::control_runtime::ControlRuntime;

/// The store, as the verifier sees it.
#[derive(Clone)]
pub(super) struct StoreSource {
    store: Store,
    clock: Arc<dyn Clock>,
    control: ControlRuntime,
}

impl StoreSource {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>, control: ControlRuntime) -> Self {
        Self { store, clock, control }
    }

    /// Reads where the database's connections live: requests ask from a worker's thread.
    async fn read<T, W>(&self, work: impl FnOnce(Store) -> W) -> Result<T, SourceError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, rndrkit_store::Error>> + Send + 'static,
    {
        self.control.run(work(self.store.clone())).await.map_err(SourceError::new)?.map_err(source_error)
    }
}

/// The error's type promises that it holds no secret: the store never puts bound values into errors.
pub(super) fn source_error(error: rndrkit_store::Error) -> SourceError {
    SourceError::new(error)
}

impl KeySource for StoreSource {
    fn load(&self, digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        Box::pin(async move {
            let loaded = self.read(|store| async move { store.load_key(digest).await }).await?;
            Ok(Loaded { head: loaded.head, found: loaded.found.map(key_facts) })
        })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let loaded = self.read(|store| async move { store.load_tokens(now).await }).await?;
            let tokens = loaded
                .tokens
                .into_iter()
                .map(|(digest, token)| TokenFacts {
                    digest,
                    id: token.id,
                    name: token.name,
                    scope: token.scope,
                    expires_at: token.expires_at,
                })
                .collect();
            Ok(LoadedTokens { head: loaded.head, tokens })
        })
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(async move { self.store.list_prefixes().await.map_err(source_error) })
    }
}

fn key_facts(stored: rndrkit_store::KeyFacts) -> KeyFacts {
    KeyFacts {
        key_id: stored.key_id,
        expires_at: stored.expires_at,
        ends_at: stored.ends_at,
        revoked: stored.revoked,
        account: AccountFacts {
            id: stored.account_id,
            external_id: stored.external_id,
            status: stored.status,
            api_access: stored.api_access,
            rate_limit: stored.rate_limit,
            plan: stored.plan,
            revision: stored.revision,
        },
    }
}

impl ChangeFeed for StoreSource {
    fn head(&self) -> BoxFuture<'_, Result<FeedHead, SourceError>> {
        Box::pin(async move { self.store.feed_head().await.map_err(source_error) })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        Box::pin(async move { self.store.feed_entries(from, limit).await.map_err(source_error) })
    }
}

impl UsageSink for StoreSource {
    fn record<'a>(
        &'a self,
        deltas: &'a [UsageDelta],
        last_uses: &'a [LastUse],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { self.store.record_usage(deltas, last_uses).await.map_err(source_error) })
    }
}

impl ObservationSink for StoreSource {
    fn record_observations<'a>(
        &'a self,
        sightings: &'a [Sighting],
        refusals: &'a [Refusal],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(
            async move { self.store.record_observations(sightings, refusals).await.map_err(source_error) },
        )
    }
}

impl BudgetAuthority for StoreSource {
    fn draw<'a>(&'a self, draws: &'a [Draw]) -> BoxFuture<'a, Result<Vec<Grant>, SourceError>> {
        Box::pin(async move {
            let draws: Vec<BudgetDraw> = draws.iter().map(budget_draw).collect();
            let grants = self.store.draw_budgets(&draws).await.map_err(source_error)?;
            Ok(grants.into_iter().map(grant).collect())
        })
    }
}

const fn budget_draw(draw: &Draw) -> BudgetDraw {
    let Draw { account, want, at_least, rate_micros, burst_micros, revision } = *draw;
    BudgetDraw { account, want, at_least, rate_micros, burst_micros, revision }
}

const fn grant(stored: BudgetGrant) -> Grant {
    match stored {
        BudgetGrant::Drawn { granted, left_micros } => Grant::Drawn { granted, left_micros },
        BudgetGrant::Stale => Grant::Stale,
    }
}
