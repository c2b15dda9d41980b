//! `POST /v1/keys/verify`: one decision, with everything that the asker needs to reply with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::PlanRef;
use crate::error::Problem;
use crate::public::RateLimit;

/// The question. `Debug` is left out on purpose: it holds a secret.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// What the caller sent in `X-Api-Key`; empty when he sent none. Of several headers send all, joined by
    /// commas: that is refused with 400, as the gateway does.
    pub secret: String,
    /// How many requests to spend, 0 to the plan's burst (several nodes share slightly less: 94 of 100); 0 looks
    /// without spending; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
    /// Where the caller's request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<VerifyContext>,
}

/// Where the caller's request came from, as the asker saw it. But for the address it decides nothing, and only
/// the log at level `debug` has it; any text will do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyContext {
    /// Client address, IPv4 or IPv6. Without it, failed look-ups are not bounded for each address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Request method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Request path. What follows a question mark is not logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The client's own description of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The key, as far as a decision knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedKey {
    /// Id.
    pub id: String,
}

/// The account, as far as a decision knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedAccount {
    /// Id.
    pub id: String,
    /// The operator's own id for it.
    #[schema(required)]
    pub external_id: Option<String>,
    /// Its plan.
    pub plan: PlanRef,
}

/// The answer: 200 for every definite decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyAnswer {
    /// Whether to let the request pass.
    pub valid: bool,
    /// `valid`, or the refusal's code.
    pub code: String,
    /// What the asker should reply: the refusal's status; 200 when valid.
    pub status: u16,
    /// The key, when the secret was right.
    #[schema(required)]
    pub key: Option<VerifiedKey>,
    /// Its account, when the secret was right.
    #[schema(required)]
    pub account: Option<VerifiedAccount>,
    /// The account's budget, when it was looked at.
    #[schema(required)]
    pub rate_limit: Option<RateLimit>,
    /// Headers that the asker should reply with: beside a refusal, and beside his own answer when valid.
    pub headers: BTreeMap<String, String>,
    /// The body that the asker should reply with; null when valid.
    #[schema(required)]
    pub problem: Option<Problem>,
    /// This request.
    pub request_id: String,
}
