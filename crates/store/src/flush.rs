//! Telling every node that anything may have changed: after changes by hand, which no node hears of.

use rndrkit_domain::feed::{FeedKind, FeedNumber};

use crate::change::Change;
use crate::error::Error;
use crate::feed::{self, News};
use crate::open::Store;

impl Store {
    /// Publishes an entry at which every node drops what it holds and reads it again. The number that a node
    /// must have applied to have done so.
    pub async fn publish_anything(&self, change: Change) -> Result<FeedNumber, Error> {
        let tx = self.begin().await?;
        let number = feed::publish(&tx, &change, News::of_set(FeedKind::ANYTHING)).await?;
        tx.commit().await?;
        Ok(number)
    }
}
