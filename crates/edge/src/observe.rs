//! What a decision leaves behind for pages: who presented which secret, and what a refusal was judged by. Said
//! of known keys alone, and copied only when it is not noted already.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Method;
use http::header::{HeaderMap, HeaderName, USER_AGENT};
use rndrkit_domain::decision::{BudgetState, Caller, Decision, Denial};
use rndrkit_domain::id::RequestId;
use rndrkit_domain::observation::{
    self, BucketFacts, MAX_METHOD_CHARS, MAX_PATH_CHARS, MAX_USER_AGENT_CHARS, Refusal, RefusalFacts,
    Sighting, clean,
};

use crate::edge::{Edge, Judged};
use crate::meters::Door;

/// A request as its door knows it. Nothing is copied before somebody wants to keep it.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    /// Its name.
    pub(crate) request_id: RequestId,
    /// Who sent it, if that is known.
    pub(crate) client: Option<IpAddr>,
    /// What it asked for.
    pub(crate) cost: u32,
    /// Its method, if that is known.
    pub(crate) method: Option<&'a str>,
    /// Its path, with or without a query, if that is known.
    pub(crate) path: Option<&'a str>,
    /// What the client says it is.
    pub(crate) user_agent: Said<'a>,
}

/// What a client says it is, where that stands.
#[derive(Clone, Copy)]
pub(crate) enum Said<'a> {
    /// Among the headers.
    In(&'a HeaderMap),
    /// Told by the asker.
    Text(&'a str),
}

impl Said<'_> {
    fn user_agent(self) -> Option<String> {
        let text = match self {
            Self::In(headers) => String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes()),
            Self::Text(text) => Cow::Borrowed(text),
        };
        Some(clean(&text, MAX_USER_AGENT_CHARS)).filter(|text| !text.is_empty())
    }
}

impl<'a> Presented<'a> {
    /// One that is itself here.
    pub(crate) fn directly(
        request_id: RequestId,
        client: IpAddr,
        cost: u32,
        (method, path): (&'a Method, &'a str),
        headers: &'a HeaderMap,
    ) -> Self {
        let (client, method, path) = (Some(client), Some(method.as_str()), Some(path));
        Self { request_id, client, cost, method, path, user_agent: Said::In(headers) }
    }
}

/// The text of a header that says what a proxy was asked for.
pub(crate) fn told<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl Edge {
    /// Notes what a decision was about. Called by each door, after it.
    #[inline]
    pub(crate) fn note(&self, door: Door, judged: &Judged, presented: &Presented<'_>) {
        let Some(caller) = judged.verified.decision.caller() else { return };
        if let Some(digest) = &judged.presented {
            self.observations.saw(digest, presented.client, judged.at, || Sighting {
                digest: *digest,
                key_id: caller.key_id,
                account_id: caller.account_id,
                at: self.verifier.wall(),
                ip: presented.client,
                user_agent: presented.user_agent.user_agent(),
            });
        }
        if let Decision::Denied { denial, budget, .. } = &judged.verified.decision {
            self.note_refusal(door, *denial, budget.as_ref(), caller, presented);
        }
    }

    #[cold]
    fn note_refusal(
        &self,
        door: Door,
        denial: Denial,
        budget: Option<&BudgetState>,
        caller: &Caller,
        presented: &Presented<'_>,
    ) {
        self.observations.refused(caller.account_id, || Refusal {
            request_id: presented.request_id,
            account_id: caller.account_id,
            key_id: caller.key_id,
            at: self.verifier.wall(),
            code: denial,
            facts: self.facts(door, denial, budget, caller, presented),
            ip: presented.client,
            user_agent: presented.user_agent.user_agent(),
        });
    }

    fn facts(
        &self,
        door: Door,
        denial: Denial,
        budget: Option<&BudgetState>,
        caller: &Caller,
        presented: &Presented<'_>,
    ) -> RefusalFacts {
        let (api_access, account_status) = RefusalFacts::judged(denial);
        let method = presented.method.map(|text| clean(text, MAX_METHOD_CHARS));
        // Secrets do get into query strings, and are not to be kept.
        let path = presented.path.and_then(|text| text.split(['?', '#']).next());
        let path = path.map(|text| clean(text, MAX_PATH_CHARS));
        RefusalFacts {
            door: door.observed(),
            method: method.filter(|text| !text.is_empty()),
            path: path.filter(|text| !text.is_empty()),
            plan: caller.plan.clone(),
            plan_name: Some((self.options.plan_names)(&caller.plan)),
            api_access,
            account_status,
            cost: presented.cost,
            bucket: budget.map(|budget| self.bucket(budget)),
        }
    }

    fn bucket(&self, budget: &BudgetState) -> BucketFacts {
        BucketFacts {
            limit: budget.limit,
            before: budget.remaining,
            after: budget.remaining,
            retry_after_seconds: budget.reset_seconds,
            shared: self.verifier.shares_budgets(),
        }
    }
}

impl Door {
    /// The door as pages know it.
    const fn observed(self) -> observation::Door {
        match self {
            Self::Gateway => observation::Door::Gateway,
            Self::Own => observation::Door::OwnCalls,
            Self::Verify => observation::Door::Verify,
            Self::Authz => observation::Door::ForwardAuth,
        }
    }
}
