//! The check of the JSON file that an account's people download: that each event still gives its hash. Events of
//! others lie between, so that nothing can be said about gaps.

use std::io::Read;

use rndrkit_domain::audit::ActorType;
use rndrkit_domain::time::Timestamp;
use serde::Deserialize;

use crate::audit_chain::LinkedRow;
use crate::audit_export::ExportError;
use crate::hex;

/// What a file of this form says of itself.
const FORM: &str = "rndrkit activity";
/// Some thousand events have some megabytes.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Deserialize)]
struct File {
    form: String,
    account_id: String,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Actor {
    r#type: String,
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    r#type: String,
    id: String,
}

#[derive(Deserialize)]
struct Chain {
    seq: i64,
    at_ms: i64,
    details_text: String,
    #[serde(with = "hex::optional")]
    personal_salt: Option<Vec<u8>>,
    #[serde(with = "hex::required")]
    personal_hash: Vec<u8>,
    #[serde(with = "hex::required")]
    previous_hash: Vec<u8>,
    #[serde(with = "hex::required")]
    hash: Vec<u8>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    at: String,
    action: String,
    actor: Actor,
    account_id: Option<String>,
    target: Target,
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    details: serde_json::Value,
    chain: Chain,
}

/// Result of checking an account's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityFileReport {
    /// Whose it is.
    pub account_id: String,
    /// Events that were checked.
    pub events: u64,
    /// Position of the first that is not what was hashed, or that lost who did it and from where.
    pub changed: Option<i64>,
}

/// Checks the file. Its sentences are not hashed: they follow from what is.
pub fn check_activity_file(input: impl Read) -> Result<ActivityFileReport, ExportError> {
    let read: Result<File, _> = serde_json::from_reader(std::io::BufReader::new(input.take(MAX_FILE_BYTES)));
    let file = read.map_err(|_| ExportError::NotAnExport)?;
    if file.form != FORM {
        return Err(ExportError::NotAnExport);
    }
    let mut report = ActivityFileReport { account_id: file.account_id, events: 0, changed: None };
    // Newest first: the one after, if it was the very next one.
    let mut after: Option<(i64, Vec<u8>)> = None;
    for event in file.events {
        let seq = event.chain.seq;
        let is_own = event.account_id.as_deref() == Some(report.account_id.as_str());
        let told_twice_alike = event.at == Timestamp::from_unix_ms(event.chain.at_ms).to_string()
            && serde_json::from_str(&event.chain.details_text)
                .is_ok_and(|read: serde_json::Value| read == event.details);
        let row = row(event);
        let fits_next = after
            .as_ref()
            .is_none_or(|(next, previous)| seq < *next && (seq + 1 != *next || *previous == row.hash));
        // The account lives, or nobody could have asked for the file: only of operators it does not say who.
        let says_who = row.personal_salt.is_some() || row.actor_type == ActorType::Operator.as_str();
        if !(is_own && told_twice_alike && fits_next && says_who && row.is_whole()) {
            report.changed.get_or_insert(seq);
        }
        report.events += 1;
        after = Some((seq, row.previous_hash));
    }
    Ok(report)
}

fn row(event: Event) -> LinkedRow {
    let Event { actor, target, chain, .. } = event;
    LinkedRow {
        seq: chain.seq,
        id: event.id,
        at: chain.at_ms,
        action: event.action,
        actor_type: actor.r#type,
        actor_id: actor.id,
        actor_name: actor.name,
        account_id: event.account_id,
        target_type: target.r#type,
        target_id: target.id,
        ip: event.ip,
        user_agent: event.user_agent,
        request_id: event.request_id,
        details: chain.details_text,
        personal_salt: chain.personal_salt,
        personal_hash: chain.personal_hash,
        previous_hash: chain.previous_hash,
        hash: chain.hash,
    }
}
