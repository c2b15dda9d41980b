//! HTTP of the data plane: listeners, the gateway, the reserved tree's judgement, forward auth, and verify.
//!
//! Every request is dispatched by its path; what is not the data plane's goes to an opaque service. Deliberately
//! absent: SQL, what a decision rests on (`rndrkit-verifier`), and every page or call of the control plane.

mod addresses;
mod authz;
mod body;
mod client_address;
mod connection;
mod credential;
mod drive;
mod edge;
mod gateway;
mod http2;
mod intake;
mod listener;
mod meters;
mod observe;
mod options;
mod own;
mod problem;
mod rarely;
mod serve;
mod service;
mod shape;
mod stall;
mod timer;
mod tls;
mod verify;
mod workers;

pub use body::{BoxError, EdgeBody};
pub use edge::{Edge, EdgeError, Fallback};
pub use listener::{BindError, Listener};
pub use meters::describe_metrics;
pub use options::{EdgeOptions, HostRule, KeyRule, Limits, PlanNames, PreflightRule, Route};
pub use serve::serve;
pub use service::Service;
pub use tls::TlsError;
pub use workers::{WorkerThreads, Workers};
