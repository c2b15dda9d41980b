//! When the answer to a commit was lost: finding out what happened before anybody is told anything.
//!
//! Whatever is still not known after a while is said as such; it is then safe to repeat the call.

use std::future::Future;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;
use rndrkit_store::{Committed, Error as StoreError};
use tokio::time::{sleep, timeout};

use crate::{Control, Error};

/// How long it is tried to find out: as long as a person waits, and as a database's restart takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

impl Control {
    /// Makes a change that comes to the same when it is made twice: again, when nobody knows whether it happened.
    /// The second attempt takes the same lock first, and so comes after the first.
    pub(crate) async fn change_surely<T, F>(
        &self,
        attempt: impl Fn() -> F + Send,
    ) -> Result<Committed<T>, StoreError>
    where
        F: Future<Output = Result<Committed<T>, StoreError>> + Send,
    {
        let unknown = match attempt().await {
            Err(StoreError::OutcomeUnknown(cause)) => StoreError::OutcomeUnknown(cause),
            known => return known,
        };
        tracing::warn!(error = %unknown, "the answer to a change was lost; making it again");
        patiently(attempt).await.unwrap_or(Err(unknown))
    }

    /// What a create has made whose answer was lost, and a number that is not below its own. An error when it has
    /// made nothing, or when that cannot be found out.
    pub(crate) async fn find_made<T, F>(
        &self,
        unknown: StoreError,
        find: impl Fn() -> F + Send + Sync,
    ) -> Result<(T, FeedNumber), Error>
    where
        T: Send,
        F: Future<Output = Result<Option<T>, StoreError>> + Send,
    {
        tracing::warn!(error = %unknown, "the answer to a create was lost; looking whether it happened");
        let look = || async {
            let number = self.store().settle().await?;
            Ok((find().await?, number))
        };
        match patiently(look).await {
            Some(Ok((Some(made), number))) => Ok((made, number)),
            Some(Err(error)) => Err(error.into()),
            Some(Ok((None, _))) | None => Err(unknown.into()),
        }
    }
}

/// Tries until the database answers; none when it does not in time.
async fn patiently<T, F>(attempt: impl Fn() -> F + Send) -> Option<Result<T, StoreError>>
where
    F: Future<Output = Result<T, StoreError>> + Send,
{
    let answered = async {
        loop {
            sleep(PAUSE).await;
            match attempt().await {
                Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {}
                known => return known,
            }
        }
    };
    timeout(PATIENCE, answered).await.ok()
}
