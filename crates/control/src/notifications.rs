//! Which news an account wants by e-mail, and to whom it goes.

use rndrkit_domain::audit::Action;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::notification::NotificationKind;
use rndrkit_domain::text::Email;
use rndrkit_domain::token::Scope;

use crate::event::Subject;
use crate::{Context, Control, Error};

/// What an account is told by e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationSettings {
    /// Each kind, and whether it is wanted.
    pub choices: Vec<(NotificationKind, bool)>,
    /// Where mail goes: to those who have joined, up to a bound, or else to the account's own address.
    pub recipients: Vec<Email>,
    /// Whether this installation sends mail at all.
    pub sends_mail: bool,
}

impl Control {
    /// What an account is told by e-mail, for its own people and for the operator.
    pub async fn notification_settings(
        &self,
        context: &Context,
        account_id: AccountId,
    ) -> Result<NotificationSettings, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        let recipients = self.store().list_recipients(account_id).await?;
        if recipients.is_empty() {
            return Err(Error::NotFound);
        }
        let choices = self.store().notification_choices(account_id).await?;
        Ok(NotificationSettings { choices, recipients, sends_mail: self.settings().sends_mail })
    }

    /// Chooses: these kinds are wanted, all others are not. Whether anything changed.
    pub async fn choose_notifications(
        &self,
        context: &Context,
        account_id: AccountId,
        wanted: &[NotificationKind],
    ) -> Result<bool, Error> {
        context.require_operator_or_user(account_id, Scope::Admin)?;
        let choices: Vec<(NotificationKind, bool)> =
            NotificationKind::ALL.into_iter().map(|kind| (kind, wanted.contains(&kind))).collect();
        let at = self.now();
        let mut event = self.event(
            context,
            at,
            Action::NotificationsChanged,
            Some(account_id),
            Subject::Account(account_id),
        );
        let changed = self.store().update_notifications(account_id, &choices, self.change(at), |switched| {
            let words = |on: bool| {
                let kinds = switched.iter().filter(|(_, by_email)| *by_email == on);
                kinds.map(|(kind, _)| kind.as_str()).collect::<Vec<_>>().join(", ")
            };
            event.details = vec![("on", words(true)), ("off", words(false))];
            event.details.retain(|(_, kinds)| !kinds.is_empty());
            event
        });
        Ok(changed.await?)
    }
}
