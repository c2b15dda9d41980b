//! `/billing`: *Plans and Pricing*.

use askama::Template;

use super::frame::Frame;

/// The page.
#[derive(Debug, Clone, Template)]
#[template(path = "billing.html")]
pub struct BillingPage {
    /// Frame.
    pub frame: Frame,
    /// Plans, lowest rank first.
    pub plans: Vec<PlanCard>,
    /// Whether this page changes plans itself (`billing = off`); otherwise the operator does.
    pub changes_here: bool,
    /// Where to go after a change.
    pub return_to: Option<String>,
    /// The account's address, to name to whoever changes plans.
    pub account_email: String,
    /// `Agency and Agency+ plans`; empty when no plan has API access.
    pub plans_with_access: String,
    /// `Starter or Pro`; empty when every plan has it.
    pub plans_without_access: String,
}

/// Where a plan stands beside the account's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Below it.
    Lower,
    /// It is the account's plan.
    Current,
    /// Above it.
    Higher,
}

/// One plan.
#[derive(Debug, Clone)]
pub struct PlanCard {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where it stands beside the account's plan.
    pub rank: Rank,
    /// Whether keys of its accounts are let through.
    pub api_access: bool,
    /// Keys.
    pub active_keys: String,
    /// Rate.
    pub rate: String,
    /// Burst.
    pub burst: String,
    /// What changing to it would break, in one sentence.
    pub warning: Option<String>,
    /// What to tick before changing to it, when every key stops working.
    pub confirm: Option<String>,
    /// Whether the form came without that tick.
    pub unconfirmed: bool,
    /// Whether this is the page's one main action.
    pub recommended: bool,
}

impl PlanCard {
    /// Whether the account is on it.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.rank == Rank::Current
    }

    /// Whether changing to it is an upgrade.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.rank == Rank::Higher
    }
}
