//! What the routers need from whoever wires them: the control plane, and three traits for what lives elsewhere.
//!
//! Deliberately absent: how tokens are kept and how readiness is judged; the binary puts those in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rndrkit_control::{Control, Principal};
use rndrkit_domain::random::Entropy;

/// A boxed future, for the traits below.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Not a token of this installation, or ended.
    Invalid,
    /// We cannot know now; never a statement about the token.
    Unavailable,
}

/// Tells whose token it is: the operator's own, or one made by the API.
pub trait TokenAuthenticator: Send + Sync + 'static {
    /// The operator behind `bearer`, with the token's scope.
    fn authenticate<'a>(&'a self, bearer: &'a str) -> BoxFuture<'a, Result<Principal, TokenRefusal>>;
}

/// What `/readyz` and `/metrics` say.
pub trait Health: Send + Sync + 'static {
    /// Whether this node can decide; if not, why, one short sentence each.
    fn ready(&self) -> Result<(), Vec<String>>;
    /// All metrics in Prometheus' text format.
    fn metrics_text(&self) -> String;
}

/// Settings that the HTTP side shows or routes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// What people see.
    pub brand_name: String,
    /// Origin of the dashboard, without a trailing slash.
    pub public_url: String,
    /// Where the calls for holders of a key live, with a slash at both ends.
    pub own_path: String,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            brand_name: "RndrKit".to_owned(),
            public_url: "http://localhost:8080".to_owned(),
            own_path: "/api/rk/".to_owned(),
        }
    }
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct ServerState {
    /// The operations.
    pub control: Control,
    /// Who holds which token.
    pub authenticator: Arc<dyn TokenAuthenticator>,
    /// Readiness and metrics.
    pub health: Arc<dyn Health>,
    /// For request ids, when the listener has not given one.
    pub entropy: Arc<dyn Entropy>,
    /// What is shown and routed by.
    pub settings: Arc<ServerSettings>,
}

impl fmt::Debug for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerState").field("settings", &self.settings).finish_non_exhaustive()
    }
}
