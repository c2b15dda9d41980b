//! The section *Notifications* of the settings, and its form.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use rndrkit_control::NotificationSettings;
use rndrkit_domain::notification::NotificationKind;

use super::answer::see_other;
use super::failure::Failure;
use super::form::PageForm;
use super::state::DashboardState;
use super::view::notifications::{ChoiceRow, Choices, NotificationsSection};
use super::view::words;
use super::visitor::SignedIn;

/// Addresses that the page names; it counts the others.
const ADDRESSES_SHOWN: usize = 3;

/// `POST /settings/notifications`: the ticked boxes, one field each.
pub(super) async fn choose(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageForm(ticked): PageForm<BTreeMap<String, String>>,
) -> Result<Response, Failure> {
    let wanted: Vec<NotificationKind> =
        ticked.keys().filter_map(|word| NotificationKind::parse(word)).collect();
    state.control().choose_notifications(&who.context, who.account.id, &wanted).await?;
    Ok(see_other("/settings?saved=notifications#notifications"))
}

/// The section as things are now. It never keeps the rest of the page from being shown: a new secret may be on it.
pub(super) async fn section(state: &DashboardState, who: &SignedIn, saved: bool) -> NotificationsSection {
    let choices = match state.control().notification_settings(&who.context, who.account.id).await {
        Ok(settings) => Some(choices(&settings)),
        Err(error) => {
            tracing::warn!(%error, "notifications cannot be shown");
            None
        }
    };
    let saved = saved && choices.as_ref().is_some_and(|choices| choices.sends_mail);
    NotificationsSection { choices, saved }
}

fn choices(settings: &NotificationSettings) -> Choices {
    let row = |(kind, on): &(NotificationKind, bool)| {
        let (label, hint) = wording(*kind);
        ChoiceRow { word: kind.as_str(), label, hint, on: *on }
    };
    Choices {
        rows: settings.choices.iter().map(row).collect(),
        recipients: recipients(settings),
        sends_mail: settings.sends_mail,
    }
}

fn recipients(settings: &NotificationSettings) -> String {
    let mut names: Vec<String> =
        settings.recipients.iter().take(ADDRESSES_SHOWN).map(ToString::to_string).collect();
    let others = settings.recipients.len().saturating_sub(names.len());
    if others > 0 {
        names.push(words::count(u64::try_from(others).unwrap_or(u64::MAX), "other"));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    words::list(&names, "and")
}

const fn wording(kind: NotificationKind) -> (&'static str, &'static str) {
    match kind {
        NotificationKind::KeyCreated => ("Key created", "Who made it, and from where."),
        NotificationKind::KeyDeleted => ("Key deleted", "Requests with it get 401 Unauthorized."),
        NotificationKind::KeyRotated => ("Key rotated", "With the time at which the old secret ends."),
        NotificationKind::KeyExpiring => ("Key expiring", "7 days and 1 day before it ends by itself."),
        NotificationKind::KeyUnused => ("Key unused", "When nobody has used it for 30 days, and for 90."),
        NotificationKind::LimitReached => {
            ("Limit reached", "When requests get 429 Too Many Requests; at most once a day.")
        }
        NotificationKind::NewPlace => ("Sign-in from a new place", "Only the person who signs in is told."),
        NotificationKind::PlanChanged => ("Plan changed", "Which one it was, and which it is now."),
        NotificationKind::WeeklySummary => {
            ("Weekly summary", "Every Monday: requests by key, and keys that nobody uses.")
        }
    }
}
