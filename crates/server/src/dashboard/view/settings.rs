//! `/settings`: API Keys, Notifications, Account, on one page.

use askama::Template;

use super::frame::Frame;
use super::keys::{ENVIRONMENTS, EXPIRY_CHOICES, KeyList, KeysSection, LastUsed};
use super::notifications::NotificationsSection;

/// The page.
#[derive(Debug, Clone, Template)]
#[template(path = "settings.html")]
pub struct SettingsPage {
    /// Frame.
    pub frame: Frame,
    /// *API Keys*.
    pub keys: KeysSection,
    /// *Notifications*.
    pub notifications: NotificationsSection,
    /// *Account*.
    pub account: AccountSection,
}

/// The section *Account*.
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
}
