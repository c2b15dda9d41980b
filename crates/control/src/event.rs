//! Building audit events.

use rndrkit_domain::audit::{Action, NewEvent, Target};
use rndrkit_domain::id::{AccountId, EventId, KeyId, TokenId, UserId};
use rndrkit_domain::time::Timestamp;

use crate::{Context, Control};

/// What an event is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Account(AccountId),
    Key(KeyId),
    User(UserId),
    Token(TokenId),
    Plans,
}

impl Subject {
    fn target(self) -> Target {
        let (kind, id) = match self {
            Self::Account(id) => ("account", id.to_string()),
            Self::Key(id) => ("key", id.to_string()),
            Self::User(id) => ("user", id.to_string()),
            Self::Token(id) => ("token", id.to_string()),
            Self::Plans => ("plans", "plans".to_owned()),
        };
        Target { kind, id }
    }
}

impl Control {
    pub(crate) fn event(
        &self,
        context: &Context,
        at: Timestamp,
        action: Action,
        account_id: Option<AccountId>,
        subject: Subject,
    ) -> NewEvent {
        NewEvent {
            id: EventId::generate(at, self.entropy()),
            at,
            action,
            actor: context.actor(),
            account_id,
            target: subject.target(),
            origin: context.origin.clone(),
            details: Vec::new(),
        }
    }
}
