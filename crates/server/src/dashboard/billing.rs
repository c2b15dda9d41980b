//! `/billing`: the plans, and changing to one where that is free.

use std::cmp::Ordering;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use rndrkit_control::{AccountPatch, Billing, Confirmation, Error, KeyOverview};
use rndrkit_domain::plan::Plan;
use serde::Deserialize;

use super::answer::{self, see_other};
use super::failure::Failure;
use super::form::{PageForm, PageQuery};
use super::return_to;
use super::settings::{self, frame, plan_names};
use super::state::DashboardState;
use super::told;
use super::view::billing::{BillingPage, PlanCard, Rank};
use super::view::frame::{Notice, Place, Tone};
use super::view::words;
use super::visitor::SignedIn;

const NOT_CHANGED: &str = "Your plan was not changed.";

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
    /// `yes` when "My 4 keys stop working" was ticked.
    keys_stop: String,
}

/// What an answer shows beside the plans as they are.
#[derive(Default)]
struct Extra {
    return_to: Option<String>,
    notice: Option<Notice>,
    /// The plan whose box was not ticked.
    unconfirmed: Option<String>,
}

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(arrival): PageQuery<Arrival>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let known = state.control().key_overview(&who.context, &who.account).await?;
    let who_follows = told::take(&headers, state.is_https(), told::PLAN);
    let notice = (arrival.changed == "plan").then(|| changed_notice(&known, who_follows.as_ref()));
    let extra = Extra { return_to: return_to::checked(&arrival.return_to), notice, unconfirmed: None };
    draw(&state, &who, StatusCode::OK, &known, extra).await
}

pub(super) async fn change(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(wish): PageForm<Wish>,
) -> Result<Response, Failure> {
    let back = return_to::checked(&wish.return_to);
    let known = state.control().key_overview(&who.context, &who.account).await?;
    if wish.keys_stop != "yes"
        && let Some(plan) =
            state.control().list_plans().await?.iter().find(|plan| plan.id.as_str() == wish.plan)
        && let Some(confirm) = confirm(plan, &known)
    {
        let text = format!("Tick “{confirm}” to change to {}.", plan.name);
        let notice = Notice { tone: Tone::Danger, title: NOT_CHANGED.to_owned(), text };
        let extra = Extra { return_to: back, notice: Some(notice), unconfirmed: Some(wish.plan) };
        return draw(&state, &who, StatusCode::UNPROCESSABLE_ENTITY, &known, extra).await;
    }
    let patch = AccountPatch { plan: Some(&wish.plan), ..AccountPatch::default() };
    let error = match state.control().update_account(&who.context, who.account.id, patch).await {
        Err(error) => error,
        Ok(changed) => {
            let page = back.as_deref().unwrap_or("/billing");
            let mut answer = see_other(&return_to::with_query(page, "changed=plan"));
            told::put(answer.headers_mut(), state.is_https(), told::PLAN, &changed.confirmation);
            return Ok(answer);
        }
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
        NOT_CHANGED
    };
    let notice = Notice { tone: Tone::Danger, title: title.to_owned(), text: error.public_text() };
    let extra = Extra { return_to: back, notice: Some(notice), unconfirmed: None };
    draw(&state, &who, status, &known, extra).await
}

async fn draw(
    state: &DashboardState,
    who: &SignedIn,
    status: StatusCode,
    known: &KeyOverview,
    extra: Extra,
) -> Result<Response, Failure> {
    let control = state.control();
    let plans = control.list_plans().await?;
    let names = plan_names(&plans);
    let mut frame = frame(state, Place::Billing, &who.account, &known.plan.name);
    frame.notices.extend(extra.notice);
    let view = BillingPage {
        frame,
        plans: cards(&plans, known, extra.unconfirmed.as_deref()),
        changes_here: control.settings().billing == Billing::Off,
        return_to: extra.return_to,
        account_email: who.account.email.to_string(),
        plans_with_access: names.with_access,
        plans_without_access: names.without_access,
    };
    Ok(answer::page(status, &view))
}

fn cards(plans: &[Plan], known: &KeyOverview, unconfirmed: Option<&str>) -> Vec<PlanCard> {
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
        confirm: confirm(plan, known),
        unconfirmed: unconfirmed == Some(plan.id.as_str()),
        recommended: recommended.is_some_and(|other| other.id == plan.id),
    };
    plans.iter().map(card).collect()
}

/// Says that the plan was changed, and what that means for keys that it does not let through.
fn changed_notice(known: &KeyOverview, who_follows: Option<&Confirmation>) -> Notice {
    let keys = if known.plan.api_access { String::new() } else { settings::resting(known.active.len()) };
    let servers = who_follows.map(words::in_force).unwrap_or_default();
    let text = format!("{keys} {servers}").trim().to_owned();
    Notice { tone: Tone::Good, title: "Your plan was changed.".to_owned(), text }
}

/// Whether changing to `plan` stops keys that work now.
fn stops_keys(plan: &Plan, known: &KeyOverview) -> bool {
    known.plan.api_access && !plan.api_access && !known.active.is_empty()
}

/// What has to be ticked before changing to `plan`, if anything.
fn confirm(plan: &Plan, known: &KeyOverview) -> Option<String> {
    stops_keys(plan, known).then(|| match known.active.len() {
        1 => "My key stops working".to_owned(),
        keys => format!("My {keys} keys stop working"),
    })
}

/// What changing to `plan` would break.
fn warning(plan: &Plan, known: &KeyOverview) -> Option<String> {
    let keys = known.active.len() as u64;
    if stops_keys(plan, known) {
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
