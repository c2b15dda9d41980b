//! `GET /settings/api-keys/{id}`: one key, active or past, and what it did.

use axum::extract::{Path, State};
use axum::response::Response;
use rndrkit_control::{Error, RotationUse};
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::key::{ApiKey, KeyStatus};
use rndrkit_domain::observation::Refusal;
use rndrkit_domain::time::Timestamp;

use super::answer;
use super::counted;
use super::explain_words;
use super::failure::Failure;
use super::form::PageQuery;
use super::key_actions::{key_id, plan_name};
use super::settings::{ended, frame, last_used, old_secret, plan_names, rotation_uses};
use super::state::DashboardState;
use super::usage::{self, Asked};
use super::view::frame::Place;
use super::view::usage::{KeyFacts, KeyPage, KeyRefusal, NothingNext};
use super::view::words;
use super::visitor::SignedIn;

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    Path(id): Path<String>,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let (id, range) = (key_id(&id)?, asked.range());
    let control = state.control();
    let key = control.get_key(&who.context, id).await?;
    let now = control.now();
    let report = usage::known(control.key_usage_report(&who.context, id, range).await)?;
    let next = match &report {
        Some(report) if counted::is_nothing(report) => Some(if key.status(now) != KeyStatus::Active {
            NothingNext::Past
        } else if report.plan.api_access {
            NothingNext::Call(state.sample())
        } else {
            let names = plan_names(&control.list_plans().await?);
            NothingNext::Upgrade(usage::without_access(&report.plan.name, &names.with_access))
        }),
        _ => None,
    };
    let path = format!("/settings/api-keys/{id}");
    let section = usage::section(report.as_ref(), range, &path, Some(id), next)?;
    let why_refused = report.as_ref().and_then(|it| refusal(it.plan.api_access, who.account.status));
    let uses = rotation_uses(&state, &who, std::slice::from_ref(&key)).await;
    let may_rotate = report.is_some() && why_refused.is_none();
    let facts = KeyFacts { may_rotate, ..facts(&key, &uses, (now, state.brand()), why_refused) };
    let refusals = match control.key_refusals(&who.context, id).await {
        Ok(refusals) => Some(refusals.iter().map(|refusal| refused(refusal, now)).collect()),
        Err(error @ Error::Unavailable(_)) => {
            tracing::warn!(%error, "refusals cannot be shown");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let frame = frame(&state, Place::Settings, &who.account, &plan_name(&state, &who).await);
    Ok(answer::page(usage::status(report.as_ref()), &KeyPage { frame, key: facts, usage: section, refusals }))
}

/// Why an active key is refused all the same.
fn refusal(api_access: bool, account: AccountStatus) -> Option<&'static str> {
    if account == AccountStatus::Suspended {
        Some("Answers 403 while the account is suspended")
    } else if api_access {
        None
    } else {
        Some("Answers 403 until the plan includes API access")
    }
}

fn refused(refusal: &Refusal, now: Timestamp) -> KeyRefusal {
    let request = [&refusal.facts.method, &refusal.facts.path];
    let request: Vec<&str> = request.into_iter().flatten().map(String::as_str).collect();
    KeyRefusal {
        request_id: refusal.request_id.to_string(),
        at: words::past(now, refusal.at),
        status: explain_words::status(refusal.code),
        why: explain_words::name(refusal.code),
        advice: explain_words::advice(refusal.code),
        request: request.join(" "),
        from: refusal.ip.map(|ip| ip.to_string()),
    }
}

fn facts(
    key: &ApiKey,
    uses: &[RotationUse],
    (now, brand): (Timestamp, &str),
    refused: Option<&str>,
) -> KeyFacts {
    let active = key.status(now) == KeyStatus::Active;
    let (status, end) = if active {
        let end = key.expires_at.map(|end| ("Expiry", words::expiry(now, end)));
        (refused.unwrap_or("Active").to_owned(), end)
    } else {
        let (at, reason) = ended(key, now, brand);
        (reason, Some(("Ended", words::past(now, at))))
    };
    KeyFacts {
        id: key.id.to_string(),
        name: key.name.to_string(),
        environment: key.environment.as_ref().map(ToString::to_string),
        mask: key.mask.to_string(),
        active,
        status,
        created: words::day(key.created_at),
        last_used: last_used(key, now),
        end,
        may_rotate: false,
        old: old_secret(key, uses, now),
    }
}
