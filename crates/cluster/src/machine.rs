//! What a node takes from the machine that it runs on: time, randomness, and rest.

use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::{Clock, Monotonic};
use rndrkit_verifier::BoxFuture;

/// How a node lets time pass. Apart from [`Clock`], because a node whose clock runs fast also wakes early.
pub trait Rest: Send + Sync + 'static {
    /// Resolves after about this long by the node's own clock. Whoever needs a moment to have come reads the
    /// clock afterwards.
    fn rest(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The runtime's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimerRest;

impl Rest for TimerRest {
    fn rest(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Time, randomness and rest of one node.
#[derive(Clone)]
pub struct Machine {
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Its timer.
    pub rest: Arc<dyn Rest>,
}

impl Machine {
    /// One that rests by the runtime's timer.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, rest: Arc::new(TimerRest) }
    }

    /// Resolves once the clock says `moment` or later.
    pub(crate) async fn rest_until(&self, moment: Monotonic) {
        loop {
            let left = moment.since(self.clock.monotonic());
            if left.is_zero() {
                return;
            }
            self.rest.rest(left).await;
        }
    }
}
