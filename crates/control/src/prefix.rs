//! The prefix of new keys: it is stored, and keys with one that is new wait until every node reads it.

use std::sync::{Mutex, OnceLock, PoisonError};

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::time::Timestamp;
use tokio::sync::OnceCell;

use crate::{Control, Error};

/// The change that brought the prefix of new keys, until every node follows it.
#[derive(Debug, Default)]
pub(crate) struct Introduction {
    number: OnceLock<FeedNumber>,
    is_followed: OnceCell<()>,
    /// Since when the prefix was stored that every node knows; none before the first key.
    since: Mutex<Option<Timestamp>>,
}

impl Introduction {
    /// Whether what is stored is what every node knows, if that was ever looked at.
    fn holds(&self, stored: Timestamp) -> bool {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stored) == stored
    }

    fn know(&self, stored: Option<Timestamp>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = stored;
    }
}

impl Control {
    /// The prefix of new keys came with this change, and there were others before it: no key is made until every
    /// node knows it. A node that does not would call the new key invalid, which is no answer to a good key. (One
    /// that knows no prefix at all answers "unavailable", so the first one needs none of this.) At start only.
    pub fn introduce_prefix(&self, number: FeedNumber) {
        if self.inner.introduction.number.set(number).is_ok() {
            let control = self.clone();
            tokio::spawn(async move {
                if let Err(error) = control.prefix_is_followed().await {
                    tracing::warn!(%error, "whether every node knows the prefix of new keys is not known yet");
                }
            });
        }
    }

    /// Waits until every node knows the prefix of new keys. Once it does, for good.
    pub(crate) async fn prefix_is_followed(&self) -> Result<(), Error> {
        let introduction = &self.inner.introduction;
        let Some(number) = introduction.number.get() else { return Ok(()) };
        let follow = || async { self.confirm(*number).await.map(drop) };
        introduction.is_followed.get_or_try_init(follow).await.copied()
    }

    /// Makes sure that the prefix of new keys is stored and that every node knows it. A database that lost commits
    /// may have lost it, and a node that starts then reads what is stored: to it the new keys would be invalid.
    pub(crate) async fn prefix_is_stored(&self) -> Result<(), Error> {
        self.prefix_is_followed().await?;
        let introduction = &self.inner.introduction;
        let prefix = &self.settings().key_prefix;
        if self.store().prefix_since(prefix).await?.is_some_and(|stored| introduction.holds(stored)) {
            return Ok(());
        }
        // Also when another node has stored it again: that it did so does not say that every node knows.
        tracing::warn!(%prefix, "the database had lost the prefix of new keys; it is stored again");
        let change = self.change(self.now());
        let done = self.change_surely(|| self.store().ensure_prefix(prefix, change)).await?;
        let stored = self.store().prefix_since(prefix).await?;
        self.confirm(done.number).await?;
        introduction.know(stored);
        Ok(())
    }
}
