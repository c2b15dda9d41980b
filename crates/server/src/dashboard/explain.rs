//! `GET /explain`: why a request was refused, by its id. Only the account's own requests are known here.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{Error, KeyOverview};
use rndrkit_domain::account::{Account, AccountStatus};
use rndrkit_domain::id::{KeyId, RequestId};
use rndrkit_domain::observation::{REFUSALS_KEPT_FOR, Refusal};
use rndrkit_domain::plan::Plan;
use rndrkit_domain::time::Timestamp;
use serde::Deserialize;

use super::answer;
use super::explain_words as say;
use super::failure::Failure;
use super::form::PageQuery;
use super::settings::frame;
use super::state::DashboardState;
use super::view::Field;
use super::view::frame::Place;
use super::view::refusal::{Answer, Explained, RecentRefusal, RefusalPage};
use super::view::words;
use super::visitor::SignedIn;

/// Refusals that the page lists.
const LISTED: u32 = 20;
/// What is pasted may be a whole answer; of longer texts only the beginning is looked at, and shown again.
const MAX_PASTED_CHARS: usize = 2_000;
/// Until then a refusal may not be written yet: one flush, and room for a slow one.
const WRITTEN_WITHIN: Duration = Duration::from_secs(15);
/// How far a node's clock may be ahead of ours before an id counts as one from the future.
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60);

/// What was pasted.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Question {
    request: String,
}

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(question): PageQuery<Question>,
) -> Result<Response, Failure> {
    let known = state.control().key_overview(&who.context, &who.account).await?;
    let keys = key_names(&known);
    let pasted: String = question.request.chars().take(MAX_PASTED_CHARS).collect();
    let mut field = Field::holding(pasted.trim());
    let (status, answer) = match request_id(&pasted) {
        _ if field.value.is_empty() => (StatusCode::OK, Answer::Nothing),
        None => {
            field.problem = Some(say::NOT_AN_ID.to_owned());
            (StatusCode::UNPROCESSABLE_ENTITY, Answer::Nothing)
        }
        Some(id) => {
            field.value = id.to_string();
            explain(&state, &who, &known, &keys, id).await?
        }
    };
    let view = RefusalPage {
        frame: frame(&state, Place::Usage, &who.account, &known.plan.name),
        field,
        answer,
        recent: recent(&state, &who, &keys).await?,
    };
    Ok(answer::page(status, &view))
}

/// The first request id in a text, which may be a whole answer.
fn request_id(text: &str) -> Option<RequestId> {
    const BODY_CHARS: usize = 26;
    let (_, rest) = text.split_once(RequestId::PREFIX)?;
    let body: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    if body.len() != BODY_CHARS {
        return None;
    }
    format!("{}{}", RequestId::PREFIX, body.to_ascii_lowercase()).parse().ok()
}

fn key_names(known: &KeyOverview) -> HashMap<KeyId, String> {
    known.active.iter().chain(&known.past).map(|key| (key.id, key.name.to_string())).collect()
}

async fn explain(
    state: &DashboardState,
    who: &SignedIn,
    known: &KeyOverview,
    keys: &HashMap<KeyId, String>,
    id: RequestId,
) -> Result<(StatusCode, Answer), Failure> {
    let control = state.control();
    let Some(refusal) = control.find_refusal(&who.context, who.account.id, id).await? else {
        return Ok((StatusCode::NOT_FOUND, unknown(state, who, id).await?));
    };
    let plans = control.list_plans().await?;
    let explained =
        explained(&refusal, (&who.account, &known.plan), &plans, keys, (control.now(), state.brand()));
    Ok((StatusCode::OK, Answer::Refused(Box::new(explained))))
}

fn explained(
    refusal: &Refusal,
    (account, plan): (&Account, &Plan),
    plans: &[Plan],
    keys: &HashMap<KeyId, String>,
    (now, brand): (Timestamp, &str),
) -> Explained {
    let facts = &refusal.facts;
    let plan_then = facts.plan_name.clone().unwrap_or_else(|| facts.plan.to_string());
    let plan_today = (plan.id != facts.plan).then(|| plan.name.clone());
    let today = say::Today { plan, plans, is_active: account.status == AccountStatus::Active, brand };
    Explained {
        request_id: refusal.request_id.to_string(),
        status: say::status(refusal.code),
        code: refusal.code.as_str().to_owned(),
        sentence: say::sentence(refusal, &plan_then),
        rule: say::rule(refusal),
        bucket: facts.bucket.map(|bucket| say::bucket(&bucket)),
        ways: say::ways(refusal, &today),
        plan_then,
        plan_today,
        at: words::past(now, refusal.at),
        key_id: refusal.key_id.to_string(),
        key_name: keys.get(&refusal.key_id).cloned(),
        door: say::door(facts.door),
        request: say::request(facts),
        ip: refusal.ip.map(|ip| ip.to_string()),
        user_agent: refusal.user_agent.clone(),
    }
}

/// Why there is nothing to say about an id: what is most likely first.
async fn unknown(state: &DashboardState, who: &SignedIn, id: RequestId) -> Result<Answer, Failure> {
    let control = state.control();
    let (now, made) = (control.now(), id.made_at());
    let mut paragraphs = Vec::new();
    if made > now.plus(CLOCKS_DIFFER_BY) {
        paragraphs.push(say::FROM_THE_FUTURE.to_owned());
    } else if now.since(made) > REFUSALS_KEPT_FOR {
        paragraphs.push(say::too_old(made));
    } else if now.since(made) < WRITTEN_WITHIN {
        paragraphs.push(say::NOT_YET.to_owned());
    } else {
        let refused = control.refused_in_minute(&who.context, who.account.id, made).await?;
        paragraphs.push(say::not_kept(made, refused));
    }
    paragraphs.push(say::WHAT_IS_KEPT.to_owned());
    Ok(Answer::Unknown(paragraphs))
}

/// The last refusals; none when the database does not say.
async fn recent(
    state: &DashboardState,
    who: &SignedIn,
    keys: &HashMap<KeyId, String>,
) -> Result<Option<Vec<RecentRefusal>>, Failure> {
    let now = state.control().now();
    let refusals = match state.control().list_refusals(&who.context, who.account.id, None, LISTED).await {
        Ok(refusals) => refusals,
        Err(error @ Error::Unavailable(_)) => {
            tracing::warn!(%error, "refusals cannot be listed");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let row = |refusal: &Refusal| RecentRefusal {
        request_id: refusal.request_id.to_string(),
        what: say::name(refusal.code),
        key_name: keys.get(&refusal.key_id).cloned(),
        request: say::request(&refusal.facts),
        at: words::past(now, refusal.at),
    };
    Ok(Some(refusals.iter().map(row).collect()))
}

#[cfg(test)]
mod tests {
    use super::request_id;

    #[test]
    fn an_id_is_found_in_whatever_is_pasted() {
        let id = format!("req_{}", "01k".repeat(8) + "01");
        for text in [
            id.clone(),
            format!("  {id}\n"),
            format!("{{\"code\":\"rate_limited\",\"request_id\":\"{id}\"}}"),
            format!("X-Rk-Request-Id: {id}"),
            format!("req_{}", id[4..].to_uppercase()),
        ] {
            assert_eq!(request_id(&text).map(|id| id.to_string()), Some(id.clone()), "{text}");
        }
        for bad in ["", "req_", "req_01k", &format!("{id}0"), "key_01k", "<script>", "req_\u{202e}", "%00"] {
            assert_eq!(request_id(bad), None, "{bad}");
        }
    }
}
