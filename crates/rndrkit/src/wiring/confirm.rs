//! Waiting until a change is followed: by this process's own verifier where it stands alone, else by every node.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_cluster::{MemberHandle, Waiter};
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

/// Waits for every node. Ends by itself: a node that says nothing is waited out.
pub(super) struct EveryNode {
    waiter: Waiter,
    member: MemberHandle,
}

impl EveryNode {
    pub(super) fn new(waiter: Waiter, member: MemberHandle) -> Self {
        Self { waiter, member }
    }
}

impl Confirm for EveryNode {
    fn confirm(&self, number: FeedNumber) -> BoxFuture<'_, Result<Confirmation, ConfirmError>> {
        Box::pin(async move {
            let confirmed = self.waiter.confirm(number).await;
            let confirmed = confirmed.map_err(|error| ConfirmError(error.to_string()))?;
            Ok(Confirmation {
                nodes_confirmed: confirmed.nodes_confirmed,
                nodes_expired: confirmed.nodes_expired,
                took: confirmed.took,
            })
        })
    }

    fn wake(&self) {
        self.member.nudge();
    }
}
