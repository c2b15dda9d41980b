//! `/billing`: the plans, and changing to one where that is free.

use std::cmp::Ordering;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{AccountPatch, Billing, Error, KeyOverview};
use rndrkit_domain::plan::Plan;
use serde::Deserialize;

use super::answer::{self, see_other};
use super::failure::Failure;
use super::form::{PageForm, PageQuery};
use super::return_to;
use super::settings::{frame, plan_names};
use super::state::DashboardState;
use super::view::billing::{BillingPage, PlanCard, Rank};
use super::view::frame::{Notice, Place, Tone};
use super::view::words;
use super::visitor::SignedIn;

/// How one got here.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Arrival {
    return_to: String,
    changed: String,
}

/// The form *Upgrade to …* as sent.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wish {
    plan: String,
    return_to: String,
}

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(arrival): PageQuery<Arrival>,
) -> Result<Response, Failure> {
    let notice = (arrival.changed == "plan").then_some((Tone::Good, "Your plan was changed.", String::new()));
    draw(&state, &who, StatusCode::OK, return_to::checked(&arrival.return_to), notice).await
}

pub(super) async fn change(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(wish): PageForm<Wish>,
) -> Result<Response, Failure> {
    let back = return_to::checked(&wish.return_to);
    let patch = AccountPatch { plan: Some(&wish.plan), ..AccountPatch::default() };
    let Err(error) = state.control().update_account(&who.context, who.account.id, patch).await else {
        let page = back.as_deref().unwrap_or("/billing");
        return Ok(see_other(&return_to::with_query(page, "changed=plan")));
    };
    let status = match &error {
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::PlanChangeNotYours => StatusCode::FORBIDDEN,
        Error::Unavailable(cause) => {
            tracing::warn!(cause, "a plan change was not confirmed");
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => return Err(error.into()),
    };
    let title = if status == StatusCode::SERVICE_UNAVAILABLE {
        "We could not confirm the change."
    } else {
        "Your plan was not changed."
    };
    draw(&state, &who, status, back, Some((Tone::Danger, title, error.public_text()))).await
}

async fn draw(
    state: &DashboardState,
    who: &SignedIn,
    status: StatusCode,
    return_to: Option<String>,
    notice: Option<(Tone, &str, String)>,
) -> Result<Response, Failure> {
    let control = state.control();
    let known = control.key_overview(&who.context, who.account.id).await?;
    let plans = control.list_plans().await?;
    let names = plan_names(&plans);
    let mut frame = frame(state, Place::Billing, &who.account, &known.plan.name);
    let notice = notice.map(|(tone, title, text)| Notice { tone, title: title.to_owned(), text });
    frame.notices.extend(notice);
    let view = BillingPage {
        frame,
        plans: cards(&plans, &known),
        changes_here: control.settings().billing == Billing::Off,
        return_to,
        plans_with_access: names.with_access,
        plans_without_access: names.without_access,
    };
    Ok(answer::page(status, &view))
}

fn cards(plans: &[Plan], known: &KeyOverview) -> Vec<PlanCard> {
    let position = |plan: &Plan| plans.iter().position(|other| other.id == plan.id);
    let recommended = plans.iter().find(|plan| plan.api_access && !known.plan.api_access);
    let card = |plan: &Plan| PlanCard {
        id: plan.id.to_string(),
        name: plan.name.clone(),
        rank: match position(plan).cmp(&position(&known.plan)) {
            Ordering::Less => Rank::Lower,
            Ordering::Equal => Rank::Current,
            Ordering::Greater => Rank::Higher,
        },
        api_access: plan.api_access,
        active_keys: format!("Up to {}", words::grouped(plan.active_keys.into())),
        rate: format!("{} a minute", words::count(plan.rate_limit.per_minute.get().into(), "request")),
        burst: format!("{} at once", words::count(plan.rate_limit.burst.get().into(), "request")),
        warning: warning(plan, known),
        recommended: recommended.is_some_and(|other| other.id == plan.id),
    };
    plans.iter().map(card).collect()
}

/// What changing to `plan` would break.
fn warning(plan: &Plan, known: &KeyOverview) -> Option<String> {
    let keys = known.active.len() as u64;
    if known.plan.api_access && !plan.api_access && keys > 0 {
        let (subject, verb) =
            if keys == 1 { ("key".to_owned(), "answers") } else { (format!("{keys} keys"), "answer") };
        let pronoun = if keys == 1 { "it" } else { "they" };
        return Some(format!(
            "Your {subject} will stop working: {pronoun} {verb} 403 until you are back on a plan with API access."
        ));
    }
    let too_many = plan.api_access && keys > u64::from(plan.active_keys);
    too_many.then(|| {
        format!(
            "Your {keys} keys keep working, but you cannot create another until fewer than {} are left.",
            plan.active_keys
        )
    })
}
