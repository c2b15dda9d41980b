//! A refusal in plain sentences: why, by which rule, and what would pass.

use std::time::Duration;

use rndrkit_api::error::ErrorCode;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::observation::{BucketFacts, Door, Refusal, RefusalFacts};
use rndrkit_domain::plan::{Plan, RateLimit};
use rndrkit_domain::time::Timestamp;

use super::settings::plan_names;
use super::view::refusal::{Bucket, Way};
use super::view::words::{count, grouped, wait};

pub(super) const NOT_AN_ID: &str = "This is not a request id. Paste the text that begins with req_ and has 26 \
     letters and digits after it.";
pub(super) const FROM_THE_FUTURE: &str =
    "No request with this id has been made yet. Check that it was copied whole.";
pub(super) const NOT_YET: &str = "The request is only a moment old. A refusal is written within 15 seconds: try again \
     then.";
pub(super) const WHAT_IS_KEPT: &str = "Only refused requests that carried a key of your account can be explained: the \
     last 200, for 7 days. Requests that passed are counted and not kept, and a request whose key is unknown belongs \
     to no account.";

/// How things are today, for what would pass now.
pub(super) struct Today<'a> {
    pub(super) plan: &'a Plan,
    /// In order of rank.
    pub(super) plans: &'a [Plan],
    pub(super) is_active: bool,
    pub(super) brand: &'a str,
}

pub(super) fn too_old(made: Timestamp) -> String {
    format!("This request was made on {}. Refusals are kept for 7 days.", made.date_for_people())
}

/// Why a request of that moment may not be among the refusals that are kept. `refused` are those that were counted in
/// its minute; none when minutes of then are not kept any more.
pub(super) fn not_kept(made: Timestamp, refused: Option<u64>) -> String {
    const WHICH: &str = "of more than 200 refusals within 10 seconds only the first 200 are, and later ones push older \
         ones out.";
    let at = made.exact_for_people();
    match refused {
        None => format!(
            "This request was made at {at}. It passed, or it is one of those that are not kept: {WHICH} By the minute, \
             refusals are counted for 48 hours, so that nobody can tell any more which it was."
        ),
        Some(0) => format!(
            "In the minute of this request, {at}, none with a key of yours was refused for rate limit, plan or account. \
             It passed, or its key was unknown (mistyped, or another product’s), or its secret had ended (deleted, expired, \
             rotated) and it is one of those that are not kept: \
             {WHICH}"
        ),
        Some(refused) => format!(
            "In the minute of this request, {at}, {} refused. It passed, or it is one of those that are not kept: \
             {WHICH}",
            match refused {
                1 => "1 request of your keys was".to_owned(),
                many => format!("{} requests of your keys were", grouped(many)),
            }
        ),
    }
}

/// What such a refusal is answered; behind nginx the proxy's own configuration may say otherwise.
pub(super) fn status(code: Denial) -> u16 {
    ErrorCode::parse(code.as_str()).unwrap_or(ErrorCode::Internal).status()
}

/// A refusal in a few words.
pub(super) const fn name(code: Denial) -> &'static str {
    match code {
        Denial::RateLimited => "Rate limit spent",
        Denial::PlanRequired => "Plan without API access",
        Denial::AccountSuspended => "Account suspended",
        Denial::KeyExpired => "Key expired",
        Denial::KeyRevoked => "Key deleted",
        Denial::SecretReplaced => "Old secret",
        _ => "Refused",
    }
}

/// What to do about it, where there is room for one sentence.
pub(super) const fn advice(code: Denial) -> &'static str {
    match code {
        Denial::RateLimited => "Wait as long as Retry-After says, or spread the requests.",
        Denial::PlanRequired => "It needs a plan with API access.",
        Denial::AccountSuspended => "It needs an account that is not suspended.",
        Denial::KeyRevoked => "Give whatever still sends it another key.",
        Denial::SecretReplaced => "Give whatever still sends it the newer secret.",
        Denial::KeyExpired => "Give whatever still sends it a new key.",
        _ => "Look at the explanation.",
    }
}

pub(super) const fn door(door: Door) -> &'static str {
    match door {
        Door::Gateway => "Sent through the gateway",
        Door::ForwardAuth => "Sent to a proxy, which asked about it",
        Door::Verify => "Sent to a service, which asked about it",
        Door::OwnCalls => "Sent to the API for keys themselves",
    }
}

/// `POST /api/renders`, as far as it is known.
pub(super) fn request(facts: &RefusalFacts) -> Option<String> {
    match (&facts.method, &facts.path) {
        (Some(method), Some(path)) => Some(format!("{method} {path}")),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}

pub(super) fn sentence(refusal: &Refusal, plan: &str) -> String {
    match (refusal.code, refusal.facts.bucket) {
        (Denial::RateLimited, Some(bucket)) => spent(&bucket, refusal.facts.cost),
        (Denial::RateLimited, None) => "The account’s rate limit was spent.".to_owned(),
        (Denial::PlanRequired, _) => {
            format!(
                "The key was good, but the account was on the {plan} plan, which does not include API access."
            )
        }
        (Denial::AccountSuspended, _) => "The key was good, but the account was suspended.".to_owned(),
        (Denial::KeyExpired, _) => "The secret had ended: its key had expired.".to_owned(),
        (Denial::KeyRevoked, _) => "The key had been deleted.".to_owned(),
        (Denial::SecretReplaced, _) => {
            "The key had been rotated, and the time of this old secret was over.".to_owned()
        }
        (code, _) => format!("It was refused as {}.", code.as_str()),
    }
}

fn spent(bucket: &BucketFacts, cost: u32) -> String {
    let asked =
        if cost == 1 { "one was needed".to_owned() } else { format!("{} were needed", grouped(cost.into())) };
    match bucket.before {
        0 => format!("The account’s rate limit was spent: its budget was empty, and {asked}."),
        left => format!(
            "The account’s rate limit was spent: its budget held {}, and {asked}.",
            count(left.into(), "request")
        ),
    }
}

pub(super) fn rule(refusal: &Refusal) -> String {
    match (refusal.code, refusal.facts.bucket) {
        (Denial::RateLimited, Some(bucket)) => {
            format!("{}, over all keys of the account.", limit(bucket.limit))
        }
        (Denial::PlanRequired, _) => "API keys work on plans that include API access.".to_owned(),
        (Denial::AccountSuspended, _) => "The keys of a suspended account are refused.".to_owned(),
        (Denial::KeyExpired | Denial::SecretReplaced, _) => {
            "A secret is refused once it has ended.".to_owned()
        }
        (Denial::KeyRevoked, _) => "A deleted key is refused at once, and for good.".to_owned(),
        (code, _) => code.as_str().to_owned(),
    }
}

/// `100 requests at once, and 600 a minute`.
fn limit(limit: RateLimit) -> String {
    let burst = count(limit.burst.get().into(), "request");
    format!("{burst} at once, and {} a minute", grouped(limit.per_minute.get().into()))
}

pub(super) fn bucket(facts: &BucketFacts) -> Bucket {
    let of = |held: u32| {
        format!("{} of {}", grouped(held.into()), count(facts.limit.burst.get().into(), "request"))
    };
    Bucket { before: of(facts.before), after: of(facts.after), shared: facts.shared }
}

fn way(text: impl Into<String>) -> Way {
    Way { text: text.into(), link: None }
}

fn way_to(text: impl Into<String>, label: &str, address: &str) -> Way {
    Way { text: text.into(), link: Some((label.to_owned(), address.to_owned())) }
}

pub(super) fn ways(refusal: &Refusal, today: &Today<'_>) -> Vec<Way> {
    match (refusal.code, refusal.facts.bucket) {
        (Denial::RateLimited, Some(bucket)) => under_the_limit(&bucket, refusal.facts.cost, today),
        (Denial::PlanRequired, _) if today.plan.api_access => {
            vec![way(format!(
                "The same request passes now: the account is on the {} plan today.",
                today.plan.name
            ))]
        }
        (Denial::PlanRequired, _) => {
            let names = plan_names(today.plans).with_access;
            let text = match names.as_str() {
                "" => "A plan with API access, which this installation does not have.".to_owned(),
                names => format!("The same request on the {names}."),
            };
            vec![way_to(text, "Upgrading", "/billing#upgrading")]
        }
        (Denial::AccountSuspended, _) if today.is_active => {
            vec![way("The same request passes now: the account is not suspended any more.")]
        }
        (Denial::AccountSuspended, _) => {
            vec![way(format!(
                "Nothing until whoever runs {} resumes the account. No retry helps.",
                today.brand
            ))]
        }
        (Denial::SecretReplaced, _) => {
            vec![way("The same request with the key’s newer secret, which was shown when it was rotated.")]
        }
        (Denial::KeyExpired | Denial::KeyRevoked, _) => vec![way_to(
            "The same request with a key that is active. No retry with this secret helps.",
            "API Keys",
            "/settings#api-keys",
        )],
        _ => vec![way("The same request a moment later.")],
    }
}

fn under_the_limit(bucket: &BucketFacts, cost: u32, today: &Today<'_>) -> Vec<Way> {
    let burst = bucket.limit.burst.get();
    let mut ways = Vec::new();
    if cost > burst {
        ways.push(way(format!(
            "{} or fewer in one call: the budget never holds more, so that no wait would have helped.",
            count(burst.into(), "request")
        )));
    } else {
        let refill = refill_seconds(bucket, cost);
        ways.push(way(format!("The same request {} later.", wait(Duration::from_secs(refill)))));
        if bucket.before > 0 {
            ways.push(way(format!(
                "A call that costs {} or less, at that moment.",
                count(bucket.before.into(), "request")
            )));
        }
    }
    ways.push(way(format!(
        "Calls spread out to {} over all keys: they never meet this limit.",
        pace(bucket.limit)
    )));
    if let Some(larger) = larger_plan(bucket.limit, today) {
        let text = format!("More calls on the {} plan: {}.", larger.name, limit(larger.rate_limit));
        ways.push(if larger.id == today.plan.id {
            way(text)
        } else {
            way_to(text, "Upgrading", "/billing#upgrading")
        });
    }
    ways
}

/// When so many requests fit: what the answer said until the first of them, and the time in which the others flow
/// back.
fn refill_seconds(bucket: &BucketFacts, cost: u32) -> u64 {
    let others = u64::from(cost.saturating_sub(bucket.before).saturating_sub(1));
    let per_minute = u64::from(bucket.limit.per_minute.get());
    bucket.retry_after_seconds.saturating_add((others * 60).div_ceil(per_minute))
}

/// `10 a second`, `90 a minute`.
fn pace(limit: RateLimit) -> String {
    let per_minute = u64::from(limit.per_minute.get());
    if per_minute.is_multiple_of(60) {
        format!("{} a second", grouped(per_minute / 60))
    } else {
        format!("{} a minute", grouped(per_minute))
    }
}

/// Today's plan, if it allows more than that, or else the next one that does.
fn larger_plan<'a>(limit: RateLimit, today: &Today<'a>) -> Option<&'a Plan> {
    let allows_more = |plan: &&Plan| {
        plan.api_access
            && plan.rate_limit.per_minute >= limit.per_minute
            && plan.rate_limit.burst >= limit.burst
            && plan.rate_limit != limit
    };
    Some(today.plan).filter(allows_more).or_else(|| today.plans.iter().find(allows_more))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use rndrkit_domain::plan::PlanId;

    use super::*;

    fn number(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).unwrap()
    }

    fn plan(id: &str, per_minute: u32, burst: u32) -> Plan {
        Plan {
            id: PlanId::parse(id).unwrap(),
            name: id.to_uppercase(),
            api_access: true,
            active_keys: 5,
            rate_limit: RateLimit { per_minute: number(per_minute), burst: number(burst) },
        }
    }

    fn said(before: u32, cost: u32, today: usize) -> Vec<String> {
        let plans = [plan("agency", 600, 100), plan("agency_plus", 3_000, 500)];
        let bucket = BucketFacts {
            limit: plans[0].rate_limit,
            before,
            after: before,
            retry_after_seconds: 1,
            shared: false,
        };
        let today = Today { plan: &plans[today], plans: &plans, is_active: true, brand: "RndrKit" };
        under_the_limit(&bucket, cost, &today).into_iter().map(|way| way.text).collect()
    }

    #[test]
    fn ways_under_the_limit_are_the_ones_that_are_true() {
        let spread = "Calls spread out to 10 a second over all keys: they never meet this limit.";
        let more = "More calls on the AGENCY_PLUS plan: 500 requests at once, and 3,000 a minute.";
        assert_eq!(said(0, 1, 0), ["The same request 1 second later.", spread, more]);
        assert_eq!(said(0, 1, 1), ["The same request 1 second later.", spread, more]);
        let part = "A call that costs 3 requests or less, at that moment.";
        assert_eq!(said(3, 50, 0), ["The same request 6 seconds later.", part, spread, more]);
        let never = "100 requests or fewer in one call: the budget never holds more, so that no wait would have helped.";
        assert_eq!(said(100, 101, 0), [never, spread, more]);
    }

    #[test]
    fn what_an_empty_and_a_nearly_empty_budget_lacked_is_said() {
        let limit = plan("agency", 600, 100).rate_limit;
        let facts =
            |before| BucketFacts { limit, before, after: before, retry_after_seconds: 1, shared: false };
        assert_eq!(
            spent(&facts(0), 1),
            "The account’s rate limit was spent: its budget was empty, and one was needed."
        );
        assert_eq!(
            spent(&facts(1), 5),
            "The account’s rate limit was spent: its budget held 1 request, and 5 were needed."
        );
        assert_eq!(bucket(&facts(0)).before, "0 of 100 requests");
        assert_eq!(pace(plan("odd", 90, 1).rate_limit), "90 a minute");
    }
}
