//! A new key prefix: keys with it wait until every node reads it.

use std::sync::OnceLock;

use rndrkit_domain::feed::FeedNumber;
use tokio::sync::OnceCell;

use crate::{Control, Error};

/// The change that brought the prefix of new keys, until every node follows it.
#[derive(Debug, Default)]
pub(crate) struct Introduction {
    number: OnceLock<FeedNumber>,
    is_followed: OnceCell<()>,
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
}
