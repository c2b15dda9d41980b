//! The shared budgets as the simulated database keeps them, in whole millionths of a request.

use std::time::Duration;

use rndrkit_domain::id::AccountId;
use rndrkit_domain::time::Timestamp;
use rndrkit_verifier::{Draw, Grant};

use crate::database::State;

/// One account's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    level_micros: i64,
    at: Timestamp,
    rate_micros: i64,
    burst_micros: i64,
    revision: i64,
}

impl State {
    /// All draws of one statement.
    pub(crate) fn draw(&mut self, draws: &[Draw], now: Timestamp) -> Vec<Grant> {
        draws.iter().map(|draw| self.draw_one(draw, now)).collect()
    }

    /// The account that the row follows, if there is one.
    pub(crate) fn budget_revision(&self, account: AccountId) -> Option<i64> {
        self.budgets.get(&account).map(|budget| budget.revision)
    }

    /// Gives back what these draws wanted: a planted fault.
    pub(crate) fn refund(&mut self, draws: &[Draw]) {
        for draw in draws {
            if let Some(budget) = self.budgets.get_mut(&draw.account) {
                let back = budget.level_micros + i64::from(draw.want) * 1_000_000;
                budget.level_micros = back.min(budget.burst_micros);
            }
        }
    }

    fn draw_one(&mut self, draw: &Draw, now: Timestamp) -> Grant {
        let account = self.now.accounts.get(&draw.account).map(|account| account.revision);
        let budget = self.budgets.entry(draw.account).or_insert(Budget {
            level_micros: draw.burst_micros,
            at: now,
            rate_micros: draw.rate_micros,
            burst_micros: draw.burst_micros,
            revision: draw.revision,
        });
        // A row newer than its account is of a lost history.
        if draw.revision < account.map_or(budget.revision, |revision| budget.revision.min(revision)) {
            return Grant::Stale;
        }
        budget.settle(now);
        budget.follow(draw);
        let wanted = i64::from(draw.want).min(budget.level_micros / 1_000_000);
        let granted = if wanted < i64::from(draw.at_least) { 0 } else { wanted };
        budget.level_micros -= granted * 1_000_000;
        Grant::Drawn { granted: u32::try_from(granted).unwrap(), left_micros: budget.level_micros }
    }
}

impl Budget {
    /// What flowed back until now, at the rate that was in force.
    fn settle(&mut self, now: Timestamp) {
        let passed = now.since(self.at).min(Duration::from_secs(3_600));
        let back = self.rate_micros * i64::try_from(passed.as_millis()).unwrap() / 1_000;
        self.level_micros = (self.level_micros + back).min(self.burst_micros);
        self.at = self.at.max(now);
    }

    fn follow(&mut self, draw: &Draw) {
        self.revision = draw.revision;
        self.rate_micros = draw.rate_micros;
        self.burst_micros = draw.burst_micros;
        self.level_micros = self.level_micros.min(draw.burst_micros);
    }
}
