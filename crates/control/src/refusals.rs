//! Reading refused requests, for whoever wants to know why.

use std::time::Duration;

use rndrkit_domain::id::{AccountId, KeyId, RequestId};
use rndrkit_domain::observation::Refusal;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_domain::usage::{MINUTES_KEPT_FOR, UsagePeriod};

use crate::{Context, Control, Error};

/// The longest list of refusals: all that are kept of an account.
const MAX_LISTED: u32 = 200;
/// Counts of one minute that are added up: as many as keys that one account can be using.
const MAX_COUNTS: u32 = 1_000;
const MINUTE: Duration = UsagePeriod::Minute.length();

impl Control {
    /// A refused request of an account, for its own people and for the operator. Not found: it was let through, is not
    /// written yet, is too old, was one of too many, or is another account's.
    pub async fn find_refusal(
        &self,
        context: &Context,
        account_id: AccountId,
        request_id: RequestId,
    ) -> Result<Option<Refusal>, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        Ok(self.store().find_refusal(account_id, request_id).await?)
    }

    /// The last refused requests of an account, newest first; of one key if one is given.
    pub async fn list_refusals(
        &self,
        context: &Context,
        account_id: AccountId,
        key_id: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<Refusal>, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        Ok(self.store().list_refusals(account_id, key_id, limit.min(MAX_LISTED)).await?)
    }

    /// How many requests with live secrets of an account were refused in the minute of that moment, those that are not
    /// kept included. None: minutes of then are not kept any more.
    pub async fn refused_in_minute(
        &self,
        context: &Context,
        account_id: AccountId,
        at: Timestamp,
    ) -> Result<Option<u64>, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        let from = at.floor_to(MINUTE);
        if from < self.now().minus(MINUTES_KEPT_FOR) {
            return Ok(None);
        }
        let span = (from, from.plus(MINUTE));
        let counts = self.store().list_usage(account_id, UsagePeriod::Minute, span, MAX_COUNTS).await?;
        let refused = counts.iter().map(|usage| usage.counts.limited.saturating_add(usage.counts.refused));
        Ok(Some(refused.sum()))
    }
}
