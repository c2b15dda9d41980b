//! What a verifier holds, for simulations in other crates. Behind the feature `inspect`; nothing that ships
//! uses it, and nothing is decided by it.

use std::sync::Arc;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::time::{Monotonic, Timestamp};

use crate::entry::{Held, KeyEntry};
use crate::verifier::Verifier;

/// A secret that is held and not yet outdated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldKey {
    /// The secret.
    pub digest: Digest,
    /// The key and its account; `None` = the secret is remembered as unknown.
    pub owner: Option<(KeyId, AccountId)>,
    /// Whether it is remembered as revoked.
    pub revoked: bool,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// Whether its account's state is the one among the accounts held. Always true of an owned one.
    pub has_the_one_account: bool,
}

/// An account's one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAccount {
    /// Which.
    pub id: AccountId,
    /// Revision of the facts, unless they are to be read again whatever their revision.
    pub revision: i64,
    /// Plan.
    pub plan: PlanId,
    /// Status.
    pub status: AccountStatus,
    /// Whether the plan lets keys through.
    pub api_access: bool,
    /// The budget's limit.
    pub rate_limit: RateLimit,
    /// Raised when the facts are to be read again: what is held of a lower generation is dead.
    pub generation: u64,
    /// What is held of a shared budget: requests, and when they lapse by this node's clock.
    pub slices: Vec<(u32, Monotonic)>,
}

impl Verifier {
    /// All secrets that a decision could be made from now without a look-up, trust aside.
    pub fn held_keys(&self) -> Vec<HeldKey> {
        let good =
            self.good().entries().into_iter().map(|(digest, entry)| (digest, Held::Good(Arc::new(entry))));
        let now = self.clock().monotonic();
        let refused = self.refused().iter().filter(|(_, refused)| now < refused.until);
        let refused = refused.map(|(digest, refused)| (digest, refused.held));
        good.chain(refused).filter_map(|(digest, held)| self.held_key(digest, &held)).collect()
    }

    fn held_key(&self, digest: Digest, held: &Held) -> Option<HeldKey> {
        let entry: &Arc<KeyEntry> = match held {
            Held::Good(entry) | Held::Revoked(entry) => entry,
            Held::Unknown => {
                let (revoked, ends_at) = (false, None);
                return Some(HeldKey { digest, owner: None, revoked, ends_at, has_the_one_account: true });
            }
        };
        let position = self.position().lock();
        let state = position.accounts.get(&entry.account.id);
        entry.is_current().then(|| HeldKey {
            digest,
            owner: Some((entry.key_id, entry.account.id)),
            revoked: matches!(held, Held::Revoked(_)),
            ends_at: entry.ends_at(),
            has_the_one_account: state.is_some_and(|state| Arc::ptr_eq(state, &entry.account)),
        })
    }

    /// All accounts held.
    pub fn held_accounts(&self) -> Vec<HeldAccount> {
        let position = self.position().lock();
        let held = |account: &Arc<crate::account::AccountState>| {
            let view = account.view();
            HeldAccount {
                id: account.id,
                revision: view.revision(),
                plan: view.plan.clone(),
                status: view.status,
                api_access: view.api_access,
                rate_limit: view.limit(),
                generation: account.generation(),
                slices: account.share().map(crate::slices::share::Share::held).unwrap_or_default(),
            }
        };
        position.accounts.iter().map(held).collect()
    }
}
