//! The settings that operations depend on.

use std::time::Duration;

use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::plan::PlanId;

/// Who may sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpPolicy {
    /// Anybody.
    Open,
    /// Whoever has an invite link.
    Invite,
    /// Nobody, not even with an invite link made earlier.
    Closed,
}

/// Who changes plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Users, freely.
    Off,
    /// The operator API only.
    Operator,
}

/// The settings that operations depend on.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// Origin of the dashboard, without a trailing slash.
    pub public_url: String,
    /// What people see.
    pub brand_name: String,
    /// Who may sign up.
    pub sign_up: SignUpPolicy,
    /// Who changes plans.
    pub billing: Billing,
    /// The plan of new accounts.
    pub default_plan: PlanId,
    /// What new secrets begin with.
    pub key_prefix: KeyPrefix,
    /// Characters that a password must have.
    pub password_min_length: usize,
    /// The age of a secret from which on the dashboard suggests to rotate it; none: at no age.
    pub rotate_after: Option<Duration>,
    /// Whether this installation sends mail.
    pub sends_mail: bool,
}
