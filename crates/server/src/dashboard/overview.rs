//! `GET /`: where the account stands, and how to make the first call.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::KeyOverview;

use super::answer;
use super::failure::Failure;
use super::settings::{frame, plan_names};
use super::state::DashboardState;
use super::view::frame::Place;
use super::view::overview::OverviewPage;
use super::view::words;
use super::visitor::SignedIn;

pub(super) async fn show(State(state): State<DashboardState>, who: SignedIn) -> Result<Response, Failure> {
    let control = state.control();
    let KeyOverview { plan, active, .. } = control.key_overview(&who.context, who.account.id).await?;
    let names = plan_names(&control.list_plans().await?);
    let view = OverviewPage {
        frame: frame(&state, Place::Overview, &who.account, &plan.name),
        api_access: plan.api_access,
        active_keys: active.len() as u64,
        key_limit: plan.active_keys.into(),
        rate: format!("{} a minute", words::grouped(plan.rate_limit.per_minute.get().into())),
        burst: format!("{} at once", words::grouped(plan.rate_limit.burst.get().into())),
        plans_with_access: names.with_access,
        sample: state.sample(),
    };
    Ok(answer::page(StatusCode::OK, &view))
}
