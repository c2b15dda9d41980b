//! An account's own audit events, for its people: filtered, and in pages.
//!
//! What belongs to whoever runs the installation is not theirs to see: an operator's name, address and client are
//! left out here, once for every page and file.

use std::collections::BTreeMap;
use std::sync::Arc;

use rndrkit_domain::audit::{Action, ActorType};
use rndrkit_domain::id::{AccountId, KeyId, UserId};
use rndrkit_domain::text::{Email, Name};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_store::{ActivityActor, ActivityFilter, ActivityPlace, ChainedEvent, PageRequest};

use crate::cursor::Cursor;
use crate::{Context, Control, Error};

/// Events of one page: two screens, and one look-up of names.
const PAGE_EVENTS: u32 = 50;
/// Keys that one can choose from: far more than an account has at once.
const MAX_CHOICES: u32 = 200;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// To keys.
    Keys,
    /// Signing in and out, and what one signs in with.
    SignIns,
    /// To the account and its people.
    Account,
    /// To the plan, and what it limits.
    Plan,
    /// To notifications, and what they tell of.
    Notifications,
}

impl ActivityKind {
    /// Every kind, in the order in which one chooses.
    pub const ALL: [Self; 5] = [Self::Keys, Self::SignIns, Self::Account, Self::Plan, Self::Notifications];

    /// The word in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::SignIns => "sign-ins",
            Self::Account => "account",
            Self::Plan => "plan",
            Self::Notifications => "notifications",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The kind of an action.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        match action {
            Action::KeyCreated
            | Action::KeyRevoked
            | Action::KeyRotated
            | Action::KeyPreviousEnded
            | Action::KeyUpdated => Self::Keys,
            Action::UserSignedIn
            | Action::UserSignInFailed
            | Action::UserSignedOut
            | Action::UserSignedOutEverywhere
            | Action::UserSessionEnded
            | Action::UserPasswordReset
            | Action::UserPasswordChanged
            | Action::LinkCreated => Self::SignIns,
            Action::AccountCreated
            | Action::AccountUpdated
            | Action::AccountSuspended
            | Action::AccountResumed
            | Action::AccountDeleted
            | Action::UserCreated
            | Action::UserEmailChangeAsked
            | Action::UserEmailChanged
            | Action::TokenCreated
            | Action::TokenDeleted => Self::Account,
            Action::AccountPlanChanged | Action::AccountLimitReached | Action::PlansChanged => Self::Plan,
            Action::NotificationsChanged | Action::KeyExpiring | Action::KeyUnused => Self::Notifications,
        }
    }

    fn actions(self) -> Vec<Action> {
        Action::ALL.iter().copied().filter(|action| Self::of(*action) == self).collect()
    }
}

/// Who did something, as one chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// Somebody who signs in.
    User(UserId),
    /// Whoever runs the installation.
    Operator,
    /// The installation itself.
    Itself,
    /// Whoever held a key's secret.
    KeyHolder,
}

/// Which events are wanted; what is none filters nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivityQuery {
    /// What happened.
    pub kind: Option<ActivityKind>,
    /// To which key.
    pub key: Option<KeyId>,
    /// Who did it.
    pub person: Option<Person>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl ActivityQuery {
    pub(crate) fn filter(&self) -> ActivityFilter {
        let actor = self.person.map(|person| match person {
            Person::User(id) => ActivityActor::User(id),
            Person::Operator => ActivityActor::Kind(ActorType::Operator),
            Person::Itself => ActivityActor::Kind(ActorType::System),
            Person::KeyHolder => ActivityActor::Kind(ActorType::Key),
        });
        let actions = self.kind.map(ActivityKind::actions);
        ActivityFilter { actions, key: self.key, actor, from: self.from, until: self.until }
    }
}

/// Which page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ActivityPage {
    /// The newest events.
    #[default]
    Newest,
    /// Those before.
    Older(Cursor),
    /// Those after.
    Newer(Cursor),
}

/// Names that events do not carry, or carry as ids.
#[derive(Debug, Clone, Default)]
pub struct ActivityNames {
    /// Of keys, also of those that have ended.
    pub keys: BTreeMap<KeyId, Name>,
    /// Of people.
    pub users: Arc<BTreeMap<UserId, Email>>,
    /// Of plans, by their ids.
    pub plans: Arc<BTreeMap<String, String>>,
}

/// A page of events.
#[derive(Debug, Clone)]
pub struct Activity {
    /// Events, newest first.
    pub events: Vec<ChainedEvent>,
    /// Names.
    pub names: ActivityNames,
    /// Where older ones begin; none at the end.
    pub older: Option<Cursor>,
    /// Where newer ones begin; none at the start.
    pub newer: Option<Cursor>,
}

/// What one can choose from.
#[derive(Debug, Clone, Default)]
pub struct ActivityChoices {
    /// Keys, newest first.
    pub keys: Vec<(KeyId, Name)>,
    /// People, by address.
    pub users: Vec<(UserId, Email)>,
}

impl Control {
    /// A page of an account's events.
    pub async fn account_activity(
        &self,
        context: &Context,
        account_id: AccountId,
        query: &ActivityQuery,
        page: ActivityPage,
    ) -> Result<Activity, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        let filter = query.filter();
        let place = place(&page)?;
        let look = |place| self.store().list_activity(account_id, &filter, place, PAGE_EVENTS);
        let (place, stored) = match look(place).await? {
            // Nothing is newer: that is the newest page.
            none if none.items.is_empty() && matches!(place, ActivityPlace::After(_)) => {
                (ActivityPlace::Newest, look(ActivityPlace::Newest).await?)
            }
            some => (place, some),
        };
        let cursor = |event: Option<&ChainedEvent>| event.map(|event| Cursor::Sequence(event.seq));
        let (first, last) = (cursor(stored.items.first()), cursor(stored.items.last()));
        let (newer, older) = match place {
            ActivityPlace::Newest => (None, last.filter(|_| stored.has_more)),
            ActivityPlace::Before(_) => (first, last.filter(|_| stored.has_more)),
            ActivityPlace::After(_) => (first.filter(|_| stored.has_more), last),
        };
        let keys = self.names_of_keys(account_id, &stored.items).await?;
        let names = ActivityNames { keys, ..self.names_of_others(account_id).await? };
        Ok(Activity { events: stored.items.into_iter().map(scrubbed).collect(), names, older, newer })
    }

    /// What an account's events can be filtered by.
    pub async fn activity_choices(
        &self,
        context: &Context,
        account_id: AccountId,
    ) -> Result<ActivityChoices, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        let page = PageRequest { limit: MAX_CHOICES, after: None };
        let keys = self.store().list_keys(account_id, page).await?.items;
        let users = self.store().list_users(account_id).await?;
        Ok(ActivityChoices {
            keys: keys.into_iter().map(|key| (key.id, key.name)).collect(),
            users: users.into_iter().map(|user| (user.id, user.email)).collect(),
        })
    }

    /// Names of the keys that events are about.
    pub(crate) async fn names_of_keys(
        &self,
        account_id: AccountId,
        events: &[ChainedEvent],
    ) -> Result<BTreeMap<KeyId, Name>, Error> {
        let ids = events.iter().flat_map(|found| {
            [Some(found.event.target_id.as_str()), found.event.actor.id.as_deref()].into_iter().flatten()
        });
        let mut ids: Vec<KeyId> = ids.filter_map(|id| id.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(self.store().names_of_keys(account_id, &ids).await?)
    }

    /// Names of people and plans, the same for all events of an account.
    pub(crate) async fn names_of_others(&self, account_id: AccountId) -> Result<ActivityNames, Error> {
        let users = self.store().list_users(account_id).await?;
        let plans = self.list_plans().await?;
        Ok(ActivityNames {
            keys: BTreeMap::new(),
            users: Arc::new(users.into_iter().map(|user| (user.id, user.email)).collect()),
            plans: Arc::new(plans.into_iter().map(|plan| (plan.id.to_string(), plan.name)).collect()),
        })
    }
}

fn place(page: &ActivityPage) -> Result<ActivityPlace, Error> {
    Ok(match page {
        ActivityPage::Newest => ActivityPlace::Newest,
        ActivityPage::Older(Cursor::Sequence(seq)) => ActivityPlace::Before(*seq),
        ActivityPage::Newer(Cursor::Sequence(seq)) => ActivityPlace::After(*seq),
        ActivityPage::Older(_) | ActivityPage::Newer(_) => return Err(Error::BadCursor),
    })
}

/// Without what is the operator's own. The salt goes too: with it a name could be guessed from its hash.
pub(crate) fn scrubbed(mut found: ChainedEvent) -> ChainedEvent {
    if found.event.actor.kind == ActorType::Operator {
        found.event.actor.name = None;
        found.event.ip = None;
        found.event.user_agent = None;
        found.personal_salt = None;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_of_one_kind_and_every_kind_has_some() {
        let all: usize = ActivityKind::ALL.into_iter().map(|kind| kind.actions().len()).sum();
        assert_eq!(all, Action::ALL.len());
        for kind in ActivityKind::ALL {
            assert!(!kind.actions().is_empty(), "{kind:?}");
            assert_eq!(ActivityKind::parse(kind.as_str()), Some(kind));
        }
    }
}
