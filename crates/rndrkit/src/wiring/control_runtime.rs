//! Where the control plane runs: what a data-plane worker asks of it is done there, and awaited here.
//!
//! A worker's thread is for requests. Password hashing would hold all of them up, and a connection to the
//! database that was opened in a worker's runtime would end with it.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

/// The control plane's runtime.
#[derive(Debug, Clone)]
pub(super) struct ControlRuntime(Handle);

impl ControlRuntime {
    /// The runtime that this is called in.
    pub(super) fn here() -> Self {
        Self(Handle::current())
    }

    /// Does work there. Whoever stops waiting ends it; an error means that it panicked, or that the process ends.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, WorkLost> {
        // The set ends its task when it is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, &self.0);
        match tasks.join_next().await {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(WorkLost(Some(error))),
            None => Err(WorkLost(None)),
        }
    }
}

/// Work did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("work for the data plane did not come to its end")]
pub(super) struct WorkLost(#[source] Option<JoinError>);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_is_done_there_and_ends_with_whoever_waits_for_it() {
        let control = ControlRuntime::here();
        assert_eq!(control.run(async { 7 }).await.unwrap(), 7);
        let (held, released) = oneshot::channel::<()>();
        let endless = control.run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), endless).await.is_err());
        assert!(released.await.is_err());
    }

    #[tokio::test]
    async fn a_panic_there_is_an_error_here() {
        let control = ControlRuntime::here();
        assert!(control.run(async { panic!("the test says so") }).await.is_err());
    }
}
