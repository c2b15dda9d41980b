//! From the product's own types to the wire's, one function each, so that a rename inside cannot change
//! what clients see.

use rndrkit_api::account::{Account, KeyCount, PlanRef};
use rndrkit_api::audit::{Actor, AuditEvent, Target};
use rndrkit_api::key::{CreatedKey, Key, PreviousSecret, Receipt};
use rndrkit_api::link::Link;
use rndrkit_api::public::{RateLimit, UsageDay};
use rndrkit_api::token::{CreatedToken, Token};
use rndrkit_api::usage::{AnswerCounts, KeyUsage};
use rndrkit_control::{AccountView, Created, NewLink, Receipt as ControlReceipt, RotatedKey};
use rndrkit_domain::audit::StoredEvent;
use rndrkit_domain::decision::BudgetState;
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::key_text::Secret;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Token as ApiToken;
use rndrkit_domain::usage::KeyUsage as CountedUse;

pub(crate) fn account(view: AccountView) -> Account {
    let AccountView { account, plan } = view;
    Account {
        id: account.id.to_string(),
        external_id: account.external_id.map(|id| id.to_string()),
        email: account.email.to_string(),
        name: account.name.to_string(),
        status: account.status.as_str().to_owned(),
        plan: PlanRef { id: plan.id.to_string(), name: plan.name },
        keys: KeyCount { active: account.active_keys, limit: plan.active_keys },
        created_at: account.created_at.to_string(),
    }
}

/// `now` decides what has expired; one reading for all keys of an answer.
pub(crate) fn key(key: &ApiKey, now: Timestamp) -> Key {
    Key {
        id: key.id.to_string(),
        account_id: key.account_id.to_string(),
        name: key.name.to_string(),
        environment: key.environment.as_ref().map(ToString::to_string),
        mask: key.mask.to_string(),
        status: key.status(now).as_str().to_owned(),
        created_at: key.created_at.to_string(),
        last_used_at: key.last_used_at.map(|at| at.to_string()),
        expires_at: key.expires_at.map(|at| at.to_string()),
        revoked_at: key.revoked.map(|(at, _)| at.to_string()),
        revoked_reason: key.revoked.map(|(_, reason)| reason.as_str().to_owned()),
        previous: key.previous_at(now).map(|previous| PreviousSecret {
            mask: previous.mask.to_string(),
            works_until: previous.works_until.to_string(),
        }),
    }
}

pub(crate) fn created_key(created: &Created<ApiKey>, now: Timestamp) -> CreatedKey {
    let (secret, secret_status) = once(created.secret.as_ref());
    CreatedKey { key: key(&created.value, now), secret, secret_status }
}

pub(crate) fn rotated_key(rotated: &Created<RotatedKey>, now: Timestamp) -> CreatedKey {
    let (secret, secret_status) = once(rotated.secret.as_ref());
    CreatedKey { key: key(&rotated.value.key, now), secret, secret_status }
}

pub(crate) fn receipt(receipt: &ControlReceipt) -> Receipt {
    Receipt {
        id: receipt.key.id.to_string(),
        revoked_at: receipt.revoked_at.to_string(),
        nodes_confirmed: receipt.confirmation.nodes_confirmed,
        nodes_expired: receipt.confirmation.nodes_expired,
        took_ms: u64::try_from(receipt.confirmation.took.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(crate) fn link(link: &NewLink) -> Link {
    Link {
        url: link.url.reveal().to_owned(),
        kind: link.kind.as_str().to_owned(),
        expires_at: link.expires_at.to_string(),
    }
}

pub(crate) fn token(token: &ApiToken) -> Token {
    Token {
        id: token.id.to_string(),
        name: token.name.to_string(),
        scope: token.scope.as_str().to_owned(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
    }
}

pub(crate) fn created_token(created: &Created<ApiToken>) -> CreatedToken {
    let (secret, secret_status) = once(created.secret.as_ref());
    CreatedToken { token: token(&created.value), secret, secret_status }
}

/// The secret, or why there is none: the repeat of a call answers without it.
fn once(secret: Option<&Secret>) -> (Option<String>, Option<String>) {
    match secret {
        Some(secret) => (Some(secret.reveal().to_owned()), None),
        None => (None, Some("already_delivered".to_owned())),
    }
}

pub(crate) fn audit_event(event: StoredEvent) -> AuditEvent {
    AuditEvent {
        id: event.id.to_string(),
        at: event.at.to_string(),
        action: event.action,
        actor: Actor {
            kind: event.actor.kind.as_str().to_owned(),
            id: event.actor.id,
            name: event.actor.name,
        },
        account_id: event.account_id.map(|id| id.to_string()),
        target: Target { kind: event.target_kind, id: event.target_id },
        ip: event.ip,
        user_agent: event.user_agent,
        request_id: event.request_id,
        details: event.details.into_iter().collect(),
    }
}

pub(crate) fn usage_day(usage: &CountedUse) -> UsageDay {
    UsageDay {
        key_id: usage.key_id.to_string(),
        day: usage.starts_at.date(),
        allowed: usage.counts.allowed,
        limited: usage.counts.limited,
        refused: usage.counts.refused,
    }
}

pub(crate) fn key_usage(usage: &CountedUse) -> KeyUsage {
    let answers = usage.counts.answers;
    KeyUsage {
        key_id: usage.key_id.to_string(),
        starts_at: usage.starts_at.to_string(),
        period: usage.period.as_str().to_owned(),
        allowed: usage.counts.allowed,
        limited: usage.counts.limited,
        refused: usage.counts.refused,
        answers: AnswerCounts {
            successful: answers.successful,
            redirection: answers.redirection,
            client_error: answers.client_error,
            server_error: answers.server_error,
        },
    }
}

pub(crate) fn rate_limit(budget: &BudgetState) -> RateLimit {
    RateLimit {
        per_minute: budget.limit.per_minute.get(),
        burst: budget.limit.burst.get(),
        remaining: budget.remaining,
        reset_seconds: budget.reset_seconds,
    }
}
