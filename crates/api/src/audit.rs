//! Audit events on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// `operator`, `user`, `key`, `system` or `anonymous`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id, if there is one.
    #[schema(required)]
    pub id: Option<String>,
    /// Name for people.
    #[schema(required)]
    pub name: Option<String>,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Kind of thing.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// An audit event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Id.
    pub id: String,
    /// When.
    pub at: String,
    /// What, as `object.verb`.
    pub action: String,
    /// Who.
    pub actor: Actor,
    /// The account concerned.
    #[schema(required)]
    pub account_id: Option<String>,
    /// What it was done to.
    pub target: Target,
    /// Client address.
    #[schema(required)]
    pub ip: Option<String>,
    /// The client's own description of itself.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// The request.
    #[schema(required)]
    pub request_id: Option<String>,
    /// More facts.
    pub details: BTreeMap<String, String>,
}
