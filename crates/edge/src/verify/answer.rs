//! The answer as it is written: from the decision straight into the body.
//!
//! Its members are those of `rndrkit_api::verify::VerifyAnswer`, which a test holds it to.

use std::fmt::Display;

use rndrkit_api::error::Problem;
use rndrkit_api::public::RateLimit;
use rndrkit_domain::decision::{BudgetState, Caller, Decision};
use rndrkit_domain::id::RequestId;
use serde::{Serialize, Serializer};

use crate::problem::ReplyHeader;

/// Room for every answer but those with unusually long names; more is written too.
pub(super) const BYTES: usize = 1_024;

#[derive(Serialize)]
pub(super) struct Answer<'a> {
    valid: bool,
    code: &'static str,
    status: u16,
    key: Option<Key>,
    account: Option<Account<'a>>,
    rate_limit: Option<RateLimit>,
    #[serde(serialize_with = "as_members")]
    headers: &'a [ReplyHeader],
    problem: Option<&'a Problem>,
    request_id: Shown<RequestId>,
}

#[derive(Serialize)]
struct Key {
    id: Shown<rndrkit_domain::id::KeyId>,
}

#[derive(Serialize)]
struct Account<'a> {
    id: Shown<rndrkit_domain::id::AccountId>,
    external_id: Option<&'a str>,
    plan: Plan<'a>,
}

#[derive(Serialize)]
struct Plan<'a> {
    id: &'a str,
    name: &'a str,
}

/// What is written as it is displayed.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn as_members<S: Serializer>(headers: &[ReplyHeader], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| (name, value)))
}

/// What goes with a decision.
pub(super) struct Reply<'a> {
    /// The name of the caller's plan.
    pub(super) plan_name: &'a str,
    /// Headers that the asker should reply with.
    pub(super) headers: &'a [ReplyHeader],
    /// The body that the asker should reply with.
    pub(super) problem: Option<&'a Problem>,
    pub(super) request_id: RequestId,
}

impl<'a> Answer<'a> {
    pub(super) fn new(decision: &'a Decision, budget: Option<&BudgetState>, reply: &Reply<'a>) -> Self {
        let caller = decision.caller();
        Self {
            valid: reply.problem.is_none(),
            code: decision.code(),
            status: reply.problem.map_or(200, |problem| problem.status),
            key: caller.map(|caller| Key { id: Shown(caller.key_id) }),
            account: caller.map(|caller| account(caller, reply.plan_name)),
            rate_limit: budget.map(rate_limit),
            headers: reply.headers,
            problem: reply.problem,
            request_id: Shown(reply.request_id),
        }
    }
}

fn account<'a>(caller: &'a Caller, plan_name: &'a str) -> Account<'a> {
    Account {
        id: Shown(caller.account_id),
        external_id: caller.external_id.as_ref().map(|id| id.as_str()),
        plan: Plan { id: caller.plan.as_str(), name: plan_name },
    }
}

fn rate_limit(budget: &BudgetState) -> RateLimit {
    RateLimit {
        per_minute: budget.limit.per_minute.get(),
        burst: budget.limit.burst.get(),
        remaining: budget.remaining,
        reset_seconds: budget.reset_seconds,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rndrkit_api::error::ErrorCode;
    use rndrkit_api::verify::VerifyAnswer;
    use rndrkit_domain::decision::Denial;
    use rndrkit_domain::id::{AccountId, KeyId};
    use rndrkit_domain::plan::{PlanId, RateLimit as Limit};
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1)
    }

    fn caller() -> Caller {
        Caller {
            key_id: KeyId::generate(now(), &OsEntropy),
            account_id: AccountId::generate(now(), &OsEntropy),
            external_id: None,
            plan: PlanId::parse("agency").unwrap(),
        }
    }

    fn budget() -> BudgetState {
        let limit = Limit { per_minute: NonZeroU32::new(60).unwrap(), burst: NonZeroU32::new(9).unwrap() };
        BudgetState { limit, remaining: 8, reset_seconds: 1 }
    }

    /// Nothing is missing, and nothing is there that a client does not read.
    #[test]
    fn what_is_written_is_the_answer_of_the_api_member_for_member() {
        let request_id = RequestId::generate(now(), &OsEntropy);
        let headers = [("RateLimit", "\"account\";r=8;t=1".to_owned())];
        let problem = Problem::new(ErrorCode::PlanRequired, "Upgrade.", "req_1");
        let allowed = Decision::Allowed { caller: caller(), budget: budget() };
        let refused = Decision::Denied { denial: Denial::PlanRequired, caller: Some(caller()), budget: None };
        for (decision, budget, problem) in [
            (&allowed, Some(budget()), None),
            (&refused, None, Some(&problem)),
            (&Decision::denied(Denial::InvalidKey), None, Some(&problem)),
        ] {
            let reply = Reply { plan_name: "Agency \"+\"", headers: &headers, problem, request_id };
            let written = serde_json::to_value(Answer::new(decision, budget.as_ref(), &reply)).unwrap();
            let read: VerifyAnswer = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), written);
            assert_eq!(read.valid, problem.is_none());
            assert_eq!(read.status, problem.map_or(200, |problem| problem.status));
            assert_eq!(read.request_id, request_id.to_string());
        }
    }
}
