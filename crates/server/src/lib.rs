//! HTTP of the control plane: the operator API, the calls for a key's holder, and the dashboard.
//!
//! Handlers extract, make one call of `rndrkit-control`, and convert. Deliberately absent: decisions on
//! requests (the data plane's), permissions (control's, beside the scope of each route), SQL, and sockets:
//! both routers are plain services.

mod api;
pub mod dashboard;
mod http;
mod openapi;
mod public;
mod state;
mod wire;

use axum::Router;
use dashboard::DashboardState;

pub use api::{Access, OperatorRoute, operator_router, operator_routes, telemetry_router};
pub use openapi::document as openapi_document;
pub use state::{BoxFuture, Health, ServerSettings, ServerState, TokenAuthenticator, TokenRefusal};

/// The public listener's own routes: the calls for a key's holder, and the dashboard for everything else.
pub fn public_router(state: ServerState) -> Router {
    let dashboard =
        DashboardState::new(state.control.clone(), state.entropy.clone(), &state.settings.own_path);
    public::router(state).fallback_service(dashboard::router(dashboard))
}
