//! Mail that guards the way in: it tells people of changes to their own password and address, whatever they have
//! chosen to hear.

use rndrkit_domain::mail::MailKind;

use super::{Story, Words, typed};

impl Words {
    /// The words of mail that says nothing but what its kind says; none for other kinds.
    pub(super) fn guarding(&self, kind: MailKind) -> Option<Story> {
        let brand = typed(&self.brand);
        let (subject, opening, advice) = match kind {
            MailKind::EmailInUse => (
                "This e-mail address is in use already",
                format!(
                    "somebody asked to sign in to {brand} with this e-mail address. It is in use there already, so \
                     nothing was changed."
                ),
                format!(
                    "If that was you, sign in with this address, or choose another one. If not, there is nothing to \
                     do.\n{}",
                    self.page("/sign-in")
                ),
            ),
            MailKind::EmailChangeAsked => (
                "A new e-mail address was asked for",
                format!(
                    "somebody who knows your password asked to sign in to {brand} with another e-mail address. \
                     Until that address confirms, yours stays as it is."
                ),
                self.was_it_you(),
            ),
            MailKind::EmailChanged => (
                "Your e-mail address was changed",
                format!("another e-mail address signs in to {brand} in place of this one from now on."),
                format!("If this was not you, tell whoever runs {brand} at once: they can change it back."),
            ),
            MailKind::PasswordChanged => (
                "Your password was changed",
                format!(
                    "your password for {brand} was changed, in the settings or through a link, and every other \
                     browser was signed out."
                ),
                format!(
                    "If this was you, there is nothing to do. If not, ask whoever runs {brand} at once for a link to \
                     set a new one."
                ),
            ),
            MailKind::News(_) | MailKind::EmailConfirmation => return None,
        };
        Some(Story { subject: subject.to_owned(), opening, facts: Vec::new(), advice: vec![advice] })
    }

    fn was_it_you(&self) -> String {
        format!(
            "If this was you, there is nothing to do. If not, cancel the change, change your password and sign out \
             everywhere.\n{}",
            self.page("/settings#account")
        )
    }
}
