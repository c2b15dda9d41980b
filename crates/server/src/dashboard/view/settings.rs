//! `/settings`: API Keys, Notifications, Account, on one page.

use askama::Template;

use super::account::{AccountSection, BrowserList};
use super::frame::Frame;
use super::keys::{ENVIRONMENTS, EXPIRY_CHOICES, KeyList, KeysSection, LastUsed};
use super::notifications::NotificationsSection;
use super::rotation::OVERLAP_CHOICES;

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
