//! `GET /`: where the account stands, and how to make the first call.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Hints, KeyOverview};
use rndrkit_domain::account::{Account, AccountStatus};

use super::answer;
use super::failure::Failure;
use super::settings::{frame, plan_names};
use super::state::DashboardState;
use super::view::frame::Place;
use super::view::hints::HintLine;
use super::view::overview::{Attention, OverviewPage};
use super::view::words;
use super::visitor::SignedIn;

/// Hints that the page shows; the list of keys has them all.
const MAX_HINTS: usize = 5;

pub(super) async fn show(State(state): State<DashboardState>, who: SignedIn) -> Result<Response, Failure> {
    let control = state.control();
    let (known, hints) = control.key_overview_with_hints(&who.context, &who.account).await?;
    let attention = attention(&who.account, &known, &hints);
    let KeyOverview { plan, active, .. } = known;
    let names = plan_names(&control.list_plans().await?);
    let view = OverviewPage {
        frame: frame(&state, Place::Overview, &who.account, &plan.name),
        api_access: plan.api_access,
        active_keys: active.len() as u64,
        key_limit: plan.active_keys.into(),
        rate: format!("{} a minute", words::grouped(plan.rate_limit.per_minute.get().into())),
        burst: format!("{} at once", words::grouped(plan.rate_limit.burst.get().into())),
        attention,
        plans_with_access: names.with_access,
        sample: state.sample(),
    };
    Ok(answer::page(StatusCode::OK, &view))
}

fn attention(account: &Account, known: &KeyOverview, hints: &Hints) -> Attention {
    if known.active.is_empty() || !known.plan.api_access || account.status == AccountStatus::Suspended {
        return Attention::Hidden;
    }
    let about_limit = hints.limit.map(|hint| HintLine::of_limit(hint, known.plan.rate_limit));
    let about_keys = known.active.iter().filter_map(|key| {
        let hint = hints.of_key(key.id)?;
        Some(HintLine::of_key(hint, key.id, &key.name).naming_its_key())
    });
    let mut all: Vec<HintLine> = about_limit.into_iter().chain(about_keys).collect();
    // What is urgent first; otherwise as in the list of keys.
    all.sort_by_key(|line| !line.urgent);
    match all.len() {
        0 if hints.complete => Attention::Nothing,
        0 => Attention::Unknown,
        count => {
            all.truncate(MAX_HINTS);
            Attention::Some { more: count.saturating_sub(MAX_HINTS), hints: all }
        }
    }
}
