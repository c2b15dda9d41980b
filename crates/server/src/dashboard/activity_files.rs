//! `/activity.csv` and `/activity.json`: what the page shows, to take away. Made page by page, bounded, and says so
//! when it is cut.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use rndrkit_control::{ActivityFile, ActivityNames, ChainedEvent, MAX_FILE_EVENTS};
use serde_json::{Map, Value, json};

use super::activity::{Asked, key_id, sentence};
use super::downloads::{Pieces, aside};
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

/// In which form.
#[derive(Clone, Copy)]
enum Form {
    Csv,
    Json,
}

/// Puts events into words, for the person who asked.
struct Writer {
    state: DashboardState,
    who: SignedIn,
    form: Form,
}

pub(super) async fn csv(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let name = name(&state, "csv");
    answer(Writer { state, who, form: Form::Csv }, &asked, &name, csv::CONTENT_TYPE).await
}

pub(super) async fn json(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let name = name(&state, "json");
    answer(Writer { state, who, form: Form::Json }, &asked, &name, "application/json").await
}

async fn answer(
    writer: Writer,
    asked: &Asked,
    name: &str,
    content_type: &'static str,
) -> Result<Response, Failure> {
    let (query, _) = asked.query();
    let account = writer.who.account.id;
    let download = writer.state.downloads().begin(account)?;
    let file = writer.state.control().account_activity_file(&writer.who.context, account, &query).await?;
    download.answer(name, content_type, pieces(Arc::new(writer), file)).await
}

/// The file, a page of events at a time.
fn pieces(writer: Arc<Writer>, file: ActivityFile) -> Pieces {
    let next = move |(mut file, is_first, is_over): (ActivityFile, bool, bool)| {
        let writer = writer.clone();
        async move {
            if is_over {
                return Ok(None);
            }
            let page = file.next().await?;
            let (is_over, is_complete) = (page.is_none(), file.is_complete());
            let piece = aside(move || match page {
                Some((events, names)) => writer.events(&events, &names, is_first),
                None => writer.foot(is_complete),
            });
            Ok(Some((piece.await?, (file, false, is_over))))
        }
    };
    stream::try_unfold((file, true, false), next).boxed()
}

impl Writer {
    /// Some events; the first ones with what stands before them.
    fn events(
        &self,
        events: &[ChainedEvent],
        names: &ActivityNames,
        is_first: bool,
    ) -> Result<Bytes, Failure> {
        match self.form {
            Form::Csv => {
                let head = is_first.then(|| HEAD.map(str::to_owned).to_vec());
                table(head.into_iter().chain(events.iter().map(|found| self.row(names, found))))
            }
            Form::Json => {
                let mut text = if is_first { self.json_head() } else { String::new() };
                for (place, found) in events.iter().enumerate() {
                    let mark = if is_first && place == 0 { "" } else { "," };
                    let _infallible = write!(text, "{mark}{}", self.object(names, found));
                }
                Ok(text.into())
            }
        }
    }

    /// What stands behind the last event: only there it is known whether that was all.
    fn foot(&self, is_complete: bool) -> Result<Bytes, Failure> {
        let remark = (!is_complete).then(cut_remark);
        match self.form {
            Form::Csv => table(remark.map(|remark| vec![remark])),
            Form::Json => Ok(format!("],\"complete\":{is_complete},\"remark\":{}}}", json!(remark)).into()),
        }
    }

    fn json_head(&self) -> String {
        let (account, at) = (self.who.account.id.to_string(), self.state.control().now().to_string());
        format!(
            "{{\"form\":\"rndrkit activity\",\"version\":1,\"account_id\":{},\"at\":{},\"events\":[",
            json!(account),
            json!(at)
        )
    }

    fn row(&self, names: &ActivityNames, found: &ChainedEvent) -> Vec<String> {
        let event = &found.event;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            event.at.to_string(),
            plain(&sentence(&self.state, &self.who, event, names)),
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
    fn object(&self, names: &ActivityNames, found: &ChainedEvent) -> Value {
        let event = &found.event;
        let details: Map<String, Value> =
            event.details.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        json!({
            "id": event.id.to_string(),
            "at": event.at.to_string(),
            "what": plain(&sentence(&self.state, &self.who, event, names)),
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
}

fn table(rows: impl IntoIterator<Item = Vec<String>>) -> Result<Bytes, Failure> {
    csv::table(rows).map_err(|cause| Failure::internal(&cause.to_string()))
}

fn name(state: &DashboardState, extension: &str) -> String {
    format!("activity-{}.{extension}", state.control().now().date())
}

fn cut_remark() -> String {
    format!(
        "These are the newest {} events. Filter by days to get older ones.",
        words::grouped(MAX_FILE_EVENTS.into())
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
