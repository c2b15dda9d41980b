//! What an operation can answer instead of its result. HTTP-free; causes are for logs only.

use std::fmt::Display;
use std::time::Duration;

use rndrkit_store::Error as StoreError;

use crate::confirm::ConfirmError;

/// One unacceptable value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Name of the input, such as `name`.
    pub field: &'static str,
    /// What to do about it.
    pub detail: String,
}

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such thing, or somebody else's.
    #[error("not found")]
    NotFound,
    /// The token may not do this.
    #[error("insufficient scope")]
    InsufficientScope,
    /// Values to correct.
    #[error("{} unacceptable values", .0.len())]
    Invalid(Vec<InvalidField>),
    /// A page cursor that was not made here.
    #[error("bad cursor")]
    BadCursor,
    /// Another account or user has the address.
    #[error("e-mail taken")]
    EmailTaken,
    /// Another account has the external id.
    #[error("external id taken")]
    ExternalIdTaken,
    /// The key was revoked or has expired.
    #[error("key not active")]
    KeyNotActive,
    /// The key has another secret than the form was about.
    #[error("key rotated meanwhile")]
    SecretChanged,
    /// As many active keys as the plan allows.
    #[error("key limit of {limit} reached")]
    KeyLimitReached {
        /// The plan's limit.
        limit: u32,
    },
    /// The plan has no API access.
    #[error("plan without API access")]
    PlanRequired,
    /// The operator stopped the account.
    #[error("account suspended")]
    AccountSuspended,
    /// A plan that accounts hold cannot disappear from the settings.
    #[error("plan `{plan}` is held by {accounts} accounts")]
    PlanInUse {
        /// The plan's id.
        plan: String,
        /// How many accounts are on it.
        accounts: u64,
    },
    /// Plans are changed by the operator here.
    #[error("plans are changed by the operator")]
    PlanChangeNotYours,
    /// Unknown, used or expired.
    #[error("link invalid")]
    LinkInvalid,
    /// Unknown address or wrong password; never says which.
    #[error("sign-in refused")]
    SignInRefused,
    /// An operator's link opened this dashboard, so there is no person whose password or address it could be.
    #[error("signed in by a link")]
    SignedInByLink,
    /// This installation sends no mail, so no address can be confirmed.
    #[error("no mail is sent here")]
    NoMail,
    /// Slowed down.
    #[error("too many attempts, wait {retry_after:?}")]
    TooManyAttempts {
        /// When the next attempt is looked at.
        retry_after: Duration,
    },
    /// Sign-up is not open to strangers.
    #[error("sign-up closed")]
    SignUpClosed,
    /// The first call with this idempotency key is still running.
    #[error("idempotency key in progress")]
    IdempotencyInProgress,
    /// The idempotency key came with another body before.
    #[error("idempotency key reused with another body")]
    IdempotencyMismatch,
    /// We do not know, or cannot now. The change may or may not have happened; repeating it is safe.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Our fault.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn internal(cause: impl Display) -> Self {
        Self::Internal(cause.to_string())
    }

    pub(crate) fn invalid(field: &'static str, detail: impl Display) -> Self {
        Self::Invalid(vec![InvalidField { field, detail: detail.to_string() }])
    }

    /// What people may read.
    #[must_use]
    pub fn public_text(&self) -> String {
        match self {
            Self::NotFound => "There is nothing here, or it is not yours.".to_owned(),
            Self::InsufficientScope => "This token's scope does not allow this. Use a wider one.".to_owned(),
            Self::Invalid(fields) => match fields.as_slice() {
                [only] => only.detail.clone(),
                _ => "Correct the marked values and try again.".to_owned(),
            },
            Self::BadCursor => "Use `after` exactly as `next_cursor` gave it.".to_owned(),
            Self::EmailTaken => "Another account uses this e-mail address.".to_owned(),
            Self::ExternalIdTaken => "Another account has this external id.".to_owned(),
            Self::KeyLimitReached { limit } => {
                format!("This account has {limit} of {limit} active API keys. Delete one to create another.")
            }
            Self::KeyNotActive => {
                "This key was deleted or has expired, so it gets no new secret. Create another key."
                    .to_owned()
            }
            Self::SecretChanged => {
                "Somebody rotated this key since this page was loaded, so its secrets are others now. Look at the \
                 key again before you decide."
                    .to_owned()
            }
            Self::PlanRequired => "API keys are not part of this account's plan. Upgrade to a plan with API \
                access."
                .to_owned(),
            Self::AccountSuspended => "This account is suspended. Contact support to resume it.".to_owned(),
            Self::PlanInUse { plan, accounts } => format!(
                "plans: `{plan}` is missing, but {accounts} accounts are on it. Put it back, or move them to \
                 another plan first (rndrkit account set-plan)."
            ),
            Self::PlanChangeNotYours => "Plans are changed by the operator of this service. Contact support \
                to change yours."
                .to_owned(),
            Self::LinkInvalid => {
                "This link was used already, has expired, or was replaced. Ask for a new one.".to_owned()
            }
            Self::SignInRefused => "The e-mail address or the password is not right.".to_owned(),
            Self::SignedInByLink => {
                "You came in through a link from whoever runs this service, so there is no \
                password and no address of yours here. Sign in with a password to change them."
                    .to_owned()
            }
            Self::NoMail => {
                "This installation sends no mail, so it cannot confirm an address. Whoever runs it can \
                change yours."
                    .to_owned()
            }
            Self::TooManyAttempts { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).max(1);
                let unit = if seconds == 1 { "second" } else { "seconds" };
                format!("Too many attempts. Try again in {seconds} {unit}.")
            }
            Self::SignUpClosed => "You need an invite link to sign up here. Ask for one.".to_owned(),
            Self::IdempotencyInProgress => {
                "The first call with this Idempotency-Key is still running. Repeat it in a moment.".to_owned()
            }
            Self::IdempotencyMismatch => {
                "This Idempotency-Key was used with another body. Use a new one.".to_owned()
            }
            Self::Unavailable(_) => {
                "The service cannot do this right now. What you asked for may or may not \
                have happened; repeating it is safe."
                    .to_owned()
            }
            Self::Internal(_) => "Something went wrong on our side. Try again in a moment.".to_owned(),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::EmailTaken => Self::EmailTaken,
            StoreError::ExternalIdTaken => Self::ExternalIdTaken,
            StoreError::UnknownPlan => Self::invalid("plan", crate::accounts::UNKNOWN_PLAN),
            StoreError::PlanInUse { plan, accounts } => Self::PlanInUse { plan, accounts },
            StoreError::PlanRequired => Self::PlanRequired,
            StoreError::AccountSuspended => Self::AccountSuspended,
            StoreError::KeyNotActive => Self::KeyNotActive,
            StoreError::SecretChanged => Self::SecretChanged,
            StoreError::KeyLimitReached { limit } => Self::KeyLimitReached { limit },
            StoreError::TokenLimitReached => Self::invalid(
                "name",
                "There are as many tokens as an installation may have. Delete one first.",
            ),
            StoreError::LinkInvalid => Self::LinkInvalid,
            // What was typed is not the password any more.
            StoreError::PasswordChanged => Self::SignInRefused,
            StoreError::Unavailable(cause) | StoreError::OutcomeUnknown(cause) => {
                Self::Unavailable(cause.to_string())
            }
            other => Self::internal(other),
        }
    }
}

impl From<ConfirmError> for Error {
    fn from(error: ConfirmError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
