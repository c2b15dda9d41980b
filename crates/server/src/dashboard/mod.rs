//! The dashboard: server-rendered pages and plain forms, for the people of an account.
//!
//! Handlers read a request, ask the control plane, and fill a view; views know nothing of requests. It
//! shares nothing with the operator API but the control plane, and accepts no key and no token.

pub mod assets;
pub mod view;

mod answer;
mod billing;
mod cookie;
mod failure;
mod form;
mod guard;
mod key_actions;
mod overview;
mod return_to;
mod settings;
mod sign_in;
mod sign_up;
mod state;
mod visitor;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

pub use state::DashboardState;

/// Every page. Whatever it does not know is a page that says so.
pub fn router(state: DashboardState) -> Router {
    let pages = Router::new()
        .route("/", get(overview::show))
        .route("/settings", get(settings::show))
        .route("/settings/api-keys", post(key_actions::create).get(settings::to_section))
        .route("/settings/api-keys/new", get(key_actions::new))
        .route("/settings/api-keys/{id}/delete", get(key_actions::ask_delete).post(key_actions::delete))
        .route("/billing", get(billing::show).post(billing::change))
        .route("/sign-in", get(sign_in::show).post(sign_in::by_password))
        .route("/sign-in/link", post(sign_in::by_link).get(sign_in::to_form))
        .route("/sign-out", post(sign_in::out).get(sign_in::to_form))
        .route("/sign-up", get(sign_up::show).post(sign_up::join))
        .route("/reset", get(sign_up::show_reset).post(sign_up::reset))
        .fallback(failure::not_found)
        .method_not_allowed_fallback(failure::method_not_allowed)
        .layer(DefaultBodyLimit::max(form::MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), guard::own_forms_only))
        .layer(from_fn(answer::no_store));
    Router::new()
        .route("/assets/{name}", get(assets::serve))
        .merge(pages)
        .layer(from_fn_with_state(state.clone(), guard::own_names_only))
        .layer(from_fn_with_state(state.clone(), answer::finish))
        .with_state(state)
}
