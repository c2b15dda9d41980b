//! Waiting for this node's own verifier to follow a change. With one node, that is every node.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_control::{BoxFuture, Confirm, ConfirmError, Confirmation};
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::time::Clock;
use rndrkit_verifier::FollowerHandle;

/// How long a committed change may take to be applied here before its caller is told "unknown". While the
/// feed cannot be read the verifier trusts nothing, so the change binds all the same.
const DEADLINE: Duration = Duration::from_secs(10);

/// Waits for this node's follower.
pub(super) struct LocalConfirm {
    follower: FollowerHandle,
    clock: Arc<dyn Clock>,
}

impl LocalConfirm {
    pub(super) fn new(follower: FollowerHandle, clock: Arc<dyn Clock>) -> Self {
        Self { follower, clock }
    }
}

impl Confirm for LocalConfirm {
    fn confirm(&self, number: FeedNumber) -> BoxFuture<'_, Result<Confirmation, ConfirmError>> {
        Box::pin(async move {
            let began = self.clock.monotonic();
            self.follower.nudge();
            match tokio::time::timeout(DEADLINE, self.follower.wait_applied(number)).await {
                Ok(()) => Ok(Confirmation {
                    nodes_confirmed: 1,
                    nodes_expired: 0,
                    took: self.clock.monotonic().since(began),
                }),
                Err(_) => Err(ConfirmError("this node could not read the change back in time".to_owned())),
            }
        })
    }

    fn wake(&self) {
        self.follower.nudge();
    }
}
