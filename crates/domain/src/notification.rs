//! What an account can be told of by e-mail, and which of it unless it chooses otherwise.

use crate::audit::{Action, NewEvent};
use crate::id::UserId;

/// Name of the detail of an event that begins a session, which says whether the person had signed in from there before.
pub const NEW_PLACE: &str = "new_place";
/// The value of [`NEW_PLACE`] when not.
pub const NEW_PLACE_YES: &str = "yes";

/// A kind of news that an account can switch on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotificationKind {
    /// A key was made.
    KeyCreated,
    /// A key was deleted.
    KeyDeleted,
    /// A key got another secret.
    KeyRotated,
    /// A key ends soon by itself.
    KeyExpiring,
    /// A key was not used for long.
    KeyUnused,
    /// Requests were refused because the account's budget was spent.
    LimitReached,
    /// Somebody signed in from where they had not before.
    NewPlace,
    /// The account is on another plan.
    PlanChanged,
    /// What the keys did last week.
    WeeklySummary,
}

impl NotificationKind {
    /// Every kind, in the order of the page.
    pub const ALL: [Self; 9] = [
        Self::KeyCreated,
        Self::KeyDeleted,
        Self::KeyRotated,
        Self::KeyExpiring,
        Self::KeyUnused,
        Self::LimitReached,
        Self::NewPlace,
        Self::PlanChanged,
        Self::WeeklySummary,
    ];

    /// The word in forms and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "key_created",
            Self::KeyDeleted => "key_deleted",
            Self::KeyRotated => "key_rotated",
            Self::KeyExpiring => "key_expiring",
            Self::KeyUnused => "key_unused",
            Self::LimitReached => "limit_reached",
            Self::NewPlace => "new_place",
            Self::PlanChanged => "plan_changed",
            Self::WeeklySummary => "weekly_summary",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether an account that has chosen nothing gets it. What somebody may have to act on, it does; a summary
    /// comes to those who ask for it.
    #[must_use]
    pub const fn on_by_default(self) -> bool {
        !matches!(self, Self::WeeklySummary)
    }

    /// The news that an event is; none when it is none.
    #[must_use]
    pub fn of_event(event: &NewEvent) -> Option<Self> {
        match event.action {
            Action::KeyCreated => Some(Self::KeyCreated),
            Action::KeyRevoked => Some(Self::KeyDeleted),
            Action::KeyRotated => Some(Self::KeyRotated),
            Action::KeyExpiring => Some(Self::KeyExpiring),
            Action::KeyUnused => Some(Self::KeyUnused),
            Action::AccountLimitReached => Some(Self::LimitReached),
            Action::AccountPlanChanged => Some(Self::PlanChanged),
            // A new password begins a session, too.
            Action::UserSignedIn | Action::UserPasswordChanged | Action::UserPasswordReset => {
                is_from_new_place(event).then_some(Self::NewPlace)
            }
            _ => None,
        }
    }

    /// Whom an event of this kind is told, when it is one person and not everybody of the account.
    #[must_use]
    pub fn only_user(self, event: &NewEvent) -> Option<UserId> {
        if self == Self::NewPlace { event.target.id.parse().ok() } else { None }
    }
}

fn is_from_new_place(event: &NewEvent) -> bool {
    event.target.kind == "user"
        && event.details.iter().any(|(name, value)| *name == NEW_PLACE && value == NEW_PLACE_YES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, ActorType, Origin, Target};
    use crate::id::EventId;
    use crate::random::OsEntropy;
    use crate::time::Timestamp;

    #[test]
    fn words_read_back() {
        for kind in NotificationKind::ALL {
            assert_eq!(NotificationKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(NotificationKind::parse("email_confirmation"), None, "nobody switches that off");
    }

    #[test]
    fn a_sign_in_is_news_to_that_person_and_only_from_a_new_place() {
        let at = Timestamp::from_unix_ms(1_700_000_000_000);
        let user = UserId::generate(at, &OsEntropy);
        let mut event = NewEvent {
            id: EventId::generate(at, &OsEntropy),
            at,
            action: Action::UserSignedIn,
            actor: Actor { kind: ActorType::User, id: Some(user.to_string()), name: None },
            account_id: None,
            target: Target { kind: "user", id: user.to_string() },
            origin: Origin::default(),
            details: Vec::new(),
        };
        assert_eq!(NotificationKind::of_event(&event), None);
        event.details.push((NEW_PLACE, NEW_PLACE_YES.to_owned()));
        let kind = NotificationKind::of_event(&event);
        assert_eq!(kind, Some(NotificationKind::NewPlace));
        assert_eq!(kind.and_then(|kind| kind.only_user(&event)), Some(user));
        event.action = Action::UserPasswordReset;
        assert_eq!(NotificationKind::of_event(&event), Some(NotificationKind::NewPlace));
        event.action = Action::KeyCreated;
        let kind = NotificationKind::of_event(&event);
        assert_eq!(kind.and_then(|kind| kind.only_user(&event)), None, "everybody of the account");
    }
}
