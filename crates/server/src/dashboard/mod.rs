//! The dashboard: server-rendered pages and plain forms, for the people of an account.
//!
//! Handlers read a request, ask the control plane, and fill a view; views know nothing of requests. It
//! shares nothing with the operator API but the control plane, and accepts no key and no token.

pub mod assets;
pub mod view;

mod account;
mod activity;
mod activity_files;
mod answer;
mod billing;
mod compression;
mod cookie;
mod counted;
mod downloads;
mod email;
mod explain;
mod explain_words;
mod failure;
mod form;
mod guard;
mod key_actions;
mod key_label;
mod key_page;
mod notifications;
mod overview;
mod return_to;
mod rotation;
mod settings;
mod sign_in;
mod sign_up;
mod state;
mod told;
mod usage;
mod visitor;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use http::Method;

pub use state::DashboardState;

/// A page or a form of the dashboard.
#[derive(Debug, Clone)]
pub struct PageRoute {
    /// `GET` for a page, `POST` for a form.
    pub method: Method,
    /// Its path, with `{id}` for a key's id.
    pub path: &'static str,
    handler: MethodRouter<DashboardState>,
}

/// Every page and form, static files apart. A list, so that a test can ask whether it has tried them all.
#[must_use]
pub fn page_routes() -> Vec<PageRoute> {
    let page = |path, handler| PageRoute { method: Method::GET, path, handler };
    let form = |path, handler| PageRoute { method: Method::POST, path, handler };
    vec![
        page("/", get(overview::show)),
        page("/usage", get(usage::show)),
        page("/usage.csv", get(usage::download)),
        page("/settings", get(settings::show)),
        page("/settings/api-keys", get(settings::to_section)),
        form("/settings/api-keys", post(key_actions::create)),
        page("/settings/api-keys/new", get(key_actions::new)),
        page("/settings/api-keys/{id}", get(key_page::show)),
        page("/settings/api-keys/{id}/delete", get(key_actions::ask_delete)),
        form("/settings/api-keys/{id}/delete", post(key_actions::delete)),
        form("/settings/notifications", post(notifications::choose)),
        page("/settings/api-keys/{id}/label", get(key_label::show)),
        form("/settings/api-keys/{id}/label", post(key_label::change)),
        page("/activity", get(activity::show)),
        page("/activity.csv", get(activity_files::csv)),
        page("/activity.json", get(activity_files::json)),
        page("/settings/password", get(account::to_section)),
        form("/settings/password", post(account::change_password)),
        page("/settings/email", get(account::to_section)),
        form("/settings/email", post(email::ask)),
        page("/settings/email/cancel", get(account::to_section)),
        form("/settings/email/cancel", post(email::cancel)),
        page("/confirm-email", get(email::show)),
        form("/confirm-email", post(email::confirm)),
        page("/settings/sessions/end", get(account::to_section)),
        form("/settings/sessions/end", post(account::end_session)),
        page("/settings/sessions/end-others", get(account::to_section)),
        form("/settings/sessions/end-others", post(account::end_others)),
        page("/explain", get(explain::show)),
        page("/settings/api-keys/{id}/rotate", get(rotation::ask)),
        form("/settings/api-keys/{id}/rotate", post(rotation::rotate)),
        page("/settings/api-keys/{id}/end-previous", get(rotation::ask_end)),
        form("/settings/api-keys/{id}/end-previous", post(rotation::end)),
        page("/billing", get(billing::show)),
        form("/billing", post(billing::change)),
        page("/sign-in", get(sign_in::show)),
        form("/sign-in", post(sign_in::by_password)),
        page("/sign-in/link", get(sign_in::to_form)),
        form("/sign-in/link", post(sign_in::by_link)),
        page("/sign-out", get(sign_in::to_form)),
        form("/sign-out", post(sign_in::out)),
        page("/sign-up", get(sign_up::show)),
        form("/sign-up", post(sign_up::join)),
        page("/reset", get(sign_up::show_reset)),
        form("/reset", post(sign_up::reset)),
    ]
}

/// Every page. Whatever it does not know is a page that says so.
pub fn router(state: DashboardState) -> Router {
    let mut pages = Router::new();
    for PageRoute { path, handler, .. } in page_routes() {
        pages = pages.route(path, handler);
    }
    let pages = pages
        .fallback(failure::not_found)
        .method_not_allowed_fallback(failure::method_not_allowed)
        .layer(DefaultBodyLimit::max(form::MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), guard::own_forms_only))
        .layer(from_fn(answer::no_store))
        .layer(from_fn(compression::pages));
    Router::new()
        .route("/assets/{name}", get(assets::serve))
        .merge(pages)
        .layer(from_fn_with_state(state.clone(), guard::own_names_only))
        .layer(from_fn_with_state(state.clone(), answer::finish))
        .with_state(state)
}
