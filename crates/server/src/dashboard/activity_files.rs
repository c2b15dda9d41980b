//! `/activity.csv` and `/activity.json`: what the page shows, to take away. Bounded, and says so when it is cut.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use rndrkit_control::{ActivityFile, ChainedEvent, MAX_FILE_EVENTS};
use serde_json::{Map, Value, json};

use super::activity::{Asked, key_id, sentence};
use super::failure::Failure;
use super::form::PageQuery;
use super::state::DashboardState;
use super::view::activity_words::plain;
use super::view::browser_words::browser;
use super::view::words;
use super::visitor::SignedIn;
use crate::http::csv;

const HEAD: [&str; 11] = [
    "time",
    "what",
    "action",
    "actor_type",
    "actor_id",
    "key_id",
    "address",
    "browser",
    "user_agent",
    "request_id",
    "event_id",
];

pub(super) async fn csv(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let file = read(&state, &who, &asked).await?;
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(file.events.iter().map(|found| row(&state, &who, &file, found)));
    if !file.complete {
        rows.push(vec![cut_remark()]);
    }
    csv::attachment(&name(&state, "csv"), rows).map_err(|cause| Failure::internal(&cause.to_string()))
}

pub(super) async fn json(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let file = read(&state, &who, &asked).await?;
    let events: Vec<Value> = file.events.iter().map(|found| object(&state, &who, &file, found)).collect();
    let document = json!({
        "form": "rndrkit activity",
        "version": 1,
        "account_id": who.account.id.to_string(),
        "at": state.control().now().to_string(),
        "complete": file.complete,
        "remark": (!file.complete).then(cut_remark),
        "events": events,
    });
    let body = serde_json::to_vec(&document).map_err(|cause| Failure::internal(&cause.to_string()))?;
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", name(&state, "json"))),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, body).into_response())
}

async fn read(state: &DashboardState, who: &SignedIn, asked: &Asked) -> Result<ActivityFile, Failure> {
    let (query, _) = asked.query();
    Ok(state.control().account_activity_file(&who.context, who.account.id, &query).await?)
}

fn name(state: &DashboardState, extension: &str) -> String {
    format!("activity-{}.{extension}", state.control().now().date())
}

fn cut_remark() -> String {
    format!(
        "These are the newest {} events. Filter by days to get older ones.",
        words::grouped(MAX_FILE_EVENTS as u64)
    )
}

fn row(state: &DashboardState, who: &SignedIn, file: &ActivityFile, found: &ChainedEvent) -> Vec<String> {
    let event = &found.event;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        event.at.to_string(),
        plain(&sentence(state, who, event, &file.names)),
        event.action.clone(),
        event.actor.kind.as_str().to_owned(),
        text(&event.actor.id),
        key_id(event).map(|id| id.to_string()).unwrap_or_default(),
        text(&event.ip),
        event.user_agent.as_deref().map(browser).unwrap_or_default(),
        text(&event.user_agent),
        text(&event.request_id),
        event.id.to_string(),
    ]
}

/// An event for programs. `chain` has what is hashed and is not already there; docs/operations.md says how.
fn object(state: &DashboardState, who: &SignedIn, file: &ActivityFile, found: &ChainedEvent) -> Value {
    let event = &found.event;
    let details: Map<String, Value> =
        event.details.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    json!({
        "id": event.id.to_string(),
        "at": event.at.to_string(),
        "what": plain(&sentence(state, who, event, &file.names)),
        "action": event.action,
        "actor": { "type": event.actor.kind.as_str(), "id": event.actor.id, "name": event.actor.name },
        "account_id": event.account_id.map(|id| id.to_string()),
        "target": { "type": event.target_kind, "id": event.target_id },
        "ip": event.ip,
        "user_agent": event.user_agent,
        "request_id": event.request_id,
        "details": details,
        "chain": {
            "seq": found.seq,
            "at_ms": event.at.unix_ms(),
            "details_text": found.details_text,
            "personal_salt": found.personal_salt.as_deref().map(hex),
            "personal_hash": hex(&found.personal_hash),
            "previous_hash": hex(&found.previous_hash),
            "hash": hex(&found.hash),
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
