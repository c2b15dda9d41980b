//! Who asks, and what they may do.

use rndrkit_domain::account::User;
use rndrkit_domain::audit::{Actor, ActorType, Origin};
use rndrkit_domain::id::{AccountId, KeyId, TokenId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::text::Name;
use rndrkit_domain::token::Scope;

use crate::Error;

/// Who asks.
#[derive(Debug, Clone)]
pub enum Principal {
    /// Whoever holds the operator token of the settings (`token` is none) or a token made with it.
    Operator {
        /// The token, if it is not the settings' own.
        token: Option<(TokenId, Name)>,
        /// What it may do.
        scope: Scope,
    },
    /// Somebody on the dashboard.
    User {
        /// Their account.
        account_id: AccountId,
        /// The person; none when an operator's sign-in link opened the dashboard.
        user: Option<User>,
        /// Digest of the session's cookie.
        session: Digest,
    },
    /// Whoever holds a key's secret.
    KeyHolder {
        /// The key's account.
        account_id: AccountId,
        /// The key.
        key_id: KeyId,
    },
    /// The server itself.
    System,
    /// Nobody known.
    Anonymous,
}

/// Who asks, and from where.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub origin: Origin,
}

impl Context {
    /// The server itself.
    #[must_use]
    pub fn system() -> Self {
        Self { principal: Principal::System, origin: Origin::default() }
    }

    /// Who asks, as the audit log names them.
    pub(crate) fn actor(&self) -> Actor {
        let (kind, id, name) = match &self.principal {
            Principal::Operator { token: None, .. } => {
                (ActorType::Operator, None, Some("operator token".to_owned()))
            }
            Principal::Operator { token: Some((id, name)), .. } => {
                (ActorType::Operator, Some(id.to_string()), Some(name.to_string()))
            }
            Principal::User { user: Some(user), .. } => {
                (ActorType::User, Some(user.id.to_string()), Some(user.email.to_string()))
            }
            Principal::User { user: None, .. } => (ActorType::User, None, Some("sign-in link".to_owned())),
            Principal::KeyHolder { key_id, .. } => (ActorType::Key, Some(key_id.to_string()), None),
            Principal::System => (ActorType::System, None, None),
            Principal::Anonymous => (ActorType::Anonymous, None, None),
        };
        Actor { kind, id, name }
    }

    /// The operator with at least this scope, or the server itself.
    pub(crate) fn require_operator(&self, needed: Scope) -> Result<(), Error> {
        match &self.principal {
            Principal::System => Ok(()),
            Principal::Operator { scope, .. } if scope.includes(needed) => Ok(()),
            Principal::Operator { .. } => Err(Error::InsufficientScope),
            // To everybody else the operator's world does not exist.
            Principal::User { .. } | Principal::KeyHolder { .. } | Principal::Anonymous => {
                Err(Error::NotFound)
            }
        }
    }

    /// The operator, or a user of this very account.
    pub(crate) fn require_operator_or_user(&self, account: AccountId, needed: Scope) -> Result<(), Error> {
        match &self.principal {
            Principal::User { account_id, .. } if *account_id == account => Ok(()),
            _ => self.require_operator(needed),
        }
    }

    /// The account that a thing to be changed must belong to; none for the operator, who may change any account's.
    pub(crate) fn only_account(&self) -> Result<Option<AccountId>, Error> {
        match &self.principal {
            Principal::User { account_id, .. } => Ok(Some(*account_id)),
            _ => self.require_operator(Scope::Admin).map(|()| None),
        }
    }

    /// The operator, a user of this very account, or the holder of one of its keys.
    pub(crate) fn require_reader_of(&self, account: AccountId) -> Result<(), Error> {
        match &self.principal {
            Principal::KeyHolder { account_id, .. } if *account_id == account => Ok(()),
            _ => self.require_operator_or_user(account, Scope::Read),
        }
    }
}
