//! The section *Account* of the settings: who one is here, password and address, and the browsers that are signed in.

use super::frame::Notice;
use super::{Field, Moment};

/// The section.
#[derive(Debug, Clone)]
pub struct AccountSection {
    /// Display name.
    pub name: String,
    /// Contact address.
    pub email: String,
    /// With what this person signed in; none when an operator's link opened the dashboard.
    pub signed_in_as: Option<String>,
    /// Id, for talks with the operator.
    pub id: String,
    /// What a form has just done or not done, said where the person looks.
    pub notices: Vec<Notice>,
    /// *Change e-mail*.
    pub address: AddressForm,
    /// The new address that has not confirmed yet.
    pub waiting: Option<WaitingAddress>,
    /// Whether this installation sends mail, without which no address can confirm.
    pub sends_mail: bool,
    /// *Change password*.
    pub password: PasswordForm,
    /// The least characters of a password.
    pub password_min_length: usize,
    /// *Signed-in browsers*.
    pub browsers: BrowserList,
}

/// The form *Change password*. What was typed is never given back.
#[derive(Debug, Clone, Default)]
pub struct PasswordForm {
    /// What is wrong with the current password.
    pub current_problem: Option<String>,
    /// What is wrong with the new one.
    pub new_problem: Option<String>,
}

impl PasswordForm {
    /// Whether the form is unfolded: something in it needs to be corrected.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.current_problem.is_some() || self.new_problem.is_some()
    }
}

/// The form *Change e-mail*.
#[derive(Debug, Clone, Default)]
pub struct AddressForm {
    /// The new address.
    pub email: Field,
    /// What is wrong with the current password.
    pub current_problem: Option<String>,
}

impl AddressForm {
    /// Whether the form is unfolded: something in it needs to be corrected.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.email.problem.is_some() || self.current_problem.is_some()
    }
}

/// A new address that has not confirmed yet.
#[derive(Debug, Clone)]
pub struct WaitingAddress {
    /// The address.
    pub email: String,
    /// When its link stops working.
    pub until: Moment,
}

/// The browsers that are signed in.
#[derive(Debug, Clone)]
pub enum BrowserList {
    /// They could not be read; never drawn as nobody.
    Unavailable,
    /// They are known, this one first.
    Known(Vec<BrowserRow>),
}

/// A browser that is signed in.
#[derive(Debug, Clone)]
pub struct BrowserRow {
    /// Names its session in forms.
    pub handle: String,
    /// `Firefox on Linux`.
    pub name: String,
    /// Whether it is the one that looks.
    pub this: bool,
    /// Whether a link opened it.
    pub by_link: bool,
    /// Its address.
    pub address: Option<String>,
    /// When it signed in.
    pub signed_in: Moment,
    /// When it was last used.
    pub last_active: Moment,
}
