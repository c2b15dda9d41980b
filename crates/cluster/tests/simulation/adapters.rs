//! The traits of the code that ships, over one process's wire.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_cluster::line::{Line, Registry};
use rndrkit_domain::feed::{FeedEntry, FeedNumber};
use rndrkit_domain::key_text::{Digest, KeyPrefix};
use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, Registration, Roster};
use rndrkit_domain::time::Clock as _;
use rndrkit_verifier::{
    BoxFuture, BudgetAuthority, Draw, Grant, KeySource, Loaded, LoadedTokens, SourceError,
};
use tokio::time::{sleep, timeout};

use crate::planted::Planted;
use crate::wire::{Topic, Wire};

/// How long a statement on the line may take: as long as a beat of these worlds.
const LINE_DEADLINE: Duration = Duration::from_millis(700);
/// Look-ups and the list of nodes, which go over the pool.
const POOL_DEADLINE: Duration = Duration::from_secs(1);

/// One process's access to the database.
pub(crate) struct Access(pub(crate) Arc<Wire>);

impl Line for Access {
    fn register(&self, registration: Registration) -> BoxFuture<'_, Result<BeatAnswer, SourceError>> {
        let wire = &self.0;
        let shared = Arc::clone(&wire.shared);
        if shared.planted == Planted::HeadBeforeRegistration {
            let late = wire.ask(POOL_DEADLINE * 3, {
                let shared = Arc::clone(&shared);
                move |server| {
                    server.state.register(registration, shared.database_clock.now());
                    Ok(())
                }
            });
            let delay = wire.random.between(Duration::ZERO, Duration::from_secs(4));
            tokio::spawn(async move {
                sleep(delay).await;
                late.await
            });
            return Box::pin(
                wire.ask(LINE_DEADLINE, move |server| Ok(server.state.answer(shared.database_clock.now()))),
            );
        }
        Box::pin(wire.ask(LINE_DEADLINE, move |server| {
            let now = shared.database_clock.now();
            server.state.register(registration, now);
            Ok(server.state.answer(now))
        }))
    }

    fn beat(&self, beat: Beat) -> BoxFuture<'_, Result<Option<BeatAnswer>, SourceError>> {
        let shared = Arc::clone(&self.0.shared);
        Box::pin(async move {
            let asked = Arc::clone(&shared);
            let answer = self
                .0
                .ask(LINE_DEADLINE, move |server| {
                    let now = asked.database_clock.now();
                    let is_known = server.state.beat(&beat, now);
                    // A row that came too late is a planted fault, which looks healthy from here.
                    let is_late = asked.planted == Planted::HeadBeforeRegistration
                        && !server.state.nodes.contains_key(&beat.incarnation);
                    Ok((is_known || is_late).then(|| server.state.answer(now)))
                })
                .await;
            if beat.wakes {
                shared.notify(Topic::Confirmed);
            }
            answer
        })
    }

    fn entries(&self, from: FeedNumber, limit: u32) -> BoxFuture<'_, Result<Vec<FeedEntry>, SourceError>> {
        // Small batches, so that catching up takes several.
        let read = self.0.ask(LINE_DEADLINE, move |server| Ok(server.state.entries(from, limit.min(4))));
        Box::pin(async move {
            match timeout(LINE_DEADLINE, self.0.hold_entries.pass()).await {
                Ok(()) => read.await,
                Err(_) => Err(SourceError::new("stuck")),
            }
        })
    }

    fn reap(&self, node: Incarnation, beat: BeatMark) -> BoxFuture<'_, Result<bool, SourceError>> {
        let compares = self.0.shared.planted != Planted::ReapWithoutComparing;
        let reap = self.0.ask(LINE_DEADLINE, move |server| {
            let present = server.state.nodes.get(&node).map(|row| row.beat);
            let beat = if compares { beat } else { present.unwrap_or(beat) };
            Ok(server.state.reap(node, beat))
        });
        Box::pin(async move {
            self.0.hold_reaps.pass().await;
            reap.await
        })
    }

    fn leave(&self, node: Incarnation) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(self.0.ask(LINE_DEADLINE, move |server| {
            server.state.nodes.remove(&node);
            Ok(())
        }))
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.listener.news.notified())
    }
}

impl Registry for Access {
    fn roster(&self) -> BoxFuture<'_, Result<Roster, SourceError>> {
        let shared = Arc::clone(&self.0.shared);
        Box::pin(self.0.ask(POOL_DEADLINE, move |server| {
            let mut roster = server.state.roster();
            if shared.planted == Planted::LeaseByDatabaseClock {
                let now = shared.database_clock.now();
                let lease = roster.longest_trust();
                roster.nodes.retain(|row| now.since(row.seen_at) < lease);
            }
            Ok(roster)
        }))
    }

    fn confirmed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.listener.confirmed.notified())
    }
}

impl KeySource for Access {
    fn load(&self, digest: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
        let wire = &self.0;
        let stale = wire.shared.stormy && wire.random.once_in(20);
        let read = wire.ask(POOL_DEADLINE * 2, move |server| {
            // A standby that does not know the secret yet would call it invalid: such reads are not offered.
            let standby = server.standby.as_deref().filter(|_| stale);
            let standby = standby.filter(|standby| standby.now.by_digest.contains_key(&digest));
            Ok(standby.unwrap_or(&server.state).load(&digest))
        });
        Box::pin(async move {
            let mut loaded = read.await?;
            wire.hold_loads.pass().await;
            if wire.shared.planted == Planted::HeadAfterData {
                loaded.head = wire.ask(POOL_DEADLINE, |server| Ok(server.state.head().number)).await?;
            }
            Ok(loaded)
        })
    }

    fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
        Box::pin(self.0.ask(POOL_DEADLINE, |server| {
            Ok(LoadedTokens { head: server.state.head().number, tokens: Vec::new() })
        }))
    }

    fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
        Box::pin(self.0.ask(POOL_DEADLINE, |server| Ok(server.state.prefixes.clone())))
    }
}

impl BudgetAuthority for Access {
    fn draw<'a>(&'a self, draws: &'a [Draw]) -> BoxFuture<'a, Result<Vec<Grant>, SourceError>> {
        let (asked, shared) = (draws.to_vec(), Arc::clone(&self.0.shared));
        let sent = self.0.clock.monotonic();
        Box::pin(async move {
            let grants = self
                .0
                .ask(POOL_DEADLINE, move |server| {
                    let now = shared.database_clock.now();
                    Ok(server.state.draw(&asked, now))
                })
                .await;
            if grants.is_err() && self.0.shared.planted == Planted::RefundsRetried {
                for _ in 0..2 {
                    let asked = draws.to_vec();
                    let refund = self.0.ask(POOL_DEADLINE / 4, move |server| {
                        server.state.refund(&asked);
                        Ok(())
                    });
                    tokio::spawn(refund);
                }
            }
            let grants = grants?;
            let mut ledger = self.0.drawn.lock();
            for (draw, grant) in draws.iter().zip(&grants) {
                if let Grant::Drawn { granted, .. } = grant {
                    ledger.entry(draw.account).or_default().push_back((sent, *granted));
                }
            }
            drop(ledger);
            Ok(grants)
        })
    }
}

/// Whether a process is cut off.
pub(crate) fn set_cut(wire: &Wire, cut: bool) {
    wire.listener.cut.store(cut, Ordering::Relaxed);
}
