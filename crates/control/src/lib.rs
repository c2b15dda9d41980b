//! Control plane: one function per operation. Each checks permission, makes its change and audit event in
//! one store call, and answers only when every verifier follows the change.
//!
//! Deliberately absent: HTTP (handlers convert), SQL (the store's), and the decision on requests (the
//! verifier's). [`Control`] is cheap to clone.

mod accounts;
mod activity;
mod activity_file;
mod audit;
mod confirm;
mod cursor;
mod email_change;
mod error;
mod event;
mod hints;
mod idempotency;
mod keys;
mod links;
mod news;
mod notifications;
mod outcome;
mod password;
mod password_change;
mod password_hash;
mod plans;
mod prefix;
mod principal;
mod refusals;
mod relabel;
mod replay;
mod rotation;
mod sessions;
mod settings;
mod sign_in;
mod throttle;
mod tokens;
mod usage;
mod usage_report;

use std::future::Future;
use std::sync::Arc;

use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::{Clock, Timestamp};
use rndrkit_store::{Change, Store};

pub use accounts::{AccountPatch, AccountView, ChangedAccount, NewAccountInput};
pub use activity::{
    Activity, ActivityChoices, ActivityKind, ActivityNames, ActivityPage, ActivityQuery, Person,
};
pub use activity_file::{ActivityFile, MAX_FILE_EVENTS};
pub use confirm::{BoxFuture, Confirm, ConfirmError, Confirmation};
pub use cursor::{Cursor, Page, PageQuery};
pub use email_change::WaitingEmail;
pub use error::{Error, InvalidField};
pub use hints::Hints;
pub use idempotency::IdempotencyRequest;
pub use keys::{KeyLabel, KeyOverview, Receipt};
pub use links::{LinkInput, LinkView, NewLink};
pub use notifications::NotificationSettings;
pub use principal::{Context, Principal};
pub use relabel::KeyPatch;
pub use replay::Unfinished;
pub use rndrkit_store::ChainedEvent;
pub use rotation::{EndedPrevious, RotateInput, RotatedKey, RotationUse};
pub use sessions::{EndedSession, OpenedSession, SessionView, SignedInBrowser};
pub use settings::{Billing, ControlSettings, SignUpPolicy};
pub use sign_in::SignUpInput;
pub use usage::UsageQuery;
pub use usage_report::{UsageOf, UsageRange, UsageReport, UsageRows, UsageSeries};

/// A thing just made, with the secret that its answer shows once.
#[derive(Debug)]
pub struct Created<T> {
    /// The thing.
    pub value: T,
    /// Its secret; none when an `Idempotency-Key` repeats a call whose answer was already given.
    pub secret: Option<rndrkit_domain::key_text::Secret>,
}

/// The control plane of one installation.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ControlSettings,
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    confirm: Arc<dyn Confirm>,
    hasher: password::Hasher,
    throttle: throttle::Throttle,
    running_creates: idempotency::Running,
    introduction: prefix::Introduction,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// Puts the parts together. Must be called inside a tokio runtime; reads nothing yet.
    pub fn new(
        settings: ControlSettings,
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        confirm: Arc<dyn Confirm>,
    ) -> Result<Self, Error> {
        let hasher = password::Hasher::new(&*entropy)?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                store,
                clock,
                entropy,
                confirm,
                hasher,
                throttle: throttle::Throttle::default(),
                running_creates: idempotency::Running::default(),
                introduction: prefix::Introduction::default(),
            }),
        })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &ControlSettings {
        &self.inner.settings
    }

    /// The wall clock, so that all answers of a request agree on what has expired.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// Time and randomness of one write.
    fn change(&self, at: Timestamp) -> Change {
        Change::new(at, self.entropy())
    }

    /// Runs a change to its end even when whoever asked goes away: once it is committed, the verifiers
    /// must follow, or a revoked key would live on in a cache.
    async fn to_the_end<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(cause) => Err(Error::internal(cause)),
        }
    }

    /// Waits until every verifier follows the feed up to `number`: for all that narrows what a key, an account
    /// or a token may, for what another node would otherwise call unknown, and for every repeat of these.
    async fn confirm(&self, number: rndrkit_domain::feed::FeedNumber) -> Result<Confirmation, Error> {
        Ok(self.inner.confirm.confirm(number).await?)
    }

    /// Tells the verifiers of a change that nobody has to wait for.
    fn wake(&self) {
        self.inner.confirm.wake();
    }
}
