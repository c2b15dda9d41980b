//! Audit events: who did what to what, from where. Written in the transaction of the change itself.

use crate::id::{AccountId, EventId, RequestId};
use crate::time::Timestamp;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// What was done. The words are stable: `object.verb`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)+ }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

actions! {
    /// An account was made.
    AccountCreated = "account.created",
    /// Name, e-mail or external id changed.
    AccountUpdated = "account.updated",
    /// The plan changed.
    AccountPlanChanged = "account.plan_changed",
    /// The operator stopped the account.
    AccountSuspended = "account.suspended",
    /// The operator let it go on.
    AccountResumed = "account.resumed",
    /// The account was deleted and its personal data erased.
    AccountDeleted = "account.deleted",
    /// A person joined an account.
    UserCreated = "user.created",
    /// Somebody signed in.
    UserSignedIn = "user.signed_in",
    /// A sign-in was refused.
    UserSignInFailed = "user.sign_in_failed",
    /// Somebody signed out.
    UserSignedOut = "user.signed_out",
    /// A password was set through a reset link.
    UserPasswordReset = "user.password_reset",
    /// A person changed their password.
    UserPasswordChanged = "user.password_changed",
    /// A person asked for another e-mail address; the new one has not confirmed yet.
    UserEmailChangeAsked = "user.email_change_asked",
    /// A person's e-mail address changed.
    UserEmailChanged = "user.email_changed",
    /// A person ended all sessions but the one they sit at.
    UserSignedOutEverywhere = "user.signed_out_everywhere",
    /// A person ended one session of theirs.
    UserSessionEnded = "user.session_ended",
    /// An account chose which notifications it wants.
    NotificationsChanged = "notifications.changed",
    /// A link was made.
    LinkCreated = "link.created",
    /// A key was made.
    KeyCreated = "key.created",
    /// A key was ended.
    KeyRevoked = "key.revoked",
    /// A key got another secret.
    KeyRotated = "key.rotated",
    /// The old secret of a rotated key was ended before its time.
    KeyPreviousEnded = "key.previous_ended",
    /// What a key is called, or where it is used, changed.
    KeyUpdated = "key.updated",
    /// A key is about to end by itself.
    KeyExpiring = "key.expiring",
    /// A key was not used for long.
    KeyUnused = "key.unused",
    /// Requests of an account were refused because its budget was spent.
    AccountLimitReached = "account.limit_reached",
    /// A token was made.
    TokenCreated = "token.created",
    /// A token was ended.
    TokenDeleted = "token.deleted",
    /// The plans of the installation changed.
    PlansChanged = "plans.changed",
}

/// Kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorType {
    /// Whoever holds the operator token or a token made with it.
    Operator,
    /// A signed-in person.
    User,
    /// Whoever held an API key's secret.
    Key,
    /// The server itself.
    System,
    /// Nobody known (a failed sign-in).
    Anonymous,
}

impl ActorType {
    const ALL: [Self; 5] = [Self::Operator, Self::User, Self::Key, Self::System, Self::Anonymous];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::User => "user",
            Self::Key => "key",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Kind.
    pub kind: ActorType,
    /// Id of the user, token or key; none for the operator token of the settings.
    pub id: Option<String>,
    /// Name for people: e-mail, token name, key name.
    pub name: Option<String>,
}

/// What it was done to: the type is the id's own kind (`account`, `key`, `user`, `token`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Kind, one word.
    pub kind: &'static str,
    /// Id.
    pub id: String,
}

/// Where a request came from; goes into every audit event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Client address.
    pub ip: Option<std::net::IpAddr>,
    /// The client's own description of itself, cut to 256 characters.
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: Option<RequestId>,
}

/// An event about to be written. The store adds position and hashes.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// Who.
    pub actor: Actor,
    /// The account concerned.
    pub account_id: Option<AccountId>,
    /// What it was done to.
    pub target: Target,
    /// From where.
    pub origin: Origin,
    /// More facts, as pairs; values are for people and programs, never secrets.
    pub details: Vec<(&'static str, String)>,
}

/// An event as read back. `target_kind` and details are free text from the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What, as its word.
    pub action: String,
    /// Who.
    pub actor: Actor,
    /// The account concerned.
    pub account_id: Option<AccountId>,
    /// What kind of thing it was done to.
    pub target_kind: String,
    /// Its id.
    pub target_id: String,
    /// From where.
    pub ip: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// More facts.
    pub details: Vec<(String, String)>,
}
